"""Every command, in the order of the help: its module, its summary and command lines to copy.

A command is imported when it is asked for: the start of one does not wait for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class CommandEntry(NamedTuple):
    """One command.

    Attributes:
        module: the module of `cli/` that has its function.
        summary: the first line of its docstring.
        examples: command lines without the program's name; a `#` begins a remark.
    """

    module: str
    summary: str
    examples: tuple[str, ...]


GROUPS: Mapping[str, Mapping[str, CommandEntry]] = {
    "Cameras": {
        "find-bbox": CommandEntry(
            "find_bbox",
            "Search hosts and this laptop for bbox.pt.",
            ("find-bbox --host a100", "find-bbox --actor roman --fetch"),
        ),
        "recover": CommandEntry(
            "recover",
            "Recover the original video's camera.",
            (
                "recover --actor roman",
                "recover --from-images roman.mp4 --export gaussian-avatars",
                "recover --what-if bbox_scale=3.5    # writes nothing",
            ),
        ),
        "analyze": CommandEntry(
            "runs",
            "Show what one .frame file contains.",
            ("analyze 00000.frame", "analyze 00000.frame --source-size 1920x1080"),
        ),
        "compare": CommandEntry(
            "runs", "Compare two runs or two configs.", ("compare roman last", "compare a.yml b.yml")
        ),
    },
    "Files": {
        "sync": CommandEntry(
            "sync",
            "Download an actor's files, verified.",
            (
                "sync --host a100",
                "sync --watch        # while a tracker runs",
                "sync --restore 3    # contacts no host",
            ),
        ),
        "push": CommandEntry(
            "push",
            "Upload an actor's input or a tracker.",
            ("push --host b200 --actor roman", "push --host b200 --tracker ~/metrical-tracker"),
        ),
    },
    "Jobs": {
        "retrack": CommandEntry(
            "retrack",
            "Track an actor again, as a job on a host.",
            (
                "retrack --host a100 --preset gaussiantalker-round2 --follow",
                "retrack --host a100 --set 'image_size=[768, 768]' --dry-run",
                "retrack --host a100 --sweep 'bbox_scale=[2.5, 3.0]'",
            ),
        ),
        "run": CommandEntry(
            "run",
            "Run any command as a job on a host.",
            (
                "run --host a100 -- nvidia-smi -L",
                "run --input train.py --follow -- python train.py {actor}",
            ),
        ),
        "jobs": CommandEntry("jobs", "List the jobs of all hosts.", ("jobs", "jobs --why last")),
        "logs": CommandEntry(
            "jobs",
            "Print a job's log, or follow it.",
            ("logs last --follow", "logs last --tail 50 --since 20m"),
        ),
        "cancel": CommandEntry(
            "jobs", "Cancel a job and end its processes.", ("cancel last", "cancel --all --host a100")
        ),
        "pull": CommandEntry(
            "jobs",
            "Download a job's results, verified.",
            ("pull last", "pull last --all    # checkpoints too"),
        ),
        "resume": CommandEntry(
            "jobs",
            "Start the next attempt of a job.",
            ("resume last --follow", "resume last --host b200 --pod-is-gone"),
        ),
        "forget": CommandEntry(
            "jobs",
            "Remove a finished job's folder on its host.",
            ("forget last", "forget last --dry-run"),
        ),
    },
    "Hosts": {
        "init": CommandEntry(
            "init",
            "Start with a pod from its ssh line.",
            (
                'init "ssh root@203.0.113.10 -p 19870"',
                'init --add --name b200 "ssh root@203.0.113.11 -p 22"',
            ),
        ),
        "hosts": CommandEntry(
            "hosts", "List the hosts and whether they answer.", ("hosts", "hosts --host a100 --json")
        ),
        "doctor": CommandEntry(
            "hosts", "Check what hosts and this laptop lack.", ("doctor", "doctor --host a100")
        ),
        "trust": CommandEntry(
            "hosts",
            "Trust a host's SSH key.",
            ("trust --host a100", "trust --host a100 --fingerprint SHA256:..."),
        ),
        "ssh": CommandEntry("hosts", "Open a shell on a host.", ("ssh", "ssh a100")),
        "safe-to-stop": CommandEntry(
            "safe_to_stop",
            "Check whether a host can be stopped.",
            ("safe-to-stop --host a100", "safe-to-stop --host a100 --then 'my-provider stop a100'"),
        ),
    },
    "To try": {
        "demo": CommandEntry(
            "demo",
            "Run the whole chain on a local test pod.",
            ("demo --quick    # no pod, 10 s", "demo", "demo --keep     # to try by hand"),
        ),
    },
}
COMMANDS: Mapping[str, CommandEntry] = {
    name: entry for group in GROUPS.values() for name, entry in group.items()
}
