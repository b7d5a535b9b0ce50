"""What nvidia-smi says of GPUs: idle, busy, broken, split by MIG."""

from __future__ import annotations

import pytest

from being_remote.pod import gpus, wait_limits
from being_remote.pod.gpus import UNREADABLE, find_obstacle, parse, split_by_mig
from being_remote.pod.wait_limits import WaitLimits


@pytest.mark.parametrize(
    ("figures", "busy", "broken"),
    [
        ("81920, 4, 0", False, None),
        ("81920, 1025, 0", True, None),
        ("81920, 4, 21", True, None),
        ("7979, 1934, 86", True, None),  # an RTX 2080 at work (driver 440.64)
        ("81920, 4, [N/A]", False, None),
        ("[N/A], [N/A], 3", False, None),  # a GPU that shares the host's memory
        ("[N/A], [N/A], [N/A]", False, UNREADABLE),
        ("81920, [N/A], 0", False, UNREADABLE),
        ("81920, 600, ERR!", False, "nvidia-smi shows ERR!"),
        ("[GPU is lost], [GPU is lost], [GPU is lost]", False, "nvidia-smi shows [GPU is lost]"),
        ("81920, [Unknown Error], 0", False, "nvidia-smi shows [Unknown Error]"),
        ("81920, 4, [GPU requires reset]", False, "nvidia-smi shows [GPU requires reset]"),
        # An A100 split by MIG, seen from an unprivileged container (driver 535.161.08):
        ("[Insufficient Permissions], [Insufficient Permissions], [N/A]", False, UNREADABLE),
    ],
)
def test_a_gpu_whose_figures_cannot_be_read_is_broken_and_never_free(
    figures: str, busy: bool, broken: str | None
) -> None:
    found, odd = parse(f"1, GPU-b, X, {figures}\n0, GPU-a, Y, 1, 2, 3\n")
    assert [g["uuid"] for g in found] == ["GPU-a", "GPU-b"] and odd == []
    assert (found[1]["busy"], found[1]["broken"]) == (busy, broken)


@pytest.mark.parametrize(
    "line", ["No devices were found", "0, ../../x, Y, 1, 2, 3", "0, GPU-a, Y, 1, 2", "x, GPU-a, Y, 1, 2, 3"]
)
def test_a_line_that_is_no_gpu_is_said_and_never_leased(line: str) -> None:
    assert parse(line) == ([], [line])


LISTED = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-a)
  MIG 3g.20gb     Device  0: (UUID: MIG-1f)
  MIG 1g.5gb      Device  1: (UUID: MIG-2e)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-b)
GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-c)
"""


def test_a_gpu_with_mig_on_is_replaced_by_its_instances_and_one_without_any_is_broken() -> None:
    parents, _ = parse("".join(f"{i}, GPU-{n}, A100, 40960, 1500, [N/A]\n" for i, n in enumerate("abc")))
    modes = "GPU-a, Enabled\nGPU-b, Enabled\nGPU-c, Disabled\n"
    found = split_by_mig(parents, modes, LISTED)
    assert [(g["index"], g["uuid"], g["name"], g["busy"], g["broken"]) for g in found] == [
        (0, "MIG-1f", "A100 MIG 3g.20gb", False, None),
        (0, "MIG-2e", "A100 MIG 1g.5gb", False, None),
        (1, "GPU-b", "A100", False, "MIG is on, no instance"),
        (2, "GPU-c", "A100", True, None),
    ]


@pytest.mark.parametrize(("used", "shown"), [("300", 300), ("20000", None), ("[N/A]", None)])
def test_mig_instances_are_known_to_be_idle_only_where_their_gpu_is(used: str, shown: int | None) -> None:
    parents, _ = parse(f"0, GPU-a, A100, 40960, {used}, [N/A]")
    assert [g["memory_used_mib"] for g in split_by_mig(parents, "GPU-a, Enabled", LISTED)] == [shown, shown]


def test_mig_instances_without_uuids_of_their_own_are_not_leased() -> None:
    parents, _ = parse("0, GPU-a, A100, 40960, 4, [N/A]")
    listed = "GPU 0: A100 (UUID: GPU-a)\n  MIG 3g.20gb Device 0: (UUID: MIG-GPU-a/1/0)\n"
    (found,) = split_by_mig(parents, "", listed)
    assert found["broken"] == "its MIG instances have no UUIDs: needs driver 470"


@pytest.mark.parametrize(
    ("text", "problem", "count", "expected", "repairable"),
    [
        ("0, GPU-a, X, 1, 0, 0", None, 1, None, False),
        ("0, GPU-a, X, 1, 0, 0", "nvidia-smi ended with 15: GPU is lost", 1, None, False),
        ("", None, 0, None, False),
        ("", gpus.NO_NVIDIA_SMI, 1, "it needs 1 GPU, but no nvidia-smi found", False),
        ("", "nvidia-smi ended with 6: No devices were found", 1, "it needs 1 GPU, the pod has 0", False),
        ("0, GPU-a, X, 1, 0, 0", None, 2, "it needs 2 GPUs, the pod has 1", False),
        ("", "nvidia-smi gave no answer", 1, "it needs 1 GPU, 0 can be used: nvidia-smi gave no", True),
        ("0, GPU-a, X, 1, ERR!, 0", None, 1, "it needs 1 GPU, 0 can be used: GPU 0 is broken: nvi", True),
    ],
)
def test_too_few_gpus_broken_gpus_and_enough_gpus_are_told_apart(
    text: str, problem: str | None, count: int, expected: str | None, repairable: bool
) -> None:
    obstacle, by_repair = find_obstacle(parse(text)[0], problem, count)
    assert (obstacle and obstacle[: len(expected or "")], by_repair) == (expected, repairable)


def test_a_wait_ends_at_its_own_limit_or_after_two_minutes_of_a_broken_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(wait_limits.time, "monotonic", lambda: now)
    endless, bounded = WaitLimits(None), WaitLimits(300.0)
    for at, broken, ends, ends_bounded in (
        (1000.0, "no driver", False, False),
        (1119.0, "no driver", False, False),
        (1119.5, None, False, False),  # it answers again: the count starts anew
        (1121.0, "no driver", False, False),
        (1240.0, "no driver", False, False),
        (1241.0, "no driver", True, True),
        (1290.0, None, False, False),
        (1300.0, None, False, True),
    ):
        now = at
        assert (endless.find_exceeded(broken, "waits") is not None) is ends, at
        assert (bounded.find_exceeded(broken, "waits") is not None) is ends_bounded, at
    assert bounded.find_exceeded(None, "1 busy") == "not started: it waited 300 s, its limit; 1 busy"
