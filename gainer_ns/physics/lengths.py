"""Lengths of a scene file, which are widths of the picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from gainer_ns.editing.selection import Disc, Selection
from gainer_ns.frames import Bounds

Length = Annotated[float, Field(strict=True, ge=-1e4, le=1e4, allow_inf_nan=False)]
"""Widths of the picture; also speeds and accelerations, in widths and seconds."""
PositiveLength = Annotated[float, Field(strict=True, gt=0, le=1e4, allow_inf_nan=False)]
LengthVector = tuple[Length, Length]
"""To the right, and down."""
Seconds = Annotated[float, Field(strict=True, ge=0, le=1e5, allow_inf_nan=False)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
_GRAIN_SIZE = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*(px|%)")


def grain_pixels(size: str, width: float) -> float:
    """Return the size of a grain, ``2px`` or ``0.5%`` of a picture's width, in pixels."""
    found = _GRAIN_SIZE.fullmatch(size)
    assert found is not None
    return float(found[1]) * (1.0 if found[2] == "px" else width / 100)


def _grain_size(value: Any) -> str:
    """Check how large grains are said to be."""
    text = value.strip() if isinstance(value, str) else ""
    found = _GRAIN_SIZE.fullmatch(text)
    if found is None or not 0 < float(found[1]) <= 1000:
        raise ValueError("must be the diameter of a grain, as 2px, or 0.5% of the picture's width")
    return text


GrainSize = Annotated[str, BeforeValidator(_grain_size)]
"""Field type: the diameter of a grain."""


def check_one_of(model: BaseModel, kinds: Sequence[str]) -> None:
    """Refuse a part of a scene that is not of exactly one of some kinds.

    Raises:
        ValueError: If it is of none, or of several.
    """
    if sum(getattr(model, kind) is not None for kind in kinds) != 1:
        raise ValueError(f"needs exactly one of {', '.join(kinds)}")


def in_pixels(selection: Selection, width: float) -> Selection:
    """Convert a selection from widths of the picture to pixels; a mask has pixels of its own, but for its feather."""
    changes: dict[str, Any] = {}
    if selection.feather is not None:
        changes["feather"] = selection.feather * width
    if selection.box is not None:
        changes["box"] = scaled(selection.box, width)
    if selection.polygon is not None:
        changes["polygon"] = tuple((x * width, y * width) for x, y in selection.polygon)
    if selection.disc is not None:
        (x, y), radius = selection.disc.center, selection.disc.radius
        changes["disc"] = Disc.model_construct(center=(x * width, y * width), radius=radius * width)
    for kind in ("union", "minus", "intersect"):
        parts = getattr(selection, kind)
        if parts is not None:
            changes[kind] = tuple(in_pixels(part, width) for part in parts)
    return selection.model_copy(update=changes)


def scaled(box: Sequence[float], factor: float) -> Bounds:
    """Multiply all four numbers of a box by a factor."""
    left, top, right, bottom = box
    return left * factor, top * factor, right * factor, bottom * factor


def intersection(first: Bounds, second: Bounds) -> Bounds:
    """Return what two boxes have in common; empty, with left >= right or top >= bottom, where that is nothing."""
    return max(first[0], second[0]), max(first[1], second[1]), min(first[2], second[2]), min(first[3], second[3])


def is_empty(box: Bounds) -> bool:
    """Tell whether nothing is in a box."""
    return not (box[0] < box[2] and box[1] < box[3])


def share_of(part: Bounds, whole: Bounds) -> Bounds:
    """Return a part of a box that is given as shares of its width and height, from 0 to 1.

    Where it is 0 or 1 it goes on far beyond the box, since what a picture shows ends softly, a little outside of that.
    """
    left, top, right, bottom = whole
    width, height = right - left, bottom - top
    beyond = 4 * max(width, height)
    return (
        left + (part[0] * width if part[0] > 0 else -beyond),
        top + (part[1] * height if part[1] > 0 else -beyond),
        left + (part[2] * width if part[2] < 1 else width + beyond),
        top + (part[3] * height if part[3] < 1 else height + beyond),
    )
