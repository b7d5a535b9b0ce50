"""`init` with a real pod: what is written, what is trusted, and what stays as it was."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from being_remote.demo.pod import Pod
from being_remote.errors import Interrupted, UsageError
from being_remote.inventory import load_inventory
from being_remote.workflows.init import InitReport, InitRequest, init

SHIPPED = Path(__file__).parents[2] / "inventory.yaml"


def login(pod: Pod) -> str:
    return f"ssh -i {pod.client_key} {pod.user}@{pod.address} -p {pod.port}"


def begin(pod: Pod, folder: Path, **more: Any) -> InitReport:
    values = {"workdir": str(pod.root / "Being"), "fingerprint": pod.fingerprint, **more}
    wanted = {field.name: values.pop(field.name) for field in fields(InitRequest) if field.name in values}
    return init(folder / "inventory.yaml", InitRequest(login(pod), **wanted), **values)


def test_a_pasted_login_becomes_an_inventory_a_trusted_key_and_a_checked_host(
    pod: Pod, tmp_path: Path
) -> None:
    said: list[str] = []
    report = begin(pod, tmp_path, say=said.append)
    assert report.exit_code == 0 and report.error is None
    assert report.wrote == (str(tmp_path / "inventory.yaml"), str(tmp_path / "tasks.py"))
    assert said == [f"wrote {', '.join(report.wrote)}"]
    assert report.trust is not None and report.trust.keys[0].action == "trusted"
    assert report.doctor is not None and [row.host for row in report.doctor.hosts] == ["local", "pod"]
    assert load_inventory(Path(report.inventory)).the_host(None).name == "pod"
    again = begin(pod, tmp_path)
    assert (again.wrote, again.exit_code) == ((), 0)  # the same command again goes on from there


def test_a_key_that_nobody_agrees_to_leaves_the_files_and_names_the_next_step(
    pod: Pod, tmp_path: Path
) -> None:
    report = begin(pod, tmp_path, fingerprint=None, confirm=lambda _: False)
    assert (report.exit_code, report.next) == (4, "trust --host pod")
    assert report.error is not None and pod.fingerprint in report.error
    assert (tmp_path / "inventory.yaml").exists() and not (tmp_path / ".being-remote/known_hosts").exists()


def test_an_inventory_of_the_users_is_never_written_over(pod: Pod, tmp_path: Path) -> None:
    mine = "# mine\nhosts:\n  a100: {address: 203.0.113.10, workdir: /w}\nactors: {roman: {}}\n"
    (tmp_path / "inventory.yaml").write_text(mine)
    (tmp_path / "tasks.py").write_text("# mine, too\n")
    with pytest.raises(UsageError, match="is yours") as caught:
        begin(pod, tmp_path)
    assert "--add" in caught.value.hint
    assert (tmp_path / "inventory.yaml").read_text() == mine
    report = begin(pod, tmp_path, add=True)
    assert (report.host, report.exit_code) == ("pod", 0)
    assert report.wrote == (str(tmp_path / "inventory.yaml"),)
    assert set(load_inventory(tmp_path / "inventory.yaml").hosts) == {"a100", "pod"}
    assert (tmp_path / "tasks.py").read_text() == "# mine, too\n"
    for name in ("a100", "other"):
        with pytest.raises(UsageError, match="already"):
            begin(pod, tmp_path, add=True, name=name)


def test_in_a_clone_the_shipped_example_is_replaced_and_an_edited_one_is_not(
    pod: Pod, tmp_path: Path
) -> None:
    (tmp_path / "inventory.yaml").write_text(SHIPPED.read_text())
    assert set(load_inventory(Path(begin(pod, tmp_path).inventory)).hosts) == {"pod"}
    edited = SHIPPED.read_text().replace("roman", "anna")
    (tmp_path / "inventory.yaml").write_text(edited)
    with pytest.raises(UsageError, match="is yours"):
        begin(pod, tmp_path)
    assert (tmp_path / "inventory.yaml").read_text() == edited


def test_a_dry_run_shows_the_inventory_and_writes_and_contacts_nothing(pod: Pod, tmp_path: Path) -> None:
    report = begin(pod, tmp_path, dry_run=True)
    assert "hosts:\n  pod:\n" in report.text and len(report.wrote) == 2
    assert report.trust is None and list(tmp_path.iterdir()) == []


def test_a_name_that_no_host_can_have_writes_nothing(pod: Pod, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be a name"):
        begin(pod, tmp_path, name="a/b")
    assert list(tmp_path.iterdir()) == []


def test_a_fingerprint_that_is_none_is_refused_before_anything_is_written(pod: Pod, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a SHA256 fingerprint"):
        begin(pod, tmp_path, fingerprint="abc")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_at_the_question_is_not_taken_for_an_unreachable_host(pod: Pod, tmp_path: Path) -> None:
    def interrupt(_: object) -> bool:
        raise Interrupted("interrupted")

    with pytest.raises(Interrupted):
        begin(pod, tmp_path, fingerprint=None, confirm=interrupt)


def test_a_key_beside_the_person_is_found_from_an_inventory_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    for path, key in (("sub/inventory.yaml", tmp_path / "key.pem"), ("inventory.yaml", Path("key.pem"))):
        report = init(Path(path), InitRequest("ssh -i key.pem root@203.0.113.10"), dry_run=True)
        assert f"identity_file: {key}\n" in report.text
