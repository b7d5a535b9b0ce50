"""Arrays saved as the tracker's own programs can load them, whose numpy is 1.x."""

from __future__ import annotations

import io
import zipfile
from typing import Any

# numpy 2 calls the builder of its arrays by a name that numpy 1 lacks; the older name works in both.
_NUMPY_2, _NUMPY_1 = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"


def arrays_for_numpy_1(value: Any) -> bytes:
    """What torch.save writes for an array or a dict of them, readable where numpy is 1.x as well as 2.x.

    Equal values give equal bytes.
    """
    import torch

    written, renamed = io.BytesIO(), io.BytesIO()
    torch.save(value, written)
    with zipfile.ZipFile(written) as archive, zipfile.ZipFile(renamed, "w", zipfile.ZIP_STORED) as copy:
        for member in archive.infolist():
            content = archive.read(member)
            if member.filename.endswith("/data.pkl"):
                content = content.replace(_NUMPY_2, _NUMPY_1)
            # A ZipInfo of its own carries a fixed date.
            copy.writestr(zipfile.ZipInfo(member.filename), content)
    return renamed.getvalue()
