"""What a login runs before our command may print, read, hang or leave processes; nothing of ours is lost."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest
from file_trees import put

from being_remote.demo.pod import Pod, start_pod
from being_remote.errors import HostError, LoginRefused
from being_remote.inventory import Inventory
from being_remote.pod_client.login_files import find_printing_files
from being_remote.session import Pull, Push, Result, Session
from being_remote.transport import open_session, output_framing
from being_remote.workflows.doctor import doctor
from being_remote.workflows.hosts import hosts

MakeInventory = Callable[..., Inventory]
LEAVES_A_PROCESS = "sleep 300 &\n"
READS_A_LINE = "read -t 0.2 line\n"


def opened(make_inventory: MakeInventory, pod: Pod, rc: str = "", **host: Any) -> Session:
    """A session with the pod, whose logins run `rc`."""
    (pod.client_key.with_name("home") / ".bashrc").write_text(rc)
    inventory = make_inventory({"pod": pod})
    entry = inventory.host("pod").model_copy(update={"answer_timeout_s": 20.0, **host})
    return open_session(entry, inventory)


def force(pod: Pod, command: str) -> None:
    """Let every login run `command`, as a gateway does."""
    authorized = pod.client_key.with_name("authorized_keys")
    key = pod.client_key.with_suffix(".pub").read_text()
    spelt = command.replace("\\", "\\\\").replace('"', '\\"')
    authorized.write_text(f'command="{spelt}" {key}')


def read_all(session: Session, argv: list[str], stdin: bytes) -> bytes:
    said = b""
    with session.stream(argv, stdin=stdin) as stream:
        while data := stream.read(10):
            said += data
    return said


@pytest.mark.parametrize("shell", ["sh", "bash -i"])
def test_a_gateway_that_gives_a_shell_runs_nothing_of_what_is_sent(
    shell: str, own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    force(own_pod, f"exec {shell}")
    ran = tmp_path / "ran"
    with (
        opened(make_inventory, own_pod, answer_timeout_s=2.0) as session,
        pytest.raises(LoginRefused, match="nothing was sent"),
    ):
        session.run(["cat"], stdin=f"\ntouch {ran}\n".encode())
    assert not ran.exists()


def test_a_login_file_that_reads_takes_nothing_of_a_commands_input(
    own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    given = b"one\ntwo\n"
    with opened(make_inventory, own_pod, READS_A_LINE) as session:
        assert session.run(["cat"], stdin=given).stdout == given
        assert read_all(session, ["cat"], given) == given
        sent = session.run(["sh", "-c", "read x; echo $x; cat"], stdin=given, reply=lambda line: line + b"!")
        assert sent.stdout == b"one\ntwo\none!"


@pytest.mark.slow
def test_a_login_file_that_reads_takes_nothing_of_an_upload(
    bare_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    put(tmp_path / "near", {b"f": b"x" * 100_000})
    rc = bare_pod.client_key.with_name("home") / ".bashrc"
    try:
        with opened(make_inventory, bare_pod, READS_A_LINE) as session:
            session.push(Push(tmp_path / "near", (b"f",), PurePosixPath(tmp_path / "there"), 100_000))
    finally:
        rc.unlink()
    assert (tmp_path / "there" / "f").read_bytes() == b"x" * 100_000


def test_a_command_whose_login_reads_to_the_end_of_its_input_is_not_started(
    own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    with (
        opened(make_inventory, own_pod, "cat > /dev/null\n", answer_timeout_s=2.0) as session,
        pytest.raises(
            LoginRefused, match="within 1 s: a login file is slow, or reads what is sent; nothing was"
        ),
    ):
        session.run(["sh", "-c", f"cat > {ran}"], stdin=b"precious")
    assert not ran.exists()


def test_an_answer_is_whole_although_a_login_file_left_a_process_that_keeps_it_open(
    own_pod: Pod, make_inventory: MakeInventory
) -> None:
    loud = "head -c 300000 /dev/zero >&2; echo answer; exit 3"
    with opened(make_inventory, own_pod, LEAVES_A_PROCESS) as session:
        started = time.monotonic()
        result = session.run(["sh", "-c", loud])
        assert (result.exit_code, result.stdout, result.stderr) == (3, b"answer\n", bytes(300_000))
        assert session.run(["cat"], stdin=b"x").stdout == b"x"
        assert read_all(session, ["sh", "-c", "cat; printf more"], b"given") == b"givenmore"
        assert time.monotonic() - started < 5


SHELLS = ["bash", "dash", "zsh", "tcsh", "csh", "fish", "mksh"]


@pytest.mark.parametrize(
    "shell",
    [
        s if shutil.which(s) else pytest.param(s, marks=pytest.mark.skip(reason=f"no {s} here"))
        for s in SHELLS
    ],
)
def test_commands_and_their_words_are_the_same_for_every_login_shell(
    shell: str, own_pod: Pod, make_inventory: MakeInventory
) -> None:
    force(own_pod, f'exec {shell} -c "$SSH_ORIGINAL_COMMAND"')
    words = ["a b", "it's", "$(id)", "*", "x\ny", "wow!", "~", "\\n", "{a,b}", "\udcff", "", "-n", "%s"]
    with opened(make_inventory, own_pod) as session:
        said = session.run(["printf", r"%s\0", *words], stdin=b"not read").stdout
        assert [w.decode("utf-8", "surrogateescape") for w in said.split(b"\0")[:-1]] == words
        assert read_all(session, ["cat"], b"\0\n!\xff") == b"\0\n!\xff"


NOT_SERVED = {
    "exec dash": ("something reads what is sent", "exec zsh"),
    "exec tmux": ("starts tmux or screen", "first line of"),
    "echo This account is not available; exit 1": ("runs a command of its own", "ForceCommand"),
    "echo Error: your SSH client does not support PTY >&2; exit 1": (
        "wants a terminal",
        "own address and port",
    ),
}


@pytest.mark.parametrize("rc", NOT_SERVED)
def test_each_kind_of_login_that_runs_no_commands_is_named_with_its_own_next_step(
    rc: str, own_pod: Pod, make_inventory: MakeInventory
) -> None:
    if rc == "exec tmux" and not shutil.which("tmux"):
        pytest.skip("no tmux")
    what, then = NOT_SERVED[rc]
    with (
        opened(make_inventory, own_pod, rc + "\n", answer_timeout_s=2.0) as session,
        pytest.raises(LoginRefused, match=what) as caught,
    ):
        session.run(["cat"], stdin=b"x")
    assert then in caught.value.hint


@pytest.mark.slow
def test_a_login_that_takes_more_than_half_the_time_of_an_answer_is_waited_for(
    own_pod: Pod, make_inventory: MakeInventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_framing, "_LAST_WORDS_S", 0.2)
    with opened(make_inventory, own_pod, "sleep 1.6\n", answer_timeout_s=3.0) as session:
        assert session.run(["cat"], stdin=b"x").stdout == b"x"


def test_whether_a_command_without_input_ran_is_unknown_where_its_login_shows_nothing(
    own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    with (
        opened(make_inventory, own_pod, "exec > /dev/null 2>&1\n") as session,
        pytest.raises(LoginRefused, match="whether the command ran is unknown"),
    ):
        session.run(["touch", str(tmp_path / "ran")])
    assert (tmp_path / "ran").exists()


def test_a_login_that_prints_without_end_is_named_and_a_long_greeting_is_no_part_of_an_answer(
    own_pod: Pod, make_inventory: MakeInventory
) -> None:
    with opened(make_inventory, own_pod, "yes\n") as session:
        with pytest.raises(HostError, match="its login shell prints without end"):
            session.run(["true"])
        with pytest.raises(HostError, match="its login shell prints without end"):
            read_all(session, ["true"], b"")
    with opened(make_inventory, own_pod, "yes | head -c 200000\n") as session:
        assert session.run(["echo", "x"], max_output_bytes=100).stdout == b"x\n"
        assert session.greeting_bytes == 200_000


@pytest.mark.parametrize("rc", ["echo Welcome to your GPU pod\n", READS_A_LINE, LEAVES_A_PROCESS])
def test_rsync_works_although_a_login_file_prints_reads_or_leaves_a_process(
    rc: str, own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    put(tmp_path / "far", {b"f": b"x" * 3_000_000})
    put(tmp_path / "near", {b"g": b"y" * 100_000})
    started = time.monotonic()
    with opened(make_inventory, own_pod, rc) as session:
        far, into = PurePosixPath(tmp_path / "far"), tmp_path / "into"
        moved = session.pull(Pull(far, (b"f",), (3_000_000,), into, tmp_path / "none"))
        session.push(Push(tmp_path / "near", (b"g",), PurePosixPath(tmp_path / "there"), 100_000))
    assert moved.method == "rsync" and (into / "f").read_bytes() == b"x" * 3_000_000
    assert (tmp_path / "there" / "g").read_bytes() == b"y" * 100_000
    assert time.monotonic() - started < 15


def test_files_come_and_go_by_stream_where_rsync_is_something_else_there(
    make_inventory: MakeInventory, tmp_path: Path
) -> None:
    put(tmp_path / "far", {b"f": b"x" * 3_000_000})
    put(tmp_path / "near", {b"g": b"y" * 100_000})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "rsync").write_text("#!/bin/sh\necho not the rsync that you know\n")
    (tmp_path / "bin" / "rsync").chmod(0o755)
    with start_pod(tmp_path / "pod", path=f"{tmp_path}/bin:/usr/bin:/bin") as odd:
        inventory = make_inventory({"pod": odd})
        with open_session(inventory.host("pod"), inventory) as session:
            far, into = PurePosixPath(tmp_path / "far"), tmp_path / "into"
            moved = session.pull(Pull(far, (b"f",), (3_000_000,), into, tmp_path / "none"))
            session.push(Push(tmp_path / "near", (b"g",), PurePosixPath(tmp_path / "there"), 100_000))
    assert moved.method == "stream" and (into / "f").read_bytes() == b"x" * 3_000_000
    assert (tmp_path / "there" / "g").read_bytes() == b"y" * 100_000


def test_doctor_names_the_login_file_that_prints_and_a_host_that_answers_nothing_is_not_reachable(
    own_pod: Pod, make_inventory: MakeInventory
) -> None:
    rc = own_pod.client_key.with_name("home") / ".bashrc"
    inventory = make_inventory({"pod": own_pod})
    rc.write_text("sleep 300 &\necho Welcome to your GPU pod\n")
    row = doctor(inventory).hosts[1]
    assert row.reachable and any("the login prints 24 bytes" in note for note in row.notes)
    assert any(note.startswith(f"'{rc}' prints 24 bytes at each login") for note in row.notes)
    rc.write_text("exit 1\n")
    report = hosts(inventory)
    assert not report.hosts[0].reachable and report.hosts[0].error and report.exit_code == 4


def test_a_host_that_answers_nothing_keeps_the_notes_on_the_way_to_it(
    own_pod: Pod, make_inventory: MakeInventory, tmp_path: Path
) -> None:
    (own_pod.client_key.with_name("home") / ".bashrc").write_text("exit 1\n")
    config = tmp_path / "ssh_config"
    config.write_text("Host *\n  BindAddress 127.0.0.1\n")
    row = doctor(make_inventory({"pod": own_pod}, ssh_config=str(config))).hosts[1]
    assert row.error_class == "LoginRefused"
    assert any("go through the system's ssh" in note for note in row.notes)


@pytest.mark.parametrize(
    ("path", "guarded"),
    [
        ("/root/.bashrc", True),
        ("/etc/bash.bashrc", True),
        ("/root/.zshenv", True),
        ("/root/.config/fish/config.fish", False),
        ("/root/.tcshrc", False),
        ("/root/.ssh/rc", False),
    ],
)
def test_the_line_that_ends_a_login_file_is_advised_only_where_its_shell_understands_it(
    path: str, guarded: bool
) -> None:
    said = json.dumps({"files": [[path, 24]]}).encode()
    session: Any = SimpleNamespace(
        host="pod", run=lambda argv, **_: Result("pod", tuple(argv), 0, said, b"", 0.0)
    )
    (note,) = find_printing_files(session, "python3")
    assert note.startswith(f"{path!r} prints 24 bytes at each login: let it print only in a terminal")
    assert ("case $-" in note) == guarded
