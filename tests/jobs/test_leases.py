"""GPUs by UUID: nobody shares one, nobody is overtaken, a foreign load is respected."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path

import pytest
from gpu_card import A100
from local_jobs import wait_until

# As drivers print them: a card that fell off the bus, one without the figure, and no driver at all.
LOST = (
    "Unable to determine the device handle for GPU0000:3B:00.0: GPU is lost.  "
    "Reboot the system to recover this GPU\n"
)
NO_DRIVER = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"
HOLD = "echo $CUDA_VISIBLE_DEVICES > ../gpus; while [ ! -e ../go ]; do sleep 0.02; done"


def uuid(n: int) -> str:
    return A100.format(i=n, u=n, used=0, use=0).split(", ")[1]


def go(desk, job: str, attempt: int = 1) -> None:
    (desk.folder(job, attempt) / "go").touch()


@pytest.mark.slow
def test_two_jobs_for_one_gpu_run_one_after_the_other(desk, card) -> None:
    first, second = (desk.spec("sh", "-c", HOLD, gpus=1) for _ in range(2))
    assert desk.submit(first).gpu == (uuid(0),)
    waits = desk.submit(second)
    assert (waits.state, waits.supervisor) == ("waiting", "waiting")
    assert desk.see(second.job).reason == "waits for 1 of 1 GPU: 1 leased by other jobs, 0 busy"
    assert not desk.folder(second.job, 1).exists()
    go(desk, first.job)
    desk.until(first.job, "succeeded")
    desk.until(second.job, "running")
    gpus = desk.folder(second.job, 1) / "gpus"
    wait_until(lambda: gpus.exists() and gpus.read_text() == f"{uuid(0)}\n")
    go(desk, second.job)
    desk.until(second.job, "succeeded")


@pytest.mark.slow
def test_four_that_wait_start_in_their_order_and_one_that_gives_up_blocks_nobody(
    desk, card, tmp_path: Path
) -> None:
    turn = f"echo {{work}} >> {tmp_path}/order"
    holder = desk.spec("sh", "-c", HOLD, gpus=1)
    desk.submit(holder)
    waiting = [desk.spec("sh", "-c", turn, gpus=1) for _ in range(4)]
    for spec in waiting:
        assert desk.submit(spec).state == "waiting"
    assert desk.see(waiting[3].job).reason == "waits for a GPU; 3 before it"
    assert desk.cancel(waiting[1].job).state == "cancelled"
    go(desk, holder.job)
    for i in (0, 2, 3):
        desk.until(waiting[i].job, "succeeded")
    order = [Path(line).parents[2].name for line in (tmp_path / "order").read_text().split()]
    assert order == [waiting[i].job for i in (0, 2, 3)]
    assert desk.see(waiting[1].job).state == "cancelled"


@pytest.mark.slow
def test_while_a_job_waits_the_driver_is_asked_once_in_each_pause(desk, card) -> None:
    card.says(A100.format(i=0, u="0", used=60000, use=97))
    spec = desk.spec("true", gpus=1)
    assert desk.submit(spec).state == "waiting"
    asked = len(card.calls())
    deadline = time.monotonic() + 30
    while len(card.calls()) < asked + 4:  # nothing but the waiting job asks meanwhile
        assert time.monotonic() < deadline
        time.sleep(0.05)
    calls = card.calls()[asked:]
    assert all(later - earlier > 0.4 for earlier, later in itertools.pairwise(calls)), calls


@pytest.mark.slow
def test_a_gpu_that_somebody_else_uses_is_waited_for(desk, card) -> None:
    card.says(
        A100.format(i=0, u=0, used=20143, use=97)
        + A100.format(i=1, u=1, used=4, use="[N/A]")
        + A100.format(i=2, u=2, used=4, use=88)
    )
    both = desk.spec("sh", "-c", HOLD, gpus=2)
    one = desk.spec("sh", "-c", HOLD, gpus=1)
    assert desk.submit(both).state == "waiting"
    # The free one is not kept from the queue's head, and nobody overtakes it.
    assert desk.submit(one).state == "waiting"
    assert desk.see(both.job).reason == "waits for 2 of 3 GPUs: 0 leased by other jobs, 2 busy"
    card.says(
        A100.format(i=0, u=0, used=4, use=0)
        + A100.format(i=1, u=1, used=4, use="[N/A]")
        + A100.format(i=2, u=2, used=4, use=88)
    )
    assert desk.until_on_gpus(both.job) == (uuid(0), uuid(1))
    assert desk.see(one.job).state == "waiting"
    card.says("".join(A100.format(i=i, u=i, used=4, use=0) for i in range(3)))
    assert desk.until_on_gpus(one.job) == (uuid(2),)
    assert (desk.folder(both.job, 1) / "gpus").read_text().strip() == f"{uuid(0)},{uuid(1)}"


@pytest.mark.slow
def test_a_gpu_stays_leased_while_a_payload_lives_whose_supervisor_was_killed(desk, card) -> None:
    first, second = (desk.spec("sh", "-c", HOLD, gpus=1) for _ in range(2))
    desk.submit(first)
    os.kill(desk.supervisor(first.job), signal.SIGKILL)
    assert desk.submit(second).state == "waiting"
    assert desk.see(first.job).state == "running"
    time.sleep(1.2)
    assert desk.see(second.job).state == "waiting"
    go(desk, first.job)
    desk.until(second.job, "running")


@pytest.mark.parametrize(
    ("capture", "code", "state"),
    [
        (NO_DRIVER, 9, "waiting"),
        (LOST, 15, "waiting"),
        ("", 0, "failed"),
        (A100.format(i=0, u=0, used=4, use=0), 0, "failed"),
    ],
)
def test_a_driver_in_trouble_is_waited_for_and_too_few_gpus_are_not(
    desk, card, capture: str, code: int, state: str
) -> None:
    card.says(capture, code)
    spec = desk.spec("true", gpus=2)
    assert desk.submit(spec).state == state
    seen = desk.see(spec.job)
    assert seen.reason.startswith(
        "it needs 2 GPUs, 0 can be used: nvidia-smi ended with"
        if state == "waiting"
        else "it needs 2 GPUs, the pod has"
    ), seen.reason


@pytest.mark.slow
@pytest.mark.parametrize("figure", ["[N/A]", "[GPU is lost]", "[Unknown Error]", "ERR!"])
def test_a_broken_gpu_is_leased_to_nobody_and_named_as_the_reason(desk, card, figure: str) -> None:
    whole, broken = A100.format(i=1, u=1, used=4, use=0), A100.format(i=0, u=0, used=figure, use=figure)
    card.says(broken)
    spec = desk.spec("sh", "-c", HOLD, gpus=1)
    assert desk.submit(spec).state == "waiting"
    assert "GPU 0 is broken: nvidia-smi shows" in desk.see(spec.job).reason
    assert [bool(gpu.broken) for gpu in desk.look().gpus] == [True]
    card.says(broken + whole)
    assert desk.until_on_gpus(spec.job) == (uuid(1),)


@pytest.mark.slow
def test_a_job_that_waits_longer_than_its_limit_ends_unstarted_and_says_what_it_waited_for(
    desk, card
) -> None:
    card.says(A100.format(i=0, u=0, used=20143, use=97))
    spec = desk.spec("touch", "{work}/../started", gpus=1, wait_s=0.5)
    assert desk.submit(spec).state == "waiting"
    ended = desk.until(spec.job, "failed")
    assert ended.reason == (
        "not started: it waited 0.5 s, its limit; waits for 1 of 1 GPU: 0 leased by other jobs, 1 busy"
    )
    assert ended.gpu == () and not (desk.folder(spec.job, 1) / "started").exists()


@pytest.mark.soak
def test_a_job_that_waits_while_the_driver_breaks_ends_after_two_minutes_with_the_reason(desk, card) -> None:
    card.says(A100.format(i=0, u=0, used=20143, use=97))
    spec = desk.spec("touch", "{work}/../started", gpus=1)
    assert desk.submit(spec).state == "waiting"
    card.says(NO_DRIVER, 9)
    ended = desk.until(spec.job, "failed", timeout_s=200.0)
    assert ended.reason.startswith(
        "it needs 1 GPU, 0 can be used: nvidia-smi ended with 9: NVIDIA-SMI has failed"
    )
    assert ended.reason.endswith("it was not started") and ended.gpu == ()
    assert not (desk.folder(spec.job, 1) / "started").exists()


@pytest.mark.slow
def test_a_mig_instance_is_leased_by_its_own_uuid_and_its_gpu_is_not(desk, card) -> None:
    card.says(A100.format(i=0, u=0, used=1500, use="[N/A]"))
    listed = f"GPU 0: A100 (UUID: {uuid(0)})\n"
    listed += "".join(f"  MIG 3g.20gb     Device  {n}: (UUID: MIG-{n}1f)\n" for n in range(2))
    card.splits(f"{uuid(0)}, Enabled\n", listed)
    first, second, third = (desk.spec("sh", "-c", HOLD, gpus=1) for _ in range(3))
    assert desk.submit(first).gpu == ("MIG-01f",) and desk.submit(second).gpu == ("MIG-11f",)
    assert desk.submit(third).state == "waiting"
    assert [(gpu.uuid, gpu.job) for gpu in desk.look().gpus] == [
        ("MIG-01f", first.job),
        ("MIG-11f", second.job),
    ]
    desk.until_on_gpus(first.job)
    assert (desk.folder(first.job, 1) / "gpus").read_text().strip() == "MIG-01f"


def test_status_names_the_gpus_and_who_leases_them(desk, card) -> None:

    spec = desk.spec("sh", "-c", HOLD, gpus=1)
    desk.submit(spec)
    before = desk.session.round_trips
    seen = desk.look()
    assert [(g.uuid, g.job, g.busy) for g in seen.gpus] == [(uuid(0), spec.job, False)]
    assert desk.session.round_trips == before + 1
    card.says(NO_DRIVER, 9)
    assert "couldn't communicate" in (desk.look().gpu_problem or "")
