"""Which results of a job are read before they are kept: those whose format the tracker's readers know."""

from __future__ import annotations

import os

from being_remote.transfer.checked_files import Judge

# The readers are imported with the first file: numpy would take a third of the start of a submit.


def _most_bytes(name: str) -> int | None:
    from being_remote.tracker import file_check

    return file_check.most_bytes(name)


def _check(name: str, data: bytes) -> None:
    from being_remote.tracker import file_check

    # By its name alone: below a job's folder a path does not say whose format it is, as in a backup.
    file_check.check_bytes(os.path.basename(name), data)


RESULT_JUDGE = Judge(_most_bytes, _check)
