"""A spec has one spelling, one hash, and an id that the tracker does not trip over."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from being_remote.errors import UsageError
from being_remote.jobs import job_archive
from being_remote.jobs.spec import CommandStep, JobSpec, is_job_id, new_job_id


def made(**more) -> JobSpec:
    base = {
        "job": "a-1",
        "ledger": "u",
        "recipe": "command",
        "actor": None,
        "host": "h",
        "intent": {"x": [1]},
    }
    return JobSpec(**(base | {"steps": (CommandStep("running", ("true",)),)} | more))


def test_a_spec_comes_back_from_its_bytes_and_only_from_its_own_spelling() -> None:
    spec = made(intent={"b": [1, 2.5, None], "ä": "\x00"}, wall_s=1.0)
    assert JobSpec.from_bytes(spec.as_bytes) == spec
    with pytest.raises(ValueError, match="canonical"):
        JobSpec.from_bytes(spec.as_bytes + b"\n")
    for wrong in (b'{"job"', spec.as_bytes.replace(b'"gpus":0', b'"gpus":0,"more":1'), b"[]"):
        with pytest.raises(ValueError):
            JobSpec.from_bytes(wrong)


def test_a_spec_without_a_limit_on_its_wait_has_the_bytes_of_version_0_1_0() -> None:
    unbounded, bounded = made(), made(wait_s=90.0)
    assert b"wait_s" not in unbounded.as_bytes and b'"wait_s":90.0' in bounded.as_bytes
    for spec in (unbounded, bounded):
        assert JobSpec.from_bytes(spec.as_bytes) == spec
    with pytest.raises(ValueError, match="canonical"):  # one spelling only
        JobSpec.from_bytes(bounded.as_bytes.replace(b"90.0", b"null"))


def test_the_hash_changes_with_anything_that_the_pod_would_do_and_the_intent_key_does_not() -> None:
    spec = made()
    other = dataclasses.replace(spec, job="a-2", wall_s=9.0)
    assert other.sha256 != spec.sha256 and other.intent_key == spec.intent_key
    assert dataclasses.replace(spec, host="g").intent_key != spec.intent_key


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "A", "a_b", "my-images-1", "kpt", "a" * 90, "-a", "a\n"]
)
def test_what_could_harm_a_path_is_no_job_id(name: str) -> None:
    assert not is_job_id(name)
    with pytest.raises(ValueError):
        made(job=name)


@pytest.mark.parametrize("name", ["Roman", "images", "..", "Jürgen Ö", "x" * 200])
def test_every_name_gives_an_id(name: str) -> None:
    ids = {new_job_id(name) for _ in range(50)}
    assert len(ids) == 50 and all(map(is_job_id, ids))


def test_a_bundle_is_the_same_whoever_packs_it_and_its_code_runs_over_there(tmp_path) -> None:
    files = job_archive.job_files(made(), {"b/c.yml": b"1", "a": b"2"})
    assert files == {"spec.json": made().as_bytes, "files/a": b"2", "files/b/c.yml": b"1"}
    packed = job_archive.programs()
    job_archive.programs.cache_clear()
    assert packed == job_archive.programs()
    (tmp_path / "bundle").write_bytes(packed)
    modules = "pod.supervisor", "tracker.sequence", "tracker.finish", "tracker.begin", "camera.crop"
    code = "import sys; sys.path.insert(0, sys.argv[1])\n"
    code += "".join(f"import being_remote.{name}\n" for name in modules)
    subprocess.run([sys.executable, "-I", "-B", "-c", code, tmp_path / "bundle"], check=True)


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", ""])
def test_a_file_that_leaves_its_folder_is_not_packed(name: str) -> None:
    with pytest.raises(UsageError):
        job_archive.job_files(made(), {name: b""})
