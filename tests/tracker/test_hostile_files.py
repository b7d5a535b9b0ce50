"""Files made to harm: refused by name, in bounded memory, and nothing of them ever runs."""

from __future__ import annotations

import io
import os
import pickle
import random
import re
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import foreign_frames as foreign
import frame_factory as factory
import numpy as np
import pytest

from being_remote.errors import DataError, InconsistentData, UnsafeFile
from being_remote.tracker import frame_entries
from being_remote.tracker.box_file import parse_box
from being_remote.tracker.frame_file import parse_frame

GENUINE = factory.saved(factory.content())
GENUINE_BOX = factory.saved(np.array([510, 1410, 90, 990]))


def box_of(pickled: bytes) -> bytes:
    return factory.archived({"bbox/data.pkl": pickled, "bbox/version": b"3\n"})


class _Calls:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def text(s: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(s)) + s


def array_of(shape: bytes, dtype: bytes, content: bytes) -> bytes:
    """A hand-made array in numpy's own words; `content` is an opcode sequence."""
    return (
        b"\x80\x02cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
        b"c_codecs\nencode\n"
        + text(b"b")
        + text(b"latin1")
        + b"\x86R\x87R(K\x01"
        + shape
        + b"cnumpy\ndtype\n"
        + text(dtype)
        + b"\x89\x88\x87R(K\x03"
        + text(b"<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + content
        + b"tb."
    )


LATIN = b"c_codecs\nencode\n" + text(b"\x00" * 16) + text(b"latin1") + b"\x86R"
PWNED = "touch pwned"
HOSTILE = {
    "os.system": (pickle.dumps(_Calls(os.system, PWNED), 2), r"asks for posix\.system"),
    "os.system by its other name": (
        b"\x80\x02cos\nsystem\n" + text(PWNED.encode()) + b"\x85R.",
        r"asks for os\.system",
    ),
    "eval": (pickle.dumps(_Calls(eval, "1+1"), 2), r"asks for __builtin__\.eval"),
    "exec of Python 3's name": (
        b"\x80\x02cbuiltins\nexec\n" + text(b"1") + b"\x85R.",
        r"asks for builtins\.exec",
    ),
    "a getattr chain": (
        pickle.dumps(_Calls(getattr, _Calls(__import__, "os"), "system"), 2),
        r"asks for __builtin__\.getattr",
    ),
    "torch's own dangerous helper": (b"\x80\x02ctorch.hub\nload\n)R.", r"asks for torch\.hub\.load"),
    "a name below numpy": (b"\x80\x02cnumpy\nload\n)R.", r"asks for numpy\.load"),
    "a dotted name": (b"\x80\x02cnumpy\nndarray.__class__\n)R.", r"asks for numpy\.ndarray\.__class__"),
    "a name with colours": (b"\x80\x02cos\n\x1b[31m\n)R.", r"asks for 'os\.\\x1b"),
    "a name without end": (b"\x80\x02c" + b"a" * 5000, "a name that has no end"),
    "LONG_BINPUT claiming 4 GiB": (b"\x80\x02Nr\xff\xff\xff\xff.", "claims memo slot 4294967295"),
    "BINPUT of a slot far away": (b"\x80\x02Nq\xc8.", "claims memo slot 200"),
    "text longer than the file": (b"\x80\x02X\xff\xff\xff\x7fabc.", "claims 2147483647 bytes of text"),
    "BINBYTES": (b"\x80\x02B\xff\xff\xff\xff.", "opcode 0x42"),
    "BYTEARRAY8": (b"\x80\x02\x96" + b"\xff" * 8 + b".", "opcode 0x96"),
    "a frame of protocol 4": (b"\x80\x04\x95" + b"\xff" * 8 + b".", "claims 18446744073709551615 bytes"),
    "protocol 1": (b"\x80\x01}.", "another protocol"),
    "protocol 6": (b"\x80\x06}.", "another protocol"),
    "STACK_GLOBAL in protocol 2": (b"\x80\x02\x93.", "opcode 0x93"),
    "os.system by STACK_GLOBAL": (
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0btouch pwned\x85R.",
        r"asks for os\.system",
    ),
    "a dotted name by STACK_GLOBAL": (
        b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93)R.",
        r"asks for numpy\.ndarray\.__class__",
    ),
    "a name with a newline in it": (
        b"\x80\x04\x8c\x05numpy\x8c\x0edtype\nbuiltins\x93)R.",
        r"asks for numpy\.dtype\.builtins",
    ),
    "a name that is no text": (b"\x80\x04K\x01K\x02\x93.", "not text"),
    "SHORT_BINUNICODE longer than the file": (b"\x80\x04\x8c\xffabc.", "claims 255 bytes of text"),
    "SHORT_BINBYTES longer than the file": (b"\x80\x04C\xffabc.", "claims 255 bytes of bytes"),
    "BINBYTES of 4 GiB": (b"\x80\x04B\xff\xff\xff\xffabc.", "claims 4294967295 bytes"),
    "BYTEARRAY8 of 16 EiB": (b"\x80\x05\x96" + b"\xff" * 8 + b".", "claims 18446744073709551615 bytes"),
    "BYTEARRAY8 in protocol 4": (b"\x80\x04\x96" + b"\x00" * 8 + b".", "opcode 0x96"),
    "NEXT_BUFFER": (b"\x80\x05\x97.", "opcode 0x97"),
    "NEWOBJ_EX": (b"\x80\x04)})\x92.", "opcode 0x92"),
    "EMPTY_SET": (b"\x80\x04\x8f.", "opcode 0x8f"),
    "BINUNICODE8": (b"\x80\x04\x8d" + b"\xff" * 8 + b".", "opcode 0x8d"),
    "an array over a buffer of another length": (
        b"\x80\x05\x8c\x12numpy.core.numeric\x8c\x0b_frombuffer\x93(C\x04abcdcnumpy\ndtype\n"
        + text(b"i8")
        + b"\x89\x88\x87R(K\x03"
        + text(b"<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbK\x04\x85\x8c\x01CtR.",
        "claims 32 bytes and holds 4",
    ),
    "a parameter of something else": (
        b"\x80\x02ctorch._utils\n_rebuild_parameter\nK\x01\x89}\x87R.",
        "a parameter in another way",
    ),
    "a torch.Size of text": (b"\x80\x02ctorch\nSize\n" + text(b"x") + b"\x85R.", "torch.Size"),
    "a storage that is called": (b"\x80\x02ctorch\nFloatStorage\n)R.", "does not make"),
    "LONG4": (b"\x80\x02\x8b\xff\xff\xff\x7f.", "opcode 0x8b"),
    "a whole number of 255 bytes": (b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".", "255 bytes"),
    "an extension code": (b"\x80\x02\x82\x01.", "opcode 0x82"),
    "INST": (b"\x80\x02(ios\nsystem\n.", "opcode 0x69"),
    "NEWOBJ": (b"\x80\x02cnumpy\nndarray\n)\x81.", "opcode 0x81"),
    "deep nesting": (b"\x80\x02)" + b"\x85" * 30_000 + b".", "more than 20000 pickle opcodes"),
    "nesting just within the count": (
        b"\x80\x02)" + b"\x85" * 19_000 + b".",
        "it holds 1 entries|whole numbers",
    ),
    "marks without end": (b"\x80\x02" + b"(" * 15_000 + b".", "left over|too early"),
    "popping below the mark": (b"\x80\x02K\x01(\x86t.", "takes more than it put down"),
    "an empty pickle": (b"", "another protocol"),
    "no STOP": (b"\x80\x02K\x01", "ends too early"),
    "more after STOP": (b"\x80\x02K\x01.K\x01.", "left over"),
    "a tensor storage in no archive": (b"\x80\x02" + text(b"storage") + b"Q.", "points to a tensor storage"),
    "calling an array": (b"\x80\x02cnumpy\nndarray\n)R.", "does not make"),
    "setting the state of a dict": (b"\x80\x02}}b.", "state of something"),
    "items of a tuple": (b"\x80\x02)K\x01K\x02s.", "not a dict"),
    "appending to a dict": (b"\x80\x02}K\x01a.", "not a list"),
    "10 GiB of array": (
        array_of(b"J" + struct.pack("<i", 10 << 27) + b"\x85", b"i8", LATIN),
        "claims 10737418240 bytes and holds 16",
    ),
    "array dimensions whose product overflows": (
        array_of(b"(" + b"\x8a\x08" + b"\xff" * 7 + b"\x7f" + b"K\x10K\x10" + b"t", b"i8", LATIN),
        "claims .* and holds 16",
    ),
    "a negative dimension": (array_of(b"J\xff\xff\xff\xff\x85", b"i8", LATIN), "array shape"),
    "a thousand dimensions": (array_of(b"(" + b"K\x01" * 1000 + b"t", b"i8", LATIN), "array shape"),
    "an object array": (pickle.dumps(np.array([1, "x"], dtype=object), 2), "array of objects"),
    "a structured array": (pickle.dumps(np.zeros(2, "i4,i4"), 2), "array of dtype 'V8'"),
    "big-endian numbers": (pickle.dumps(np.arange(4, dtype=">i8"), 2), "little-endian"),
    "objects under a number's dtype": (array_of(b"K\x02\x85", b"i8", b"]"), "array of objects"),
    "an array that is never filled": (array_of(b"K\x02\x85", b"i8", LATIN)[:-2] + b"0.", "opcode 0x30"),
    "an array that stays unfilled": (
        b"\x80\x02cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85c_codecs\nencode\n"
        + text(b"b")
        + text(b"latin1")
        + b"\x86R\x87R.",
        "left over",
    ),
    "a memo slot that is filled twice": (b"\x80\x02]q\x00q\x00.", "memo slot 0 where 1 is the next"),
    "a call with a number for its arguments": (b"\x80\x02c_codecs\nencode\nK\x05R.", "calls something"),
    "a call with a list for its arguments": (
        b"\x80\x02c_codecs\nencode\n](" + text(b"x") + text(b"latin1") + b"eR.",
        "calls something",
    ),
    "a tuple as a dict's key": (b"\x80\x02}))s.", "not a dict of names"),
    "broken text": (b"\x80\x02" + text(b"\xff\xfe") + b".", "not valid"),
}


@pytest.mark.parametrize(("pickled", "says"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_pickle_is_refused_by_what_was_found(
    pickled: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for parse, data in ((parse_box, box_of(pickled)), (parse_frame, factory.with_pickle(GENUINE, pickled))):
        with pytest.raises(DataError) as caught:
            parse(data, "00000.frame")
        if parse is parse_box:
            assert caught.match(says)
            assert isinstance(caught.value, UnsafeFile) or says.startswith("it holds 1")
    assert list(tmp_path.iterdir()) == []


def test_a_memo_bomb_that_encodes_one_text_over_and_over_is_stopped() -> None:
    once = b"h\x00h\x01h\x02\x86R"
    bomb = (
        b"\x80\x02(c_codecs\nencode\nq\x00"
        + text(b"\x00" * 60_000)
        + b"q\x01"
        + text(b"latin1")
        + b"q\x02"
        + once * 3000
        + b"t."
    )
    with pytest.raises(UnsafeFile, match="more bytes than it holds"):
        parse_frame(factory.with_pickle(GENUINE, bomb), "00000.frame")


def test_a_billion_laughs_of_shared_tuples_costs_nothing() -> None:
    bomb = b"\x80\x02)q\x00"
    for slot in range(200):
        bomb += b"h%ch%c\x86q%c" % (slot, slot, slot + 1)
    laughs = factory.with_pickle(GENUINE, bomb + b"\x86" * 200 + b".")
    dicts = b"\x80\x02}q\x00"
    for slot in range(200):
        dicts += b"}(K\x01h%cK\x02h%cuq%c" % (slot, slot, slot + 1)
    for data in (laughs, factory.with_pickle(GENUINE, dicts + b".")):
        with pytest.raises(DataError):
            parse_frame(data, "00000.frame")


def test_a_tensor_that_shows_one_number_a_billion_times_is_refused() -> None:
    import torch

    data = factory.saved(torch.tensor([7]))
    pickled = factory.pickle_in(data)
    wide = pickled.replace(b"K\x00K\x01\x85q\x06K\x01\x85", b"K\x00J\x00\x00\x00\x40\x85q\x06K\x00\x85")
    assert wide != pickled
    with pytest.raises(UnsafeFile, match="beyond its storage"):
        parse_box(factory.with_pickle(data, wide), "bbox.pt")


@pytest.mark.parametrize(
    ("instead", "refused"),
    [
        (b"K\x00K\x03\x85q\x06K\x01\x85", False),
        (b"K\x01K\x03\x85q\x06K\x01\x85", False),
        (b"K\x01K\x04\x85q\x06K\x01\x85", True),  # one number beyond the last
        (b"K\x00K\x03\x85q\x06K\x02\x85", True),
    ],
)
def test_a_tensor_ends_with_its_storage(instead: bytes, refused: bool) -> None:
    import torch

    data = factory.saved(torch.tensor([1, 2, 3, 4]))
    pickled = factory.pickle_in(data)
    changed = pickled.replace(b"K\x00K\x04\x85q\x06K\x01\x85", instead)
    assert changed != pickled
    kind, says = (UnsafeFile, "beyond its storage") if refused else (InconsistentData, "holds an array of 3")
    with pytest.raises(kind, match=says):
        parse_box(factory.with_pickle(data, changed), "bbox.pt")


def test_a_tensor_that_claims_more_storage_than_is_there_is_refused() -> None:
    import torch

    data = factory.saved(torch.tensor([1, 2, 3, 4]))
    pickled = factory.pickle_in(data)
    with pytest.raises(UnsafeFile, match="claims 200 items and holds 32 bytes"):
        parse_box(factory.with_pickle(data, pickled.replace(b"cpuq\x04K\x04", b"cpuq\x04K\xc8")), "bbox.pt")


def test_a_tensor_of_no_numbers_at_all_reaches_nowhere() -> None:
    import torch

    content = {**factory.content(), "more": torch.zeros((0, 5))}
    assert parse_frame(factory.saved(content), "00000.frame").keys[-1] == "more"


def test_a_tensor_with_a_negative_stride_is_refused() -> None:
    import torch

    data = factory.saved(torch.tensor([1, 2, 3, 4]))
    pickled = factory.pickle_in(data)
    turned = pickled.replace(b"K\x04\x85q\x06K\x01\x85", b"K\x04\x85q\x06J\xff\xff\xff\xff\x85")
    assert turned != pickled
    with pytest.raises(UnsafeFile, match="tensor strides"):
        parse_box(factory.with_pickle(data, turned), "bbox.pt")


def test_one_storage_that_is_shown_again_and_again_is_refused() -> None:
    import torch

    numbers = torch.zeros(1000)
    views = {f"v{i}": numbers[:] for i in range(20)}
    with pytest.raises(UnsafeFile, match="again and again"):
        parse_frame(factory.saved({**factory.content(), **views}), "00000.frame")


def test_tensors_of_a_big_endian_machine_are_refused() -> None:
    with zipfile.ZipFile(io.BytesIO(GENUINE)) as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    parts = {n: b"big" if n.endswith("/byteorder") else body for n, body in parts.items()}
    with pytest.raises(UnsafeFile, match="big-endian"):
        parse_frame(factory.archived(parts), "00000.frame")


@pytest.mark.parametrize(
    ("says", "instead"),
    [(b"little_endianq\x02\x88", b"little_endianq\x02\x89"), (b"little_endian", b"middle_endian")],
)
def test_a_legacy_file_that_does_not_say_little_endian_is_refused(says: bytes, instead: bytes) -> None:
    import torch

    buffer = io.BytesIO()
    torch.save(torch.tensor([510, 1410, 90, 990]), buffer, _use_new_zipfile_serialization=False)
    changed = buffer.getvalue().replace(says, instead)
    assert changed != buffer.getvalue()
    with pytest.raises(UnsafeFile, match="big-endian"):
        parse_box(changed, "bbox.pt")


def test_a_legacy_file_whose_tensors_are_not_those_of_its_pickle_is_refused() -> None:
    import torch

    buffer = io.BytesIO()
    torch.save(torch.tensor([510, 1410, 90, 990]), buffer, _use_new_zipfile_serialization=False)
    data = buffer.getvalue()
    assert parse_box(data, "bbox.pt") == (510, 1410, 90, 990)
    for count in (3, 5, -1, 1 << 62):
        with pytest.raises(DataError, match="within its tensors"):
            parse_box(data[:-40] + struct.pack("<q", count) + data[-32:], "bbox.pt")
    claims = re.sub(rb"(cpuq.)K\x04", lambda m: m[1] + b"K\x05", data, flags=re.S)
    assert claims != data
    with pytest.raises(DataError, match="within its tensors"):
        parse_box(claims, "bbox.pt")
    with pytest.raises(DataError, match="does not end"):
        parse_box(data[:-8], "bbox.pt")
    other = re.sub(rb"(X.\x00\x00\x00)\d(\d{6,}q)", lambda m: m[1] + b"x" + m[2], data, count=1, flags=re.S)
    assert other != data
    with pytest.raises(DataError, match="other tensor storages"):
        parse_box(other, "bbox.pt")


PARTS = {"bbox/data.pkl": factory.pickle_in(GENUINE_BOX), "bbox/version": b"3\n"}


def _with_directory_entry(data: bytes, which: int, **changes: Any) -> bytes:
    """The archive with fields of one directory entry overwritten: (offset, format) by name."""
    fields = {
        "method": (10, "<H"),
        "flags": (8, "<H"),
        "packed": (20, "<I"),
        "size": (24, "<I"),
        "start": (42, "<I"),
    }
    raw = bytearray(data)
    at = -1
    for _ in range(which + 1):
        at = data.index(b"PK\x01\x02", at + 1)
    for name, value in changes.items():
        offset, form = fields[name]
        struct.pack_into(form, raw, at + offset, value)
    return bytes(raw)


def _with_hidden_bytes(data: bytes) -> bytes:
    """The archive with some bytes between its first and second member, all offsets right."""
    second = data.index(b"PK\x03\x04", 4)
    start = struct.unpack_from("<I", data, len(data) - 6)[0]  # of the directory
    moved = bytearray(data[:second] + b"hidden" + data[second:])
    struct.pack_into("<I", moved, len(moved) - 6, start + 6)
    return _with_directory_entry(bytes(moved), 1, start=second + 6)


ZIPS = {
    "bytes between two members": (_with_hidden_bytes(factory.archived(PARTS)), "follows hidden bytes"),
    "a packed size that is not the size": (
        _with_directory_entry(factory.archived(PARTS), 0, packed=20),
        "compressed or encrypted",
    ),
    "a zip bomb": (factory.archived(PARTS, zipfile.ZIP_DEFLATED), "compressed or encrypted"),
    "an encrypted member": (
        _with_directory_entry(factory.archived(PARTS), 0, flags=1),
        "compressed or encrypted",
    ),
    "overlapping members": (_with_directory_entry(factory.archived(PARTS), 1, start=0), "overlaps"),
    "a size beyond the file": (
        _with_directory_entry(factory.archived(PARTS), 0, size=1 << 31, packed=1 << 31),
        "outside the file",
    ),
    "a size that differs between header and directory": (
        _with_directory_entry(factory.archived(PARTS), 0, size=20, packed=20),
        "twice, and differently",
    ),
    "a folder outside": (
        factory.archived({"../data.pkl": PARTS["bbox/data.pkl"], "a/b": b""}),
        "two folders",
    ),
    "no pickle": (factory.archived({"bbox/version": b"3\n"}), "without data.pkl"),
    "bytes before the directory": (
        factory.archived(PARTS).replace(b"PK\x01\x02", b"hidden" + b"PK\x01\x02", 1),
        "hides bytes|directory",
    ),
    "a directory said to be longer than it is": (
        (lambda d: d[:-10] + struct.pack("<I", struct.unpack("<I", d[-10:-6])[0] + 1) + d[-6:])(
            factory.archived(PARTS)
        ),
        "hides bytes",
    ),
    "two ends that differ": (
        (lambda d: d[:-12] + struct.pack("<H", 1) + d[-10:])(
            (lambda d: d[:-14] + struct.pack("<H", 1) + d[-12:])(GENUINE_BOX)
        ),
        "two ends that contradict each other",
    ),
    "bytes after the end": (factory.archived(PARTS) + b"more", "cut short"),
    "thousands of members": (factory.archived({f"bbox/{i}": b"" for i in range(500)}), "500 members"),
}


@pytest.mark.parametrize(("data", "says"), ZIPS.values(), ids=ZIPS.keys())
def test_a_hostile_archive_is_refused_by_what_was_found(data: bytes, says: str) -> None:
    with pytest.raises(DataError, match=says):
        parse_box(data, "bbox.pt")


def test_a_name_that_is_repeated_in_an_archive_is_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for _ in range(2):
                archive.writestr("bbox/data.pkl", PARTS["bbox/data.pkl"])
    with pytest.raises(UnsafeFile, match="repeated"):
        parse_box(buffer.getvalue(), "bbox.pt")


def test_a_changed_byte_in_any_member_fails_its_checksum() -> None:
    at = GENUINE_BOX.index(b"latin1")
    with pytest.raises(DataError, match="checksum"):
        parse_box(GENUINE_BOX[:at] + b"LATIN1" + GENUINE_BOX[at + 6 :], "bbox.pt")
    import torch

    tensor = factory.saved(torch.tensor([510, 1410, 90, 990]))
    at = tensor.index(struct.pack("<q", 1410))  # in a member beside the pickle
    with pytest.raises(DataError, match=r"checksum of its member '.*data/0'"):
        parse_box(tensor[:at] + struct.pack("<q", 1411) + tensor[at + 8 :], "bbox.pt")


def test_a_hostile_file_of_full_size_stays_within_a_few_times_its_bytes() -> None:
    bombs = [
        b"\x80\x02" + b"}" * (15 << 20) + b".",
        b"\x80\x02" + text(b"a" * (15 << 20)) + b".",
        b"\x80\x02(" + b"K\x01" * (7 << 20) + b"t.",
    ]
    for bomb in bombs:
        data = factory.with_pickle(GENUINE, bomb)
        tracemalloc.start()
        with pytest.raises(DataError):
            parse_frame(data, "00000.frame")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 * len(data)


def _outcome(data: bytes) -> str:
    """Refused, or the same frame; anything else fails the test. Without what was learnt before."""
    try:
        frame = parse_frame(data, "00000.frame")
    except DataError:
        return "refused"
    truth = parse_frame(GENUINE, "00000.frame")
    np.testing.assert_array_equal(frame.K, truth.K)
    np.testing.assert_array_equal(frame.flame["exp"], truth.flame["exp"])
    return "equal"


def _cut_and_flipped(cuts: list[int], flips: list[tuple[int, int]]) -> None:
    for cut in cuts:
        assert _outcome(GENUINE[:cut]) == "refused", f"cut at {cut}"
    for at, bit in flips:
        raw = bytearray(GENUINE)
        raw[at] ^= 1 << bit
        _outcome(bytes(raw))


def test_a_frame_cut_anywhere_is_refused_and_a_flipped_bit_is_refused_or_harmless() -> None:
    rng = random.Random(20)
    size = len(GENUINE)
    _cut_and_flipped(
        rng.sample(range(size), 300), [(rng.randrange(size), rng.randrange(8)) for _ in range(600)]
    )


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_frame_cut_at_every_byte_and_flipped_in_every_bit() -> None:
    size = len(GENUINE)
    _cut_and_flipped(list(range(size)), [(at, bit) for at in range(size) for bit in range(8)])


def _mutated(rng: random.Random, pickled: bytes) -> bytes:
    raw = bytearray(pickled)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(raw))
        kind = rng.randrange(4)
        if kind == 0:
            raw[at] = rng.randrange(256)
        elif kind == 1:
            del raw[at : at + rng.randrange(1, 8)]
        elif kind == 2:
            raw[at:at] = bytes(
                rng.choices(b"(.}])tqhRbuaXKJMcQ\x85\x86\x87\x88\x89\x8a", k=rng.randrange(1, 5))
            )
        else:
            start = rng.randrange(len(raw))
            raw[at:at] = raw[start : start + rng.randrange(40)]
    return bytes(raw)


def _fuzz(seed: int, count: int) -> None:
    rng = random.Random(seed)
    genuine = {
        parse_frame: (GENUINE, factory.pickle_in(GENUINE)),
        parse_box: (GENUINE_BOX, factory.pickle_in(GENUINE_BOX)),
    }
    refused = 0
    for _ in range(count):
        parse = rng.choice(list(genuine))
        data, pickled = genuine[parse]
        mutant = factory.with_pickle(data, _mutated(rng, pickled))
        try:
            parse(mutant, "00000.frame")
        except DataError:
            refused += 1
    # Some mutations change nothing that matters; most must not be believed.
    assert count / 2 < refused < count


def _fuzz_foreign(seed: int, count: int) -> None:
    """Mutants of every foreign form, whole files where there is no archive: our errors or values."""
    rng = random.Random(seed)
    genuine = [foreign.variant(name)[0] for name in foreign.VARIANTS]
    refused = 0
    for _ in range(count):
        data = rng.choice(genuine)
        archived = data.startswith(b"PK")
        mutant = (
            factory.with_pickle(data, _mutated(rng, factory.pickle_in(data)))
            if archived
            else _mutated(rng, data)
        )
        try:
            frame = parse_frame(mutant, "00000.frame")
            assert np.isfinite(frame.K).all()
        except DataError:
            refused += 1
    assert count / 3 < refused < count


def test_mutated_files_of_foreign_forms_end_in_our_errors_or_in_values() -> None:
    _fuzz_foreign(seed=11, count=1500)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(10))
def test_many_more_mutated_files_of_foreign_forms(seed: int) -> None:
    _fuzz_foreign(seed=2000 + seed, count=20_000)


def test_mutated_pickles_with_right_checksums_end_in_our_errors_or_in_values() -> None:
    _fuzz(seed=7, count=1500)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(20))
def test_many_more_mutated_pickles(seed: int) -> None:
    _fuzz(seed=1000 + seed, count=20_000)


def _answers(data: bytes) -> Any:
    try:
        frame = parse_frame(data, "00000.frame")
    except DataError as e:
        return str(e)
    arrays = [frame.K, frame.R, frame.t, *frame.flame.values()]
    block = None if frame.principal_ndc is None else (frame.focal_ndc, frame.principal_ndc.tolist())
    told = (frame.global_step, frame.image_size_wh, frame.keys, frame.notes, tuple(frame.flame), block)
    return told, [a.tobytes() for a in arrays]


def _same_with_and_without_the_shortcut(seed: int, count: int) -> int:
    rng = random.Random(seed)
    pickled = factory.pickle_in(GENUINE)
    shortened = 0
    for _ in range(count):
        mutant = factory.with_pickle(GENUINE, _mutated(rng, pickled))
        frame_entries._layouts.clear()
        long_way = _answers(mutant)
        frame_entries._layouts.clear()
        parse_frame(GENUINE, "00000.frame")
        shortened += frame_entries._recognise(factory.pickle_in(mutant)) is not None
        assert _answers(mutant) == long_way
    return shortened


@pytest.mark.slow
def test_the_shortcut_for_alike_files_gives_what_the_long_way_gives() -> None:
    # Not vacuous: some of the mutants are alike enough to be taken by the shortcut.
    assert _same_with_and_without_the_shortcut(seed=3, count=1000) > 20


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_the_shortcut_gives_what_the_long_way_gives_for_many_more() -> None:
    _same_with_and_without_the_shortcut(seed=99, count=100_000)
