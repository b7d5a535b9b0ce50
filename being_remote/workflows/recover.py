"""`recover`: from a run's checkpoints to the cameras of the original video.

The crop comes from bbox.pt, or from the run's stored crops or landmarks; where crops and the original
frames are at hand, it is compared with the pixels. Exports, pictures and the report page go into
`out`, by default `recovered/<run>` in the current folder: never into the backup, where every file is
taken for something that came from a pod. What is assumed rather than known is among the warnings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from being_remote.recovery.recovery_report import RecoverReport
from being_remote.recovery.recovery_request import EvidenceChoice, OutputChoice, RunChoice
from being_remote.session import OnProgress, no_progress
from being_remote.workflows.missing_crop import explain_missing_crop
from being_remote.workflows.run_names import add_origins, find_run

if TYPE_CHECKING:
    from being_remote.inventory import Inventory
    from being_remote.recovery.found_crop import FoundCrop
    from being_remote.recovery.recovery_input import OpenVideos, RecoveryInput

__all__ = ["EvidenceChoice", "OutputChoice", "RecoverReport", "RunChoice", "recover"]


def recover(
    inventory: Inventory | None,
    run: RunChoice | None = None,
    evidence: EvidenceChoice | None = None,
    output: OutputChoice | None = None,
    *,
    on_progress: OnProgress = no_progress,
) -> RecoverReport:
    """Recover the cameras of the original video from one run.

    Args:
        inventory: needed unless `run` is a folder and a size is given.
        run: which run; default: the run of the inventory's only actor.
        evidence: what to find the crop by; default: the best evidence on this laptop.
        output: what to write and report; default: all exports that need nothing more.

    Raises:
        UsageError: the request contradicts itself or the files, or leaves something open.
        NotFoundError: no run, no frames, no video, nothing that tells the crop, or a file that an
            export needs.
        HostError: nothing local tells the crop, and a host could not be asked.
        DataError: files that are unsafe, torn, or contradict each other.
    """
    from being_remote.recovery.camera_recovery import recover_cameras, write_cameras
    from being_remote.recovery.recovery_input import OpenVideos

    run, evidence, output = run or RunChoice(), evidence or EvidenceChoice(), output or OutputChoice()
    with OpenVideos() as videos:
        case, found = find_crop(inventory, run, evidence, output, videos, on_progress)
        recovered = recover_cameras(case, found, output, check=evidence.check, on_progress=on_progress)
        return write_cameras(recovered, output, on_progress)


def find_crop(
    inventory: Inventory | None,
    run: RunChoice,
    evidence: EvidenceChoice,
    output: OutputChoice,
    videos: OpenVideos,
    on_progress: OnProgress,
) -> tuple[RecoveryInput, FoundCrop]:
    """Read a run and find its crop; the first part of `recover`, and as it raises.

    Args:
        output: what will be written; refused here where it never can be.
        videos: what is opened, which stays open as long as its caller wants.
    """
    from being_remote.recovery import crop_method
    from being_remote.recovery.recovery_input import read_input
    from being_remote.recovery.trainer_exports import choose_targets
    from being_remote.tracker.settings_forecast import parse_what_if

    # What was typed wrong is refused before a long search, not after it.
    choose_targets(output.exports, output.canvas)
    parse_what_if(output.what_if, {})
    if output.plot:
        from being_remote.report.plots import check_matplotlib

        check_matplotlib()
    local_run = add_origins(find_run(inventory, run.actor, run.run))
    case = read_input(local_run, evidence, videos)
    parse_what_if(output.what_if, case.crop_settings)
    found = crop_method.find_crop(case, evidence, on_progress)
    if found is None:
        raise explain_missing_crop(case, inventory, dry_run=output.dry_run)
    return case, found
