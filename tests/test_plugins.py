"""An installed package adds exporters, recipes and host checks by its entry points."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from being_remote import plugins
from being_remote.camera.crop import crop_from_box
from being_remote.errors import HostError, UsageError
from being_remote.export import Cameras, all_targets, prepare, targets, write
from being_remote.inventory import Inventory
from being_remote.recipes.registry import find_recipe
from being_remote.recipes.retrack_request import RetrackRequest
from being_remote.workflows.doctor import doctor
from being_remote.workflows.hosts import hosts
from being_remote.workflows.jobs import jobs
from being_remote.workflows.pull import pull
from being_remote.workflows.retrack import retrack

PACKAGE = Path(__file__).parent / "plugin_package"


@pytest.fixture
def example_plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package of `plugin_package/` as if it were installed."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    plugins.installed.cache_clear()
    yield
    plugins.installed.cache_clear()


def one_camera() -> Cameras:
    crop = crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512))
    R = np.diag([1.0, -1, -1])[None]
    return Cameras(
        name="roman",
        K_source=np.array([[4000.0, 0, 960], [0, 4000, 540], [0, 0, 1]]),
        K_crop=np.array([[2300.0, 0, 256], [0, 2300, 256], [0, 0, 1]]),
        R=R,
        t=np.array([[0.5, 0.25, 2]]),
        frame_ids=np.array([7]),
        source_numbers=np.array([8]),
        times_s=None,
        crop=crop,
        grade="bbox",
    )


def test_an_installed_package_adds_an_exporter(example_plugin: None, tmp_path: Path) -> None:
    (target,) = targets(["centres"])
    write(target, prepare(target, one_camera()), tmp_path)
    assert (tmp_path / "centres.csv").read_text() == "frame,x,y,z\n7,-0.5,0.25,2.0\n"
    assert target in targets([])


def test_without_the_package_its_exporter_is_unknown() -> None:
    with pytest.raises(UsageError, match="no export named 'centres'"):
        targets(["centres"])


@pytest.mark.slow
def test_an_installed_package_adds_a_recipe(
    example_plugin: None, make_inventory: Callable[..., Inventory], tmp_path: Path
) -> None:
    here = make_inventory({"here": {"kind": "local", "workdir": str(tmp_path), "python": sys.executable}})
    wanted = RetrackRequest(recipe="pack", sets=["files=4"])
    report = retrack(here, wanted, follow_it=True)
    (job,) = jobs(here).jobs
    assert (report.state, job.recipe, job.done, job.total) == ("succeeded", "pack", 4, 4)
    pulled = pull(here, str(report.job))
    assert [path.name for path in pulled.outputs] == ["packed.tar"]
    with pytest.raises(UsageError, match="greater than or equal to 1"):
        retrack(here, RetrackRequest(recipe="pack", sets=["files=0"]))


def test_without_the_package_its_recipe_is_unknown() -> None:
    with pytest.raises(UsageError, match="no recipe named 'pack'"):
        find_recipe("pack")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("json", "example_plugin:CENTRES", "not a Target of that new name"),
        ("other", "example_plugin:PACKAGE", "cannot be loaded"),
        ("other", "no_such_package:TARGET", "cannot be loaded"),
        ("other", "being_remote.export:prepare", "not a Target of that new name"),
    ],
)
def test_a_broken_plug_in_is_named(
    monkeypatch: pytest.MonkeyPatch, example_plugin: None, name: str, value: str, message: str
) -> None:
    point = EntryPoint(name, value, "being_remote.exports")
    monkeypatch.setattr(plugins, "entry_points", lambda group: (point,))
    with pytest.raises(UsageError, match=message):
        all_targets()
    assert [target.name for target in targets(["json"])] == ["json"]


def local_host(make_inventory: Callable[..., Inventory], folder: Path) -> Inventory:
    return make_inventory({"here": {"kind": "local", "workdir": str(folder)}})


def test_an_installed_package_adds_a_host_check(
    example_plugin: None, make_inventory: Callable[..., Inventory], tmp_path: Path
) -> None:
    inventory = local_host(make_inventory, tmp_path)
    assert any("swap areas" in note for note in doctor(inventory).hosts[1].notes)
    assert not any("swap" in note for note in hosts(inventory).hosts[0].notes)


@pytest.mark.parametrize("value", ["example_check:SwapCheck", "example_plugin:CENTRES", "no_such_package:X"])
def test_a_broken_host_check_is_named_before_any_host_is_asked(
    monkeypatch: pytest.MonkeyPatch,
    example_plugin: None,
    make_inventory: Callable[..., Inventory],
    tmp_path: Path,
    value: str,
) -> None:
    point = EntryPoint("other", value, "being_remote.checks")
    monkeypatch.setattr(plugins, "entry_points", lambda group: (point,))
    with pytest.raises(UsageError, match=r"being_remote\.checks: .*'other'"):
        doctor(local_host(make_inventory, tmp_path))


def test_a_host_check_that_fails_is_a_problem_and_hides_no_other(
    monkeypatch: pytest.MonkeyPatch,
    example_plugin: None,
    make_inventory: Callable[..., Inventory],
    tmp_path: Path,
) -> None:
    from example_check import SwapCheck  # of the example plug-in

    def fail(self: object, host: object) -> None:
        raise HostError("no answer", host="here", hint="try again")

    monkeypatch.setattr(SwapCheck, "run", fail)
    row = doctor(local_host(make_inventory, tmp_path)).hosts[1]
    assert "SwapCheck: no answer: try again" in row.problems and row.python is not None
