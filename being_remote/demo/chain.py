"""The whole chain on a throw-away pod on this machine, with the commands that a user would type.

An actor with a known camera is put on the pod, and `trust`, `find-bbox`, `sync`, `recover`, `retrack` and
`pull` run as separate processes. Then the recovered camera is compared with the true one, and the pulled
intrinsics with our own transform of the same files. The files stay in the folder; the pod is removed,
unless it is kept.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from being_remote.demo.demo_folder import demo_folder, note_kept_pod
from being_remote.demo.typed_commands import DemoView, ShownCommand, run_commands
from being_remote.errors import InconsistentData

if TYPE_CHECKING:
    from being_remote.demo.actor import ActorTruth
    from being_remote.demo.guide_comparison import GuideComparison
    from being_remote.demo.pod import Pod

HOST, ACTOR = "pod", "demo"
_VIDEO = "original.mp4"  # what the researcher has on the laptop


@dataclass(frozen=True)
class SecondTracking:
    """What the second tracking found: the same camera through another crop."""

    job: str
    side: int
    image_size_wh: tuple[int, int]
    K: tuple[tuple[float, ...], ...]  # of the 1920x1080 video, as transformed on the pod and pulled
    equal: bool  # it equals, to the last bit, what `recover` makes of the pulled files (else the demo fails)
    focal_error_px: float  # difference from the true one
    intrinsics: Path


@dataclass(frozen=True)
class DemoReport:
    """The results of the chain. K in pixels, corner convention, of the 1920x1080 video."""

    steps: tuple[ShownCommand, ...]
    guide: GuideComparison
    K: tuple[tuple[float, ...], ...]
    K_true: tuple[tuple[float, ...], ...]
    focal_error_px: float
    centre_error_px: float
    reprojection_error_px: float
    points: int
    folder: Path
    report: Path
    overlay: Path
    cameras: Path
    retracked: SecondTracking
    kept_pod: str | None
    kept_pid: int | None
    seconds: float
    exit_code: int = 0


def commands(fingerprint: str) -> tuple[tuple[str, ...], ...]:
    """The chain as a user types it; the fingerprint is what the pod's console shows."""
    return (
        ("trust", "--host", HOST, "--fingerprint", fingerprint),
        ("find-bbox", "--host", HOST),
        ("sync", "--host", HOST, "--verify"),
        ("recover", "--explain"),
        ("retrack", "--host", HOST, "--preset", "gaussiantalker-round2", "--follow"),
        ("pull", "last", "--all"),
    )


def demo(folder: Path, view: DemoView, *, keep: bool = False) -> DemoReport:
    """Run the chain in `folder`, which is created; an earlier demo's folder is replaced.

    Raises:
        UsageError: the folder exists and was not made by a demo.
        BeingRemoteError: a step of the chain failed; its own message was shown before.
        ToolMissing: this machine has no sshd.
    """
    started = time.monotonic()
    view.note("drawing a head, filmed at 1920x1080 and tracked in a crop: ten seconds or so")
    with demo_folder(folder) as made:
        # Imported here: the line above is printed at once.
        from being_remote.demo.actor import make_actor
        from being_remote.demo.checkout import install
        from being_remote.demo.guide_comparison import PICTURE, compare_with_guide
        from being_remote.demo.pod import start_pod

        pod = start_pod(made / "pod", name=HOST)
        kept = False
        try:
            checkout = pod.root / "metrical-tracker"
            truth = make_actor(checkout, ACTOR)
            install(checkout, truth)
            shutil.copy(truth.input_folder / "video.mp4", made / _VIDEO)
            guide = compare_with_guide(truth, truth.output_folder, made / _VIDEO, made / PICTURE)
            view.show_comparison(guide)
            view.note(f"a pod listens on {pod.address} port {pod.port}; its console shows {pod.fingerprint}")
            _write_inventory(made, pod)
            hint = "its own message is above; `demo --keep` leaves the pod running, to try by hand"
            steps = run_commands(commands(pod.fingerprint), made, view, hint=hint)
            report = _compared(made, truth, guide, steps, started, kept=pod if keep else None)
            if keep:
                note_kept_pod(made, pod.pid)
                kept = True
            return report
        finally:
            if not kept:
                pod.stop()
                shutil.rmtree(made / "pod")


def _write_inventory(folder: Path, pod: Pod) -> None:
    (folder / "no-ssh-config").touch()
    entry = pod.inventory_entry()
    # The stand-in for the tracker runs in our own environment, and needs no GPU.
    entry = {**entry, "tracker": {**entry["tracker"], "python": sys.executable}, "gpus": 0}
    inventory = {
        "hosts": {HOST: entry},
        "actors": {ACTOR: {"video": _VIDEO}},
        "backups": "backup",
        "search_roots": [],
        "ssh_config": "no-ssh-config",  # whatever ~/.ssh/config says of 127.0.0.1
    }
    (folder / "inventory.yaml").write_text(yaml.safe_dump(inventory, sort_keys=False))


def _compared(
    folder: Path,
    truth: ActorTruth,
    guide: GuideComparison,
    steps: tuple[ShownCommand, ...],
    started: float,
    *,
    kept: Pod | None,
) -> DemoReport:
    import numpy as np

    from being_remote.camera.pose import project

    out = folder / "recovered" / ACTOR
    cameras = json.loads((out / "cameras.json").read_text())
    K = np.array(cameras["K"])
    worst_px = 0.0
    for i, frame in enumerate(cameras["frames"]):
        ours = project(K, np.array(frame["R"]), np.array(frame["t"]), truth.vertices)
        true = project(truth.K_source, truth.R[i], truth.t[i], truth.vertices)
        worst_px = max(worst_px, float(np.linalg.norm(ours - true, axis=-1).max()))
    off = np.abs(K - truth.K_source)
    return DemoReport(
        steps=steps,
        guide=guide,
        K=tuple(map(tuple, K.tolist())),
        K_true=tuple(map(tuple, truth.K_source.tolist())),
        focal_error_px=float(max(off[0, 0], off[1, 1])),
        centre_error_px=float(max(off[0, 2], off[1, 2])),
        reprojection_error_px=worst_px,
        points=len(truth.vertices) * len(cameras["frames"]),
        folder=folder,
        report=out / "report.html",
        overlay=out / "overlay.png",
        cameras=out / "cameras.json",
        retracked=_retracked(folder, truth),
        kept_pod=_reach(kept) if kept is not None else None,
        kept_pid=kept.pid if kept is not None else None,
        seconds=time.monotonic() - started,
    )


def _retracked(folder: Path, truth: ActorTruth) -> SecondTracking:
    """Compare what the pod transformed with our own transform of the frames that were pulled with it.

    Raises:
        InconsistentData: they differ.
    """
    from being_remote.inventory import load_inventory
    from being_remote.tracker.intrinsics_file import read_intrinsics
    from being_remote.workflows.recover import EvidenceChoice, OutputChoice, RunChoice, recover

    (intrinsics,) = (folder / "backup" / ACTOR / "runs").glob("*/intrinsics.json")
    job, pulled = intrinsics.parent.name, read_intrinsics(intrinsics)
    ours = recover(
        load_inventory(folder / "inventory.yaml"),
        RunChoice(job),
        EvidenceChoice(video=folder / _VIDEO),
        OutputChoice(exports=("json",), out=folder / "recovered" / job),
    )
    if pulled.K != ours.K:
        raise InconsistentData(f"says K is {pulled.K}, our own transform says {ours.K}", file=str(intrinsics))
    return SecondTracking(
        job=job,
        side=pulled.crop.side,
        image_size_wh=pulled.crop.image_size_wh,
        K=pulled.K,
        equal=True,
        focal_error_px=abs(pulled.K[0][0] - float(truth.K_source[0, 0])),
        intrinsics=intrinsics,
    )


def _reach(pod: Pod) -> str:
    return f"ssh -i {pod.client_key} -p {pod.port} {pod.user}@{pod.address}"
