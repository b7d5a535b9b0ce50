"""The shortcut for alike files: taken where it may be, and never where it would mislead."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import frame_factory as factory
import numpy as np
import pytest

from being_remote.errors import DataError
from being_remote.tracker import frame_entries, plain_pickle
from being_remote.tracker.frame_file import parse_frame
from being_remote.tracker.pickle_skeleton import Skeleton, skeleton_of


@pytest.fixture(autouse=True)
def nothing_learnt() -> Iterator[None]:
    frame_entries._layouts.clear()
    yield
    frame_entries._layouts.clear()


def content(number: int, **more: Any) -> dict[str, Any]:
    return {**factory.content(f"{number:05d}", seed=number), "global_step": 70_000 + number, **more}


def learnt(pickled: bytes) -> Skeleton | None:
    arrays = plain_pickle.load(pickled, "test").arrays
    return skeleton_of(pickled, arrays, frame_entries.LAST_KEYS)


def test_the_second_file_of_a_run_is_recognised_and_reads_the_same_as_alone() -> None:
    first, second = (factory.saved(content(n)) for n in (1, 2))
    alone = parse_frame(second, "00002.frame")
    frame_entries._layouts.clear()
    parse_frame(first, "00001.frame")
    assert frame_entries._recognise(factory.pickle_in(second)) is not None
    after = parse_frame(second, "00002.frame")
    assert (after.frame_id, after.global_step, after.keys) == (alone.frame_id, alone.global_step, alone.keys)
    for name in ("K", "R", "t"):
        np.testing.assert_array_equal(getattr(after, name), getattr(alone, name))
    for name, values in alone.flame.items():
        np.testing.assert_array_equal(after.flame[name], values)


def test_both_spellings_of_numpy_have_their_own_skeleton() -> None:
    data = factory.saved(content(1))
    parse_frame(data, "00001.frame")
    assert frame_entries._recognise(factory.pickle_in(factory.as_numpy_1(data))) is None
    parse_frame(factory.as_numpy_1(data), "00001.frame")
    assert len(frame_entries._layouts) == 2


def test_an_array_of_another_length_is_not_taken_for_one_of_the_run() -> None:
    data = factory.saved(content(1))
    pickled = factory.pickle_in(data)
    parse_frame(data, "00001.frame")
    at = _first_content(pickled)
    longer = pickled[: at + 1] + struct.pack("<I", _length(pickled, at) + 4) + b"\0" * 4 + pickled[at + 5 :]
    assert frame_entries._recognise(longer) is None
    with pytest.raises(DataError, match="claims 400 bytes and holds 404"):
        parse_frame(factory.with_pickle(data, longer), "00001.frame")


def _first_content(pickled: bytes) -> int:
    """Where the text of flame.exp begins: 400 bytes, some of which take two as text."""
    return next(i for i in range(len(pickled)) if pickled[i] == 0x58 and 400 < _length(pickled, i) < 900)


def _length(pickled: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", pickled, at + 1)[0])


@pytest.mark.parametrize("end", [b"u", b"u..", b"uN", b"s.", b""])
def test_another_ending_is_not_taken_for_one_of_the_run(end: bytes) -> None:
    pickled = factory.pickle_in(factory.saved(content(1)))
    skeleton = learnt(pickled)
    assert skeleton is not None and skeleton.fill(pickled) is not None
    assert skeleton.fill(pickled[:-2] + end) is None


def test_a_file_cut_anywhere_is_not_recognised() -> None:
    pickled = factory.pickle_in(factory.saved(content(1)))
    skeleton = learnt(pickled)
    assert skeleton is not None
    assert not any(skeleton.fill(pickled[:cut]) for cut in range(len(pickled)))


def test_a_changed_byte_outside_the_places_is_not_recognised() -> None:
    pickled = factory.pickle_in(factory.saved(content(1)))
    skeleton = learnt(pickled)
    assert skeleton is not None
    fixed = sum(map(len, skeleton.before)) + len(skeleton.tail)
    taken = sum(
        skeleton.fill(pickled[:at] + bytes([pickled[at] ^ 1]) + pickled[at + 1 :]) is not None
        for at in range(len(pickled))
    )
    # All that may change are the texts and the four bytes of the step.
    assert 0 < taken <= len(pickled) - fixed


def test_a_text_that_serves_twice_makes_no_skeleton() -> None:
    pickled = factory.pickle_in(factory.saved(content(1)))
    at = _first_content(pickled)
    slot_at = at + 5 + _length(pickled, at) + 1
    entry = b"X\x04\x00\x00\x00noteh" + pickled[slot_at : slot_at + 1]
    tail = pickled.index(b"X\x08\x00\x00\x00frame_id")
    twice = pickled[:tail] + entry + pickled[tail:]
    value = plain_pickle.load(twice, "test").value
    assert type(value["note"]) is str and learnt(pickled) is not None
    assert learnt(twice) is None


def test_other_last_entries_than_id_and_step_make_no_skeleton() -> None:
    def labelled(number: int) -> bytes:
        return factory.saved({**content(number), "label": f"take{number}", "count": 70_000 + number})

    assert learnt(factory.pickle_in(labelled(1))) is None
    for number in (1, 2):
        assert parse_frame(labelled(number), f"{number:05d}.frame").frame_id == f"{number:05d}"


def test_what_is_learnt_is_bounded() -> None:
    for n in range(3 * frame_entries.MAX_LAYOUTS):
        parse_frame(factory.saved({f"extra{n}": n, **content(1)}), "00001.frame")
    assert len(frame_entries._layouts) == frame_entries.MAX_LAYOUTS
