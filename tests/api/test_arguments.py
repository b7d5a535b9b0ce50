"""A notebook passes a name or a list, text or a path; anything else is refused with a sentence."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import being_remote as br
from being_remote.errors import InventoryError, InventoryUntrusted, NotFoundError, UsageError

# The calls are wrong on purpose, so the module is called without its types.
untyped: Any = br
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "a number for an actor": (
        lambda: untyped.sync(3),
        "sync(): actor should be text or a list or a tuple, not '3' (int)",
    ),
    "an inventory for an actor": (lambda: untyped.sync(br.load_inventory()), "(Inventory)"),
    "a number for an inventory": (
        lambda: untyped.sync(inventory=3),
        "be an Inventory or text or a path",
    ),
    "a number for a host": (lambda: untyped.find_bbox(host=7), "find_bbox(): host should be text"),
    "a number among hosts": (
        lambda: untyped.doctor(["a100", 7]),
        "host[1] should be text, not '7' (int)",
    ),
    "text for a size": (
        lambda: untyped.recover(source_size="1920x1080"),
        "source_size should be a tuple",
    ),
    "three numbers for a box": (lambda: untyped.recover(bbox=(1, 2, 3)), "bbox"),
    "a number for a video": (
        lambda: untyped.recover(video=5),
        "video should be text or a path, not '5'",
    ),
    "a list for a run": (lambda: untyped.recover(["roman"]), "run should be text or a path, not"),
    "a misspelt keyword": (lambda: untyped.doctor(hosts="a100"), "unexpected keyword argument 'hosts'"),
    "too many arguments": (lambda: untyped.doctor("a100", "b200"), "too many positional arguments"),
    "a missing argument": (lambda: untyped.compare("roman"), "missing a required argument: 'b'"),
    "a misspelt option of a job": (lambda: untyped.submit(wals_s=3), "unexpected keyword argument 'wals_s'"),
    "text for a number of GPUs": (lambda: untyped.submit(gpus="two"), "gpus should be a whole number"),
    "a set for a setting": (lambda: untyped.submit(settings={"image_size": {1}}), "image_size cannot be"),
    "text for settings": (lambda: untyped.submit(settings="image_size=3"), "settings should be a dict"),
    "text for a flag": (lambda: untyped.sync(dry_run="maybe"), "dry_run should be True or False"),
    "a number for a file": (lambda: untyped.read_frame(5), "path should be text or a path, not '5' (int)"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_type_is_refused_with_a_sentence_that_names_the_argument(what: str, notebook: Path) -> None:
    call, sentence = WRONG[what]
    with pytest.raises(UsageError) as refused:
        call()
    assert sentence in str(refused.value)
    assert "\n  next: " in str(refused.value)


@pytest.mark.slow
def test_a_method_refuses_a_wrong_type_too(notebook: Path) -> None:
    job: Any = br.submit(command="true", host="a100", gpus=0)
    with pytest.raises(UsageError, match=r"Job.wait\(\): timeout_s should be a number, not 'soon' \(str\)"):
        job.wait("soon")
    recovery: Any = br.recover("roman")
    with pytest.raises(UsageError, match=r"Recovery.export\(\): names should be text"):
        recovery.export(5)
    with pytest.raises(UsageError, match=r"export\(\): canvas should be 'crop' or a tuple, not 'big'"):
        recovery.export(canvas="big")


@pytest.mark.slow
def test_text_and_paths_and_one_name_and_a_list_mean_the_same(notebook: Path) -> None:
    as_text, as_path = br.recover("backups/roman"), br.recover(Path("backups/roman"))
    assert (as_text.cameras.K == as_path.cameras.K).all()
    one, several = br.doctor("a100"), br.doctor(["a100"])
    assert [row.host for row in one.hosts] == [row.host for row in several.hosts] == ["local", "a100"]
    named = br.sync("roman", inventory="inventory.yaml")
    assert named.files == br.sync("roman", inventory=br.load_inventory(Path("inventory.yaml"))).files


def test_a_folder_needs_no_inventory(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEING_REMOTE_INVENTORY")
    (notebook / "inventory.yaml").unlink()
    assert br.recover("backups/roman", video="roman.mp4").grade == "verified"
    with pytest.raises(InventoryError):
        br.recover()
    with pytest.raises(NotFoundError):
        br.recover("roman2")


def test_an_inventory_that_was_found_and_runs_programs_is_not_used_before_it_is_named(
    notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BEING_REMOTE_INVENTORY")
    with pytest.raises(InventoryUntrusted, match="is not trusted yet") as refused:
        br.sync()
    assert f'load_inventory("{notebook / "inventory.yaml"}")' in refused.value.hint
    with pytest.raises(InventoryUntrusted):  # an actor's name needs it
        br.recover("roman")
    assert br.recover("backups/roman", video="roman.mp4").grade == "verified"  # a folder does not
    assert br.sync(inventory=notebook / "inventory.yaml", dry_run=True).host == "a100"


def test_a_type_checker_sees_the_names_that_python_imports() -> None:
    tree = ast.parse(inspect.getsource(br))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: node.module for node in imports for alias in node.names}
    assert seen == br._MODULES


@pytest.mark.slow
def test_a_public_name_is_not_hidden_by_a_room_of_that_name() -> None:
    code = (
        "import being_remote, being_remote.workflows.sync, being_remote.workflows.find_bbox\n"
        "print(all(callable(getattr(being_remote, n)) for n in being_remote.__all__ if n != '__version__'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
