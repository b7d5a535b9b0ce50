"""`.frame` files of forks and converters: each holds a sound camera in another form than the tracker's."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import frame_factory as factory
import numpy as np
import torch

from being_remote.camera.intrinsics import from_ndc

Content = dict[str, Any]


def _legacy(content: Content, **save: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False, **save)
    return buffer.getvalue()


def _protocol(number: int) -> Callable[[Content], bytes]:
    def save(content: Content) -> bytes:
        buffer = io.BytesIO()
        torch.save(content, buffer, pickle_protocol=number)
        return buffer.getvalue()

    return save


def _each(content: Content, change: Callable[[Any], Any]) -> Content:
    """Every array changed, two levels deep."""
    return {
        key: _each(value, change)
        if isinstance(value, dict)
        else change(value)
        if isinstance(value, np.ndarray)
        else value
        for key, value in content.items()
    }


def _tensors(content: Content) -> Content:
    return _each(content, lambda array: torch.from_numpy(np.array(array)))


def _without(*keys: str) -> Callable[[Content], Content]:
    def change(content: Content) -> Content:
        for key in keys:
            group, _, name = key.partition(".")
            if name:
                del content[group][name]
            else:
                del content[group]
        return content

    return change


def _with(**more: Any) -> Callable[[Content], Content]:
    return lambda content: {**content, **more}


def _opencv(change: Callable[[Any], Any]) -> Callable[[Content], Content]:
    return lambda content: {**content, "opencv": {k: change(v) for k, v in content["opencv"].items()}}


def _numbered(content: Content) -> Content:
    return {**content, "frame_id": int(content["frame_id"])}


def _renamed(content: Content) -> Content:
    names = {"exp": "expression", "shape": "identity", "eyes": "eye_pose", "jaw": "jaw_pose"}
    return {**content, "flame": {names.get(k, k): v for k, v in content["flame"].items()}}


def _with_neck(content: Content) -> Content:
    content["flame"]["neck"] = np.array([[1, 0, 0, 0, 1, 0]], np.float32)
    return content


def _matrices(content: Content) -> Content:
    """The PyTorch3D block as matrices, which some forks store."""
    content["camera"] = {"R": np.eye(3, dtype=np.float32)[None], "t": np.zeros((1, 3), np.float32)}
    return content


def _ordered(content: Content) -> Content:
    return OrderedDict((k, OrderedDict(v) if isinstance(v, dict) else v) for k, v in content.items())


def _parameters(content: Content) -> Content:
    content["opencv"] = {
        k: torch.nn.Parameter(torch.from_numpy(np.array(v))) for k, v in content["opencv"].items()
    }
    return content


def _sliced(content: Content) -> Content:
    """Tensors that are rows of larger ones, as a batch of frames is cut."""
    content["opencv"] = {
        k: torch.from_numpy(np.concatenate([v * 0, v, v * 0]))[1:2] for k, v in content["opencv"].items()
    }
    return content


def _column(content: Content) -> Content:
    content["opencv"]["t"] = content["opencv"]["t"].reshape(3, 1)
    return content


# How the content is changed, and how it is saved.
VARIANTS: dict[str, tuple[Callable[[Content], Content], Callable[[Content], bytes]]] = {
    "no camera block": (_without("camera"), factory.saved),
    "half a camera block": (_without("camera.fl", "camera.pp"), factory.saved),
    "a camera block of matrices": (_matrices, factory.saved),
    "a number as frame_id": (_numbered, factory.saved),
    "no frame_id": (_without("frame_id"), factory.saved),
    "a tensor as frame_id": (lambda c: {**c, "frame_id": torch.tensor(int(c["frame_id"]))}, factory.saved),
    "a frame_id without zeros": (lambda c: {**c, "frame_id": str(int(c["frame_id"]))}, factory.saved),
    "no global_step": (_without("global_step"), factory.saved),
    "tensors": (_tensors, factory.saved),
    "tensors that want a gradient": (_parameters, factory.saved),
    "tensors that are rows of others": (_sliced, factory.saved),
    "tensors, without an archive": (_tensors, _legacy),
    "no tex and sh": (_without("flame.tex", "flame.sh"), factory.saved),
    "no flame": (_without("flame"), factory.saved),
    "a neck": (_with_neck, factory.saved),
    "other names in flame": (_renamed, factory.saved),
    "an OrderedDict": (_ordered, factory.saved),
    "protocol 3": (lambda c: c, _protocol(3)),
    "protocol 4": (lambda c: c, _protocol(4)),
    "protocol 5": (lambda c: c, _protocol(5)),
    "protocol 4 with tensors": (_tensors, _protocol(4)),
    "without an archive": (lambda c: c, _legacy),
    "tensors, without an archive, protocol 4": (_tensors, lambda c: _legacy(c, pickle_protocol=4)),
    "without an archive, protocol 5": (lambda c: c, lambda c: _legacy(c, pickle_protocol=5)),
    "a bare pickle": (lambda c: c, lambda c: pickle.dumps(c, 4)),
    "float64": (
        lambda c: _each(c, lambda a: a.astype(np.float64) if a.dtype == np.float32 else a),
        factory.saved,
    ),
    "no batch axis": (_opencv(lambda v: v[0]), factory.saved),
    "a second batch axis": (_opencv(lambda v: v[None]), factory.saved),
    "t as a column": (_column, factory.saved),
    "lists": (_opencv(lambda v: v.tolist()), factory.saved),
    "img_size as a tuple": (lambda c: {**c, "img_size": tuple(c["img_size"].tolist())}, factory.saved),
    "img_size as torch.Size": (
        lambda c: {**c, "img_size": torch.Size(c["img_size"].tolist())},
        factory.saved,
    ),
    "img_size as float": (lambda c: {**c, "img_size": c["img_size"].astype(np.float32)}, factory.saved),
    "fx and fy of their own": (
        lambda c: {
            "opencv": {**c["opencv"], "K": c["opencv"]["K"] * np.array([[1], [1.01], [1]], np.float32)},
            "img_size": c["img_size"],
            "frame_id": c["frame_id"],
        },
        factory.saved,
    ),
    "a mask and halves beside": (_with(mask=np.ones(4, bool), more=torch.ones(2).half()), factory.saved),
}


def variant(name: str, frame_id: str = "00000", **more: Any) -> tuple[bytes, Content]:
    """The file, and what a genuine one of the same camera holds."""
    change, save = VARIANTS[name]
    content = factory.content(frame_id, **more)
    if name == "fx and fy of their own":
        content["opencv"]["K"] = content["opencv"]["K"] * np.array([[1], [1.01], [1]], np.float32)
        return save(change(factory.content(frame_id, **more))), content
    return save(change(factory.content(frame_id, **more))), content


def with_K(content: Content, focal_ndc: float) -> Content:
    """The same frame with another focal length, in both blocks."""
    content["camera"]["fl"] = np.array([[focal_ndc]], np.float32)
    K = from_ndc(content["camera"]["fl"], content["camera"]["pp"], tuple(content["img_size"].tolist()[::-1]))
    content["opencv"]["K"] = K.astype(np.float32)
    return content
