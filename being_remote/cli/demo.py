"""The command `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from being_remote.cli.command import command_without_inventory
from being_remote.cli.options import DryRunOpt, flag, option
from being_remote.cli.output import Out


@command_without_inventory
def demo(
    out: Out,
    keep: Annotated[bool, flag("--keep", "leave the pod running, to try commands by hand")] = False,
    out_dir: Annotated[Path, option("DIR", "output folder", "--out")] = Path("demo-out"),
    dry_run: DryRunOpt = False,
) -> None:
    """Run the whole chain on a local test pod."""
    from being_remote.cli.demo_output import run_quietly, run_shown, show_demo, show_plan
    from being_remote.demo import chain

    if dry_run:
        out.finish(chain.plan(out_dir), show_plan)
    else:
        run_command = run_quietly if out.as_json else run_shown
        out.finish(chain.demo(out_dir, run_command, out.note, keep=keep), show_demo)
