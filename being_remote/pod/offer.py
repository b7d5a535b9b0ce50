"""Runs on the pod, as the first part of a submit: names the volume, stores our programs, runs `claim`.

One command does all of it. It prints one line, {"volume", "has_programs"}, and reads what the laptop makes of
that: a line with two sizes, the programs (0 bytes where they are stored here), and the request of `claim`.
Without an answer it ends, and leaves only `jobs/` and the name of its volume.
"""

from __future__ import annotations

import io
import json
import os
import sys
import zlib
from typing import BinaryIO

from being_remote.pod import program_store
from being_remote.pod.boot_identity import mark_volume, read_volume
from being_remote.pod.job_paths import jobs_folder, programs_archive

MAX_REQUEST_BYTES = 300 << 20


def main(request: str, stdin: BinaryIO) -> None:
    """Answer one request: {"workdir": str, "programs": sha256, "wait_s": float}."""
    query = json.loads(request)
    jobs, sha256 = jobs_folder(query["workdir"]), query["programs"]
    os.makedirs(jobs, 0o700, exist_ok=True)
    mark_volume(jobs)
    offer = {"volume": read_volume(jobs), "has_programs": program_store.is_stored(jobs, sha256)}
    sys.stdout.write(json.dumps(offer) + "\n")
    sys.stdout.flush()
    sizes = stdin.readline(100)
    if not sizes:
        return
    programs_bytes, claims_bytes = map(int, sizes.split())
    if programs_bytes:
        programs = _inflate(_read(stdin, programs_bytes), program_store.MAX_PROGRAMS_BYTES)
        program_store.store(jobs, programs, sha256)
    claims = io.BytesIO(_inflate(_read(stdin, claims_bytes), MAX_REQUEST_BYTES))
    if not program_store.is_stored(jobs, sha256):
        sys.exit("the stored programs were removed meanwhile; submit again")
    _import_from(programs_archive(jobs, sha256))
    from being_remote.pod import claim

    claim.main(query, claims)


def _read(stdin: BinaryIO, size: int) -> bytes:
    data = stdin.read(size)
    if len(data) != size:
        sys.exit("cut short")
    return data


def _inflate(data: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj()
    inflated = unpacker.decompress(data, limit)
    if not unpacker.eof:
        raise ValueError("the request is larger than allowed")
    return inflated


def _import_from(archive: str) -> None:
    """Let imports of ours come from the archive, not from what was sent to run this."""
    for name in [name for name in sys.modules if name.split(".")[0] == "being_remote"]:
        del sys.modules[name]
    sys.path.insert(0, archive)
