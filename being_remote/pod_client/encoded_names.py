"""Names and other bytes in the JSON of pod programs: base64 of their bytes, or one letter for each byte."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def encode(name: bytes | str | PurePath) -> str:
    """Base64 of a name's bytes.

    Example:
        >>> encode("a"), encode(b"\\xff")
        ('YQ==', '/w==')
    """
    return base64.b64encode(os.fsencode(name)).decode("ascii")


def letters(name: bytes) -> str:
    """One letter for each byte, as the programs that list and send files spell names."""
    return name.decode("latin-1")


def decode(value: Any) -> bytes:
    """Base64 text to bytes; ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError("must be base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as e:
        raise ValueError("must be base64 text") from e


def _decode_path(value: Any) -> bytes:
    data = decode(value)
    if not data.startswith(b"/") or b"\0" in data or b".." in data.split(b"/"):
        raise ValueError("must be an absolute path")
    return data


EncodedBytes = Annotated[bytes, BeforeValidator(decode)]
NameBytes = Annotated[bytes, BeforeValidator(decode), Field(max_length=4096)]
PathBytes = Annotated[bytes, BeforeValidator(_decode_path), Field(max_length=4096)]
