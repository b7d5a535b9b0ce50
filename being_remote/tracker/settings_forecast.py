"""What other settings would do to one actor's crop and cost, forecast before a GPU is paid for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from being_remote.camera.crop_forecast import CropForecast, Face, find_face, forecast_crop, forecast_resize
from being_remote.camera.intrinsics import intrinsics_in_crop, intrinsics_in_source
from being_remote.errors import UsageError
from being_remote.tracker.settings import (
    SettingChange,
    Settings,
    check,
    compare,
    complete,
    parse_override,
)

if TYPE_CHECKING:
    import numpy as np

    from being_remote.camera.crop import Crop

    Floats = np.ndarray[Any, np.dtype[np.float64]]

Matrix = tuple[tuple[float, ...], ...]
# The settings that the crop is made by; no other one can change it.
CROP_KEYS = ("bbox_scale", "image_size", "crop_image")
UNEVEN = 0.01


@dataclass(frozen=True)
class CropSettings:
    """The settings that the crop is made by."""

    bbox_scale: float
    image_size_wh: tuple[int, int]
    crop_image: bool

    def made(self, side: str) -> str:
        if not self.crop_image:
            return "the whole frame (crop_image false, {}x{})".format(*self.image_size_wh)
        return f"a crop of {side} source pixels (bbox_scale {self.bbox_scale:g}, {self.image_size_wh[0]})"


@dataclass(frozen=True)
class ForecastCrop:
    """One crop that the tracker would make: `camera.crop_forecast.CropForecast`, flat."""

    # of the crop, source pixels
    x_min: int
    x_max: int
    y_min: int
    y_max: int
    pad_x: int
    pad_y: int
    side: float
    image_size_wh: tuple[int, int]
    clipped: tuple[str, ...]
    face_px: float | None
    gain_percent: float
    source_per_px: float
    padding: float
    K: Matrix | None  # for the new network image, corner convention; None where the old K is not known


@dataclass(frozen=True)
class WhatIf:
    """The answer, for the least and the most that the face can be: one where the box gives its size."""

    changes: tuple[SettingChange, ...]  # the settings that differ from the run's
    # network pixels across the face in the run as it is, least and most; None where the run cropped
    # nothing, so that nothing says how large the face is
    face_px_before: tuple[float, float] | None
    least: ForecastCrop
    most: ForecastCrop
    # whether the box gives all, so that the new one is right to the pixel. Else a border cut it: where
    # its size is known and its centre is not, `least` and `most` are one, and the centre is midway of
    # what it can be.
    exact: bool
    lines: tuple[str, ...]  # all of it in words; empty where nothing about the crop changes


def what_if(crop: Crop, before: Settings, after: Settings, K_crop: Floats | None = None) -> WhatIf:
    """Forecast the crop that `after` would make of the same video, from the one that `before` made.

    Args:
        before, after: settings as `settings.coerce` makes them; `before` must be the crop's.
        K_crop: (3, 3) as stored, corner convention.

    Raises:
        UsageError: the tracker could not crop so; or nothing says where the face is.

    Example:
        >>> from being_remote.camera.crop import crop_from_box
        >>> crop = crop_from_box((510, 1410, 90, 990), (1920, 1080), (512, 512))
        >>> found = what_if(crop, {}, {"bbox_scale": 3.5, "image_size": [768, 768]})
        >>> print(found.lines[0])
        for this actor: a crop of 900 source pixels (bbox_scale 2.5, 512) becomes 1260 (3.5, 768): about
        7 % more pixels across the face (205 -> 219)
    """
    check(after)
    old, new = crop_settings(before), crop_settings(after)
    face = find_face(crop, old.bbox_scale) if old.crop_image else None
    if new.crop_image and face is None:
        raise UsageError(
            "the run cropped nothing, so nothing says where the face is and how large",
            hint="crop_image=false, or track with a crop once",
        )
    if not new.crop_image:
        least, most = forecast_resize(crop, new.image_size_wh, face)
    else:
        assert face is not None  # seen to above
        scales = {"old_scale": old.bbox_scale, "bbox_scale": new.bbox_scale}
        least, most = forecast_crop(crop, face, **scales, image_size=new.image_size_wh[0])
    then = max(crop.scale_x, crop.scale_y)
    face_px = (2 * face.n_px[0] / then, 2 * face.n_px[1] / then) if face else None
    changes = tuple(c for c in compare(before, after) if c.key in CROP_KEYS)
    return WhatIf(
        changes=changes,
        face_px_before=face_px,
        least=_flat(least, crop, K_crop),
        most=_flat(most, crop, K_crop),
        exact=face is None or face.exact,
        lines=tuple(_lines(crop, old, new, face, face_px, least, most, K_crop)) if changes else (),
    )


def parse_what_if(words: Sequence[str], before: Settings) -> Settings:
    """The settings of `--what-if KEY=VALUE ...` over those of the run.

    Raises:
        UsageError: not KEY=VALUE, no such setting, or one that does not change the crop.
    """
    after, about_scale = dict(before), False
    for written in words:
        key, value = parse_override(written)
        if key not in CROP_KEYS:
            raise UsageError(
                f"{key} does not change the crop: --what-if cannot forecast it",
                where=f"--what-if {written!r}",
                hint=f"{', '.join(CROP_KEYS[:-1])} and {CROP_KEYS[-1]} do",
            )
        after[key] = value
        about_scale = about_scale or key == "bbox_scale"
    if about_scale and not crop_settings(after).crop_image:
        raise UsageError(
            "bbox_scale means nothing without a crop (crop_image false)",
            where="--what-if",
            hint="leave it out",
        )
    return after


def crop_settings(settings: Settings) -> CropSettings:
    """The settings that the crop is made by, with the tracker's defaults.

    Example:
        >>> crop_settings({"image_size": [540, 960], "crop_image": False})
        CropSettings(bbox_scale=2.5, image_size_wh=(960, 540), crop_image=False)
    """
    full = complete(settings)
    scale, size, cropped = (full[key] for key in CROP_KEYS)
    assert isinstance(scale, int | float) and isinstance(size, list) and isinstance(cropped, bool)  # coerced
    return CropSettings(float(scale), (size[1], size[0]), cropped)


def _flat(found: CropForecast, before: Crop, K_crop: Floats | None) -> ForecastCrop:
    of_crop = ("x_min", "x_max", "y_min", "y_max", "pad_x", "pad_y", "side", "image_size_wh")
    of_forecast = ("clipped", "face_px", "gain_percent", "source_per_px", "padding")
    K = None
    if K_crop is not None:
        K = intrinsics_in_crop(intrinsics_in_source(K_crop, before), found.crop).tolist()
    return ForecastCrop(
        **{name: getattr(found.crop, name) for name in of_crop},
        **{name: getattr(found, name) for name in of_forecast},
        K=None if K is None else tuple(tuple(row) for row in K),
    )


def _lines(
    crop: Crop,
    old: CropSettings,
    new: CropSettings,
    face: Face | None,
    face_px_before: tuple[float, float] | None,
    least: CropForecast,
    most: CropForecast,
    K_crop: Floats | None,
) -> list[str]:
    sides = _span(least.crop.side, most.crop.side)
    face_px = ""
    if face_px_before is not None and least.face_px is not None and most.face_px is not None:
        face_px = f" ({_span(*face_px_before)} -> {_span(least.face_px, most.face_px)})"
    short = f"{sides} ({new.bbox_scale:g}, {new.image_size_wh[0]})"
    becomes = short if old.crop_image and new.crop_image else new.made(sides)
    lines = [
        f"for this actor: {old.made(f'{crop.side:.0f}')} becomes {becomes}: about"
        f" {_percent(least, most)} pixels across the face{face_px}"
    ]
    width, height = crop.source_size_wh
    if most.clipped:
        black = _span(100 * least.padding, 100 * most.padding)
        lines.append(
            f"the frame ({width}x{height}) cuts that crop at the {' and '.join(most.clipped)}:"
            f" {black}% of the network image will be black"
        )
    if most.source_per_px < 1 and new.crop_image:
        lines.append(
            f"one source pixel becomes {1 / most.source_per_px:.2f} network pixels: beyond image_size"
            f" {sides} more pixels show no more detail and take more time"
        )
    across, down = least.crop.scale_x, least.crop.scale_y
    if not new.crop_image and abs(across / down - 1) > UNEVEN:
        lines.append(
            f"the whole frame is squeezed unevenly ({across:.3g} source pixels to one across, {down:.3g}"
            " down): the tracker fits one focal length for both"
        )
    if K_crop is not None:
        old_f = float(K_crop[0][0])
        new_f = [old_f * crop.scale_x / end.crop.scale_x for end in (least, most)]
        lines.append(
            f"focal length in the network image: {old_f:.1f} -> {_span(new_f[0], new_f[1], digits=1)} px"
        )
    if face is not None and new.crop_image and not face.of_this_scale:
        lines.append(
            f"bbox_scale {old.bbox_scale:g} makes no box like the run's, so that is another run's or was"
            " edited: the figures are only about right"
        )
    elif least != most:
        lines.append(
            "the frame's border cut the run's own box, so it does not say how large the face is:"
            " both ends of what it can be are given"
        )
    return lines


def _percent(least: CropForecast, most: CropForecast) -> str:
    low, high = sorted((least.gain_percent, most.gain_percent))
    if low < 0 <= high:
        return f"between {-low:.0f} % fewer and {high:.0f} % more"
    word = "more" if low >= 0 else "fewer"
    return f"{_span(abs(low), abs(high))} % {word}"


def _span(low: float, high: float, *, digits: int = 0) -> str:
    a, b = (f"{value:.{digits}f}" for value in sorted((low, high)))
    return a if a == b else f"{a} to {b}"
