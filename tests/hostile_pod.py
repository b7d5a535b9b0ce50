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
from pathlib import Path
from typing import Any

from being_remote.demo.pod import Pod

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin"

# (request, answer, **facts) -> another answer; None: `answer` was changed in place.
Lie = Callable[..., Any]

_PYTHON = r'''#!{real} -I
"""The pod's python3: see tests/hostile_pod.py."""
import hashlib, json, os, re, struct, subprocess, sys, threading, zlib

REAL, LIES = {real!r}, {lies!r}
HEADER, TRAILER = struct.Struct("!IQqqQ"), struct.Struct("!?Qq32s")

def program_in(text):
    """The name of the program of ours in what came on stdin; see `pod_client/runner.py`."""
    try:
        main = re.search(rb"sys\.modules\['being_remote\.pod\.(\w+)'\]\.main", zlib.decompress(text))
    except zlib.error:
        return None
    return main and main[1].decode()

def pass_on(to):
    """What else comes on stdin, as it comes: some programs are sent more once they have answered."""
    while data := sys.stdin.buffer.read1(1 << 16):
        to.write(data)
        to.flush()
    to.close()

def told_by(program, argv, payload, out):
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
    if "-c" not in argv:
        os.execv(REAL, [REAL, *argv])
    line = sys.stdin.buffer.readline(20)
    text = sys.stdin.buffer.read(int(line) if line.strip().isdigit() else 0)
    program = program_in(text)
    lie = os.path.join(LIES, "%s.json" % program)
    if not os.path.exists(lie):
        real = subprocess.Popen([REAL, *argv], stdin=subprocess.PIPE)
        real.stdin.write(line + text)
        real.stdin.flush()
        threading.Thread(target=pass_on, args=(real.stdin,), daemon=True).start()
        os._exit(real.wait())
    payload = sys.stdin.buffer.read()
    real = subprocess.run([REAL, *argv], input=line + text + payload, stdout=subprocess.PIPE)
    request, answer = told_by(program, argv, payload, real.stdout)
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
