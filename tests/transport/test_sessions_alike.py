"""A host over SSH and this machine: the same requests get the same answers and errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from being_remote.demo.pod import Pod
from being_remote.errors import AnswerTimeout, HostError
from being_remote.inventory import Inventory
from being_remote.session import Session
from being_remote.transport import open_session


@pytest.fixture(params=["fabric", "openssh", "local"])
def session(
    request: pytest.FixtureRequest, pod: Pod, make_inventory: Callable[..., Inventory], tmp_path: Path
) -> Iterator[Session]:
    host = {"kind": "local", "workdir": str(tmp_path)} if request.param == "local" else pod
    config = tmp_path / "ssh_config"
    config.write_text("Host *\n  BindAddress 127.0.0.1\n" if request.param == "openssh" else "")
    inventory = make_inventory({"there": host}, ssh_config=str(config))
    with open_session(inventory.host("there"), inventory) as opened:
        yield opened


def test_an_answer_carries_streams_code_and_host_apart(session: Session) -> None:
    result = session.run(["sh", "-c", "cat; echo oops >&2; exit 3"], stdin=b"hello")
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"hello", b"oops\n")
    assert (result.host, session.host) == ("there", "there")


def test_a_reply_is_made_of_the_first_line_and_sent_after_stdin(session: Session) -> None:
    script = "read first; echo offer $first; echo more; cat"
    seen: list[bytes] = []

    def reply(line: bytes) -> bytes:
        seen.append(line)
        return b"the reply" * 100_000

    result = session.run(["sh", "-c", script], stdin=b"begin\n", reply=reply)
    assert seen == [b"offer begin"]
    assert result.stdout == b"offer begin\nmore\n" + b"the reply" * 100_000


def test_a_command_that_prints_no_line_gets_no_reply(session: Session) -> None:
    result = session.run(["sh", "-c", "printf half; exit 3"], reply=lambda _: b"never")
    assert (result.exit_code, result.stdout) == (3, b"half")


def test_what_a_reply_raises_ends_the_command_which_gets_nothing(session: Session, tmp_path: Path) -> None:
    def refuse(_: bytes) -> bytes:
        raise HostError("not this one", host="there")

    got = tmp_path / "got"
    with pytest.raises(HostError, match="not this one"):
        session.run(["sh", "-c", f"echo line; cat > {got}"], reply=refuse)
    assert session.run(["sh", "-c", "echo on"]).stdout == b"on\n"
    assert not got.exists() or got.read_bytes() == b""


def test_words_reach_the_command_as_they_are(session: Session) -> None:
    words = [
        "a b",
        "",
        "it's",
        '"',
        "$(touch hacked)",
        "`id`",
        "a;b",
        "*",
        "~",
        "-n",
        "x\ny",
        "\udcff",
        "A=b",
        "\\n",
    ]
    result = session.run(["printf", r"%s\0", *words])
    assert [w.decode("utf-8", "surrogateescape") for w in result.stdout.split(b"\0")[:-1]] == words


@pytest.mark.parametrize("word", ["if", "A=b", "exit", "{", "[[", "!"])
def test_a_commands_first_word_is_never_read_as_shell_syntax(session: Session, word: str) -> None:
    code = session.run([word, "7"]).exit_code
    assert code == (7 if word == "exit" else 127)


def test_an_environment_value_with_shell_syntax_stays_a_value(session: Session) -> None:
    value = "x; echo hacked; '$HOME' \"q\""
    assert session.run(["env", f"V={value}", "sh", "-c", 'printf %s "$V"']).stdout.decode() == value


def test_a_command_that_is_killed_has_its_own_exit_code(session: Session) -> None:
    assert session.run(["sh", "-c", "kill -9 $$"]).exit_code == 128 + 9


def test_a_program_that_is_not_there_is_127_and_not_an_error(session: Session) -> None:
    assert session.run(["no-such-program"]).exit_code == 127


def test_output_bytes_survive_whatever_they_are(session: Session) -> None:
    every = bytes(range(256)) * 64
    assert session.run(["cat"], stdin=every).stdout == every


def test_three_mebibytes_on_both_streams_at_once_do_not_block(session: Session) -> None:
    size = 3 << 20
    command = f"head -c {size} /dev/zero >&2 & head -c {size} /dev/zero; wait"
    result = session.run(["sh", "-c", command], timeout_s=30)
    assert (len(result.stdout), len(result.stderr)) == (size, size)


def test_a_large_stdin_that_is_not_read_does_no_harm(session: Session) -> None:
    assert session.run(["true"], stdin=bytes(8 << 20), timeout_s=20).exit_code == 0


def test_a_slow_command_ends_in_an_answer_timeout_in_time(session: Session) -> None:
    started = time.monotonic()
    with pytest.raises(AnswerTimeout, match=r"there: .*0\.5 s"):
        session.run(["sleep", "20"], timeout_s=0.5)
    assert time.monotonic() - started < 3
    assert session.run(["echo", "on"]).stdout == b"on\n"


def test_more_output_than_allowed_is_refused(session: Session) -> None:
    with pytest.raises(HostError, match="more than 1000 bytes"):
        session.run(["head", "-c", "1000000", "/dev/zero"], max_output_bytes=1000)
    assert session.run(["true"]).exit_code == 0


def test_twenty_threads_share_a_session(session: Session) -> None:
    at_once = threading.Barrier(20)

    def ask(number: int) -> bytes:
        at_once.wait()
        return session.run(["sh", "-c", 'sleep 0.1; echo "$1"', "sh", str(number)]).stdout

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask, range(20))) == [f"{n}\n".encode() for n in range(20)]
    assert session.round_trips == 20


def test_nul_and_endless_words_are_refused_before_anything_is_sent(session: Session) -> None:
    for argv in ([], ["echo", "a\0b"], ["echo", "x" * 200_000]):
        with pytest.raises(ValueError):
            session.run(argv)
    assert session.round_trips == 0


def test_closing_twice_is_harmless(session: Session) -> None:
    session.close()
    session.close()
