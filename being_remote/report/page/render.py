"""From a `Page` to the bytes of one HTML file.

The template escapes whatever is put into it, control characters first. The page's content security
policy allows its own style and script, by their hashes, and pictures that are part of it; nothing else
is loaded, sent or run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from being_remote.camera.intrinsics import fov_deg, to_opencv_pixels
from being_remote.foreign_text import printable
from being_remote.report.crop_diagram import lay_out_crop
from being_remote.report.page.charts import lay_out_panels
from being_remote.report.page.text import cell_text, matrix_text
from being_remote.report.page.values import MAX_ROWS, Copyable, Page, Table

Floats = NDArray[np.float64]


def html(page: Page) -> bytes:
    """The page as one self-contained UTF-8 file.

    Raises:
        ValueError: a picture is neither JPEG nor PNG, or K is not (3, 3).
    """
    style, script = _part("page.css"), _part("page.js")
    text = _template().render(
        page=page,
        style=style,
        script=script,
        policy=_policy(style, script),
        before=_camera(page.K_crop, page.crop.image_size_wh),
        after=_camera(page.K_source, page.crop.source_size_wh),
        drawn=lay_out_crop(page.crop, page.K_crop, page.K_source),
        charts=[(chart, lay_out_panels(chart.panels)) for chart in page.charts],
        tables=[(table, *_shown_rows(table)) for table in page.checks],
        copyables=(*_camera_copyables(page), *page.copyables),
    )
    return text.encode("utf-8")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)};"
        " base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode() + "'"


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_make_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(cell=cell_text, entry=matrix_text, data_uri=_data_uri)
    return environment.from_string(_part("page.html"))


def _make_printable(value: Any) -> Any:
    return value if hasattr(value, "__html__") else printable(str(value))  # our own markup has it


def _data_uri(picture: bytes) -> str:
    for kind, start in (("jpeg", b"\xff\xd8\xff"), ("png", b"\x89PNG\r\n\x1a\n")):
        if picture.startswith(start):
            return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    raise ValueError("a page's pictures are JPEG or PNG files")


def _camera(K: Floats, size_wh: tuple[int, int]) -> dict[str, Any]:
    return {"size_wh": size_wh, "fov_deg": fov_deg(K, size_wh), "K": K, "K_opencv": to_opencv_pixels(K)}


def _shown_rows(table: Table) -> tuple[list[tuple[int, bool]], int]:
    """Which rows are shown, as (index, doubtful), and how many are not: the doubtful ones last to go."""
    order = sorted(range(len(table.rows)), key=lambda i: i not in table.doubtful)
    shown = sorted(order[:MAX_ROWS])
    return [(i, i in table.doubtful) for i in shown], len(table.rows) - len(shown)


def _camera_copyables(page: Page) -> tuple[Copyable, ...]:
    K, crop = page.K_source, page.crop
    pinhole = " ".join(repr(float(K[i])) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return (
        Copyable("K, original frames, corner convention", json.dumps(K.tolist())),
        Copyable("K, original frames, OpenCV", json.dumps(to_opencv_pixels(K).tolist())),
        Copyable("K, the tracker's images, corner convention", json.dumps(page.K_crop.tolist())),
        Copyable("fx fy cx cy, as COLMAP's PINHOLE has them", pinhole),
        Copyable(
            "crop: x_min, x_max, y_min, y_max", json.dumps([crop.x_min, crop.x_max, crop.y_min, crop.y_max])
        ),
    )
