"""The one runner of the pod's programs: what it sends, and what it makes of an answer."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from being_remote.errors import CommandFailed, MalformedAnswer, ToolMissing
from being_remote.inventory import LocalHost
from being_remote.pod_client.box_search import BoxSearchAnswer
from being_remote.pod_client.host_facts import HostFacts
from being_remote.pod_client.runner import PROGRAMS, ProgramName, ask, program_text, run_program
from being_remote.transport.local_session import LocalSession


@pytest.fixture
def session(tmp_path: Path) -> LocalSession:
    return LocalSession(LocalHost.model_validate({"name": "here", "workdir": str(tmp_path)}))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_comes_with_every_module_that_it_imports(program: ProgramName) -> None:
    # All but the lines that start it.
    text = zlib.decompress(program_text(program))
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(b"sys.modules[")]
    source = b"\n".join([*lines, b"start()", b"print(sorted(sys.modules))"])
    done = subprocess.run([sys.executable, "-I", "-"], input=source, capture_output=True, check=True)
    assert f"'being_remote.pod.{program}'".encode() in done.stdout


def test_programs_that_look_for_packages_see_those_of_the_hosts_python(session: LocalSession) -> None:
    request = {"folder": "/", "tracker": None}
    assert ask(session, "host_facts", request, HostFacts, python=sys.executable).numpy is not None
    names = dict.fromkeys(("script", "source", "video", "identity", "box"), "x")
    request = {"root": "/", "input": "no", "config": "no", "defaults": "no", "names": names}
    assert json.loads(run_program(session, "tracking_facts", request, python=sys.executable))["numpy"] is True


@pytest.mark.parametrize(
    ("script", "refusal", "message"),
    [
        ("echo '{}'", MalformedAnswer, "malformed answer while searching for bbox.pt: 'candidates'"),
        ("echo oh no >&2; exit 3", CommandFailed, "failed with exit code 3: 'oh no'"),
        ("exit 127", ToolMissing, "set `python` in the inventory"),
    ],
)
def test_a_bad_answer_is_refused_in_plain_words(
    session: LocalSession, tmp_path: Path, script: str, refusal: type[Exception], message: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
    python.chmod(0o755)
    with pytest.raises(refusal, match=message):
        ask(session, "box_search", {}, BoxSearchAnswer, python=str(python))
