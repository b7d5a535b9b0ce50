"""What a host's system refuses a program of ours reaches the user in words, in its own exit class."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from faults import leave_room, small_disk

from being_remote.errors import CommandFailed, HostDiskFull, HostError, ToolMissing
from being_remote.inventory import LocalHost
from being_remote.pod_client.runner import run_program
from being_remote.transport.local_session import LocalSession

OFFER = {"programs": "0" * 64, "wait_s": 1.0}  # it makes the jobs' folder and the volume's marker


@pytest.fixture
def session(tmp_path: Path) -> LocalSession:
    return LocalSession(LocalHost.model_validate({"name": "a100", "workdir": str(tmp_path)}))


def refuse(session: LocalSession, workdir: Path | str, python: str = sys.executable) -> HostError:
    with pytest.raises(HostError) as caught:
        run_program(session, "offer", {**OFFER, "workdir": str(workdir)}, python=python)
    return caught.value


def python_that(tmp_path: Path, code: str) -> str:
    """A Python that runs `code` before its program."""
    python = tmp_path / "python"
    start = (
        "at = sys.argv.index('-c')\nboot, sys.argv[:] = sys.argv[at + 1], sys.argv[at + 1 :]\nexec(boot)\n"
    )
    python.write_text(f"#!{sys.executable}\nimport sys\n{code}\n{start}")
    python.chmod(0o755)
    return str(python)


@pytest.mark.parametrize("what", ["pages", "files"])
def test_a_full_disk_is_named_with_its_host_and_folder(
    session: LocalSession, tmp_path: Path, what: str
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        (disk / "fill").write_bytes(bytes(4096))
        leave_room(disk, what, 1)
        (disk / "last").write_bytes(bytes(4096))
        error = refuse(session, disk)
    assert isinstance(error, HostDiskFull) and error.exit_code == 6
    assert str(error).startswith(f"disk full on a100 ({disk}/jobs")
    assert "Traceback" not in str(error) and "df -h" in error.hint


def test_a_missing_right_is_named_with_its_folder(session: LocalSession, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = refuse(session, tmp_path / "file" / "work")
    assert (type(error), error.exit_code) == (CommandFailed, 4)
    assert error.what == f"submitting a job failed: not a folder ({tmp_path}/file/work)"


def test_a_path_of_a_host_is_quoted_in_the_command_to_copy() -> None:
    error = HostDiskFull("disk full", host="pod", path="/x; rm -rf ~")
    assert "df -h '/x; rm -rf ~' on pod" in str(error.hint)
    assert "(df -h on pod;" in str(HostDiskFull("disk full", host="pod", path="").hint)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise OSError(24, 'Too many open files', '/w/x')", "too many open files (/w/x)"),
        ("raise OSError(5, 'Input/output error', '/w/x')", "disk error (/w/x)"),
        ("raise OSError(30, 'Read-only file system', '/w/x')", "disk is read-only (/w/x)"),
        ("raise OSError(13, 'Permission denied', '/w/x')", "no permission (/w/x)"),
        ("raise MemoryError", "out of memory"),
    ],
)
def test_what_the_system_refuses_is_said_in_words(
    session: LocalSession, tmp_path: Path, code: str, message: str
) -> None:
    harm = f"import os\ndef makedirs(*a, **k): {code}\nos.makedirs = makedirs"
    error = refuse(session, tmp_path, python_that(tmp_path, harm))
    assert (type(error), error.what) == (CommandFailed, f"submitting a job failed: {message}")
    assert error.hint


LACKS_ZLIB = """
class Lacks:
    def find_spec(name, *_):
        if name == 'zlib':
            raise ModuleNotFoundError("No module named 'zlib'")
sys.modules.pop('zlib', None)
sys.meta_path.insert(0, Lacks)
"""


def test_a_missing_module_is_named(session: LocalSession, tmp_path: Path) -> None:
    python = python_that(tmp_path, LACKS_ZLIB)
    error = refuse(session, tmp_path, python)
    assert isinstance(error, ToolMissing)
    assert error.what == f"a module of {python!r} (\"No module named 'zlib'\") is missing"


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_an_old_python_is_named_with_its_version(session: LocalSession, tmp_path: Path, version: str) -> None:
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python"))
    if not installed:
        pytest.skip(f"this machine has no Python {version}")
    error = refuse(session, tmp_path, str(installed[0]))
    assert isinstance(error, ToolMissing)
    shown = version.partition(".")[0] if version == "2.7" else version
    assert error.what == f"Python 3.8 or newer ({str(installed[0])!r} is {shown}) is missing"


def test_a_bug_of_a_program_is_no_refusal(session: LocalSession, tmp_path: Path) -> None:
    error = refuse(session, tmp_path, python_that(tmp_path, "import os\nos.makedirs = None"))
    assert type(error) is CommandFailed and "TypeError" in error.what
