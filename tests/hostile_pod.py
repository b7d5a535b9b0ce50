"""A real pod on loopback whose Python lies: the answers of our own programs are changed by a test.

The pod's `python3` runs the real program, hands its answer to the test's function, and sends what
that returns. What the attacker's disk holds is real, so rsync and the stream find it.

    with start_hostile_pod(tmp_path / "pod") as pod:
        pod.lie("listing", add_rows, name="../inventory.yaml")

The function runs on the pod in a process of its own: it sees only its arguments, `facts` among them,
and what it imports itself. Per program it is given the request, and as `answer`:

    listing              the lines of the answer, as JSON values; the last one is the end
    send                 the records, each {"number", "bytes", "mtime_ns", "ctime_ns", "inode", "data",
                         "sound", "good", "after_ns"} and the last one without data; hashes are made anew
    every other program  its answer, as a JSON value

It changes `answer` in place, or returns another one; bytes are sent as they are.
"""

from __future__ import annotations

import inspect
import json
import shutil
import textwrap
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from being_remote.demo.pod import Pod

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin"

# (request, answer, **facts) -> another answer; None: `answer` was changed in place.
Lie = Callable[..., Any]

_PYTHON = r'''#!{real} -I
"""The pod's python3: see tests/hostile_pod.py."""
import hashlib, json, os, re, struct, subprocess, sys, zlib

REAL, LIES, MODULES = {real!r}, {lies!r}, {modules!r}
HEADER, TRAILER = struct.Struct("!IQqqQ"), struct.Struct("!?Qq32s")

def program_in(text):
    main = re.search(rb"sys\.modules\['being_remote\.pod\.(\w+)'\]\.main", text)
    if main:
        return main.group(1).decode()
    # Programs that only look carry others before them: theirs is the one that stands last.
    places = {text.rfind(line.encode()): name for name, line in MODULES.items()}
    return places[max(places)] if max(places) >= 0 else None

def told_by(program, argv, given, out):
    size, _, text = given.partition(b"\n")
    payload = text[int(size):]
    if program == "listing":
        request = json.loads(zlib.decompress(payload))
        return request, [json.loads(line) for line in zlib.decompress(out).split(b"\n") if line]
    if program == "send":
        request = [json.loads(line) for line in zlib.decompress(payload).split(b"\n")]
        records, at = [], 0
        while at < len(out):
            number, size, mtime_ns, ctime_ns, inode = HEADER.unpack_from(out, at)
            at += HEADER.size
            record = dict(number=number, bytes=size, mtime_ns=mtime_ns, ctime_ns=ctime_ns, inode=inode)
            if at < len(out):
                record["data"] = out[at:at + size]
                record["sound"], record["good"], record["after_ns"], _ = TRAILER.unpack_from(out, at + size)
                at += size + TRAILER.size
            records.append(record)
        return request, records
    try:
        request = json.loads(argv[-1])
    except ValueError:
        request = None
    return request, json.loads(out)

def in_bytes(program, answer):
    if isinstance(answer, bytes):
        return answer
    if program == "listing":
        return zlib.compress(b"".join(json.dumps(a, separators=(",", ":")).encode() + b"\n" for a in answer))
    if program == "send":
        parts = []
        for r in answer:
            parts.append(HEADER.pack(r["number"], r["bytes"], r["mtime_ns"], r["ctime_ns"], r["inode"]))
            if "data" in r:
                digest = hashlib.sha256(r["data"]).digest()
                parts += [r["data"], TRAILER.pack(r["sound"], r["good"], r["after_ns"], digest)]
        return b"".join(parts)
    return json.dumps(answer).encode()

def main():
    argv = sys.argv[1:]
    given = None
    text = next((os.fsencode(w) for w in argv if "Runs on the pod" in w or "being_remote" in w), b"")
    program = program_in(text)
    if program is None and "-c" in argv:
        given = sys.stdin.buffer.read()
        program = program_in(given)
    lie = os.path.join(LIES, "%s.json" % program)
    if program is None or not os.path.exists(lie):
        if given is None:
            os.execv(REAL, [REAL, *argv])
        sys.exit(subprocess.run([REAL, *argv], input=given).returncode)
    if given is None:
        given = sys.stdin.buffer.read()
    real = subprocess.run([REAL, *argv], input=given, stdout=subprocess.PIPE)
    request, answer = told_by(program, argv, given, real.stdout)
    told = json.load(open(lie))
    names = dict(__name__="lie")
    exec(compile("from __future__ import annotations\n" + told["source"], "lie", "exec"), names)
    other = names[told["name"]](request, answer, **told["facts"])
    sys.stdout.buffer.write(in_bytes(program, answer if other is None else other))
    sys.stdout.buffer.flush()
    sys.exit(real.returncode)

main()
'''


class HostilePod(Pod):
    """A pod whose `python3` says what a test makes it say. Lifecycle: as a `Pod`."""

    def __init__(self, folder: Path, *, name: str) -> None:
        programs = folder / "programs"
        super().__init__(folder, name=name, path=f"{programs}:{SYSTEM_PATH}")
        self._lies = folder / "lies"
        for made in (programs, self._lies):
            made.mkdir()
        real = shutil.which("python3", path=SYSTEM_PATH)
        assert real is not None
        python = programs / "python3"
        python.write_text(
            _PYTHON.replace("{real!r}", repr(real))
            .replace("{real}", real)
            .replace("{lies!r}", repr(str(self._lies)))
            .replace("{modules!r}", repr(_first_lines()))
        )
        python.chmod(0o755)

    def lie(self, program: str, function: Lie, **facts: Any) -> None:
        """From now on `function` changes what this program of ours says; `facts` are JSON values.

        Args:
            program: a module of `being_remote/pod`.
            function: see above; a plain `def`.
        """
        source = textwrap.dedent(inspect.getsource(function))
        said = {"source": source, "name": function.__name__, "facts": facts}
        (self._lies / f"{program}.json").write_text(json.dumps(said))

    def be_honest(self) -> None:
        """No program's answer is changed any more."""
        for lie in self._lies.iterdir():
            lie.unlink()


def start_hostile_pod(folder: Path, *, name: str = "pod") -> HostilePod:
    """Bring one up in `folder`, which is made if need be; see `start_pod`."""
    pod = HostilePod(folder.resolve(), name=name)
    pod.start()
    return pod


def _first_lines() -> dict[str, str]:
    """What tells our programs apart: the first line of each module's docstring."""
    found = {}
    for module in resources.files("being_remote.pod").iterdir():
        if module.name.endswith(".py") and module.name != "__init__.py":
            first = module.read_text(encoding="utf-8").split("\n", 1)[0]
            found[module.name.removesuffix(".py")] = first.strip('"')
    return found
