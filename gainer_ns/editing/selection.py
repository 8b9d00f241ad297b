"""Which part of a picture an edit takes: boxes, polygons, discs, masks, and what is made of them.

Everything is in pixels of the source picture, or in percent of it: x right, y down, (0, 0) the top-left corner of the
top-left pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cached_property, reduce
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from torch import Tensor

from gainer_ns.editing.percentages import ACROSS, DOWN, LENGTH
from gainer_ns.editing.shapes import MaskField, depth_in_box, depth_in_polygon
from gainer_ns.errors import GainerError
from gainer_ns.frames import Bounds
from gainer_ns.io.matte_widths import MAX_MATTE_PX
from gainer_ns.io.places import PlacedError, shown
from gainer_ns.io.yaml_file import ExistingFile

_MAX_COORDINATE_PX = 1e6
"""The largest coordinate; also how deep inside everything is in ``all``."""

_Pixels = Annotated[float, Field(strict=True, ge=-_MAX_COORDINATE_PX, le=_MAX_COORDINATE_PX, allow_inf_nan=False)]
_Across = Annotated[_Pixels, ACROSS]
_Down = Annotated[_Pixels, DOWN]
Point = tuple[_Across, _Down]
"""Field type: a place in pixels, or in percent of the width and of the height."""


def _not_empty(box: Bounds) -> Bounds:
    """Refuse corners in the wrong order."""
    if not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError("is empty; write [left, top, right, bottom], with left < right and top < bottom")
    return box


def _with_area(polygon: tuple[Point, ...]) -> tuple[Point, ...]:
    """Refuse polygons whose points lie on a line."""
    if len(polygon) < 3:
        raise ValueError(f"needs at least 3 points, not {len(polygon)}")
    x0, y0 = polygon[0]
    x1, y1 = max(polygon, key=lambda point: math.dist(point, polygon[0]))
    length = math.dist((x0, y0), (x1, y1))
    if length == 0 or all(abs((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) < 1e-6 * length for x, y in polygon):
        raise ValueError("has no area, its points lie on a line; move one of them off it")
    return polygon


Box = Annotated[tuple[_Across, _Down, _Across, _Down], AfterValidator(_not_empty)]
"""Field type: left, top, right and bottom, in pixels, or in percent of the width and of the height."""
WORD_OR_BOX = Discriminator(lambda value: "word" if isinstance(value, str) else "box")


def words_beside_box(*words: str) -> BeforeValidator:
    """Return what refuses text but some words, where a box may stand too, and says what all is allowed."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and value not in words:
            raise ValueError(f"must be {' or '.join(words)}, or [left, top, right, bottom], not {shown(value)}")
        return value

    return BeforeValidator(check)


class ScriptModel(BaseModel):
    """A part of a script or a scene, which knows no words but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Disc(ScriptModel):
    """A disc, in pixels."""

    center: Point
    radius: Annotated[float, Field(strict=True, gt=0, le=_MAX_COORDINATE_PX, allow_inf_nan=False), LENGTH]


class Selection(ScriptModel):
    """A part of a picture: exactly one of the kinds below.

    Attributes:
        all: The whole plane; in YAML just the word ``all``.
        box: Left, top, right and bottom.
        polygon: Its corners. Where it crosses itself, what lies inside an even number of times is outside.
        mask: A picture of the same size: what is white, or opaque where it has transparency, is selected, gray in part;
            or a map of labels.
        label: Of a mask of several labels, the one that is meant; or ``luma`` or ``alpha``, where it could be either.
        disc: Its center and radius.
        union: What is in any of these.
        minus: What is in the first but in none of the others.
        intersect: What is in all of these.
        feather: Of a region of a sheet, over how many pixels around it less and less follows. Of a piece, the width of
            its soft border, half of it inside; 0 is a hard edge. Parts of a union, minus or intersect that do not say
            take that of the whole. A mask's own grays count where the feather is 0.
        matte: Whether a mask's edge is made as soft as the object's edge in the picture, and what it cuts out gets the
            object's own colours there. Of masks that are selected by themselves.
        matte_width: How far to either side of the mask's edge that reaches, in pixels; by the picture's size if None.
    """

    all: bool = False
    box: Box | None = None
    polygon: Annotated[tuple[Point, ...], AfterValidator(_with_area)] | None = None
    mask: ExistingFile | None = None
    label: Annotated[int, Field(strict=True, ge=0, le=65535)] | Literal["luma", "alpha"] | None = None
    disc: Disc | None = None
    union: Annotated[tuple[Selection, ...], Field(min_length=1)] | None = None
    minus: Annotated[tuple[Selection, ...], Field(min_length=2)] | None = None
    intersect: Annotated[tuple[Selection, ...], Field(min_length=1)] | None = None
    feather: Annotated[float, Field(strict=True, ge=0, le=_MAX_COORDINATE_PX, allow_inf_nan=False), LENGTH] | None = (
        None
    )
    matte: bool = False
    matte_width: Annotated[int, Field(strict=True, ge=1, le=MAX_MATTE_PX)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_word(cls, data: Any) -> Any:
        if isinstance(data, str):
            if data != "all":
                raise ValueError(f"must be all, or a mapping with one of {_KINDS}, not {data[:40]!r}")
            return {"all": True}
        return data

    @model_validator(mode="after")
    def _one_kind(self) -> Selection:
        given = [kind for kind in _KINDS.split(", ") if getattr(self, kind) not in (None, False)]
        if not given:
            raise ValueError(f"selects nothing; write all, or one of {_KINDS}")
        if len(given) > 1:
            raise ValueError(f"has both {given[0]} and {given[1]}; join them by union, minus or intersect")
        if self.label is not None and self.mask is None:
            raise ValueError("label: only masks have labels; leave it out")
        if self.all and self.feather:
            raise ValueError("all has no edge to feather; leave feather out")
        if (self.matte or self.matte_width is not None) and self.mask is None:
            raise ValueError("matte: only masks have one; leave it out, or select by a mask")
        if self.matte_width is not None and not self.matte:
            raise ValueError("matte_width: says nothing without matte: true; add that")
        if self.matte and self.feather:
            raise ValueError("has both matte and feather, which each make the border soft; leave one out")
        if any(part.matte for part in self._parts):
            raise ValueError("matte: is of masks that are selected by themselves; leave it out of what is joined")
        return self

    @model_serializer(mode="wrap")
    def _write_word(self, write: SerializerFunctionWrapHandler) -> Any:
        return "all" if self.all else write(self)

    def field(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, " m"]:
        """Return how far inside points are: 0.5 on the edge, growing inwards by 1 over the feather, or over 1 pixel.

        Clamped to [0, 1] it is the coverage with an antialiased edge. Parts are joined by maximum and minimum, so away
        from the edge a union's field is a bound. It can be differentiated.
        """
        return self._joined(lambda shape, feather: shape._shape_field(points, feather), 0.0)

    def weights(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, " m"]:
        """Return how much points follow the selection, in [0, 1].

        A smoothstep across a soft border, so that nothing has a kink at its ends; 0 or 1 where the edge is hard; a
        mask's own values where it has grays and no feather.
        """

        def shape_weights(shape: Selection, feather: float) -> Tensor:
            field = shape._shape_field(points, feather)
            coverage = field.clamp(0, 1)
            if feather > 0:
                return coverage * coverage * (3 - 2 * coverage)
            if shape.mask is not None and shape.settled.has_grays:
                return coverage
            return (field > 0.5).to(field.dtype)

        return self._joined(shape_weights, 0.0)

    def depth(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, " m"]:
        """Return how many pixels inside points are, whatever the feather; negative outside."""
        return self._joined(lambda shape, _: shape._shape_field(points, 1.0), 0.0) - 0.5

    @property
    def is_painted(self) -> bool:
        """Whether a mask is a part of it: the outline of something, other than what is drawn by hand around it."""
        return any(shape.mask is not None for shape, _ in self._shapes(0.0))

    @property
    def is_soft(self) -> bool:
        """Whether some border is wider than an antialiased edge: feathered, or a mask with broad grays."""
        return any(
            feather > 0 or (shape.mask is not None and shape.settled.is_soft) for shape, feather in self._shapes(0.0)
        )

    @property
    def softness(self) -> float:
        """Width of the widest soft border, in pixels."""
        return max(feather for _, feather in self._shapes(0.0))

    def bounds(self, width: int, height: int) -> Bounds:
        """Return left, top, right and bottom of what is selected, in pixels, without the soft border.

        ``all`` means all of a picture of this size; other shapes may go on beyond it.
        """
        if self.box is not None:
            return self.box
        if self.polygon is not None:
            x, y = zip(*self.polygon, strict=True)
            return min(x), min(y), max(x), max(y)
        if self.disc is not None:
            (x, y), radius = self.disc.center, self.disc.radius
            return x - radius, y - radius, x + radius, y + radius
        if self.mask is not None:
            return self.settled.bounds
        if self.minus is not None:
            return self.minus[0].bounds(width, height)
        if not self._parts:
            return 0.0, 0.0, float(width), float(height)
        left, top, right, bottom = zip(*(part.bounds(width, height) for part in self._parts), strict=True)
        if self.union is not None:
            return min(left), min(top), max(right), max(bottom)
        return max(left), max(top), min(right), min(bottom)

    @property
    def enclosing(self) -> Bounds | None:
        """Left, top, right and bottom of a box beyond whose surroundings, as wide as the soft border, nothing follows.

        None where there is no such box, or a mask alone knows it.
        """
        if any(shape.all or shape.mask is not None for shape, _ in self._shapes(0.0)):
            return None
        return self.bounds(0, 0)

    def check(self, width: int, height: int) -> None:
        """Check the selection against the size of its picture, in pixels.

        Raises:
            PlacedError: Part of it lies outside the picture or selects no pixel, or a mask is no picture or has another
                size. The location is relative to the selection.
        """
        kind = next(kind for kind in _KINDS.split(", ") if getattr(self, kind) not in (None, False))
        for i, part in enumerate(self._parts):
            try:
                part.check(width, height)
            except PlacedError as error:
                raise error.below(kind, i) from None
        picture = f"the picture, which is {width} x {height} pixels"
        if self.mask is not None:
            try:
                mask = self.painted
            except GainerError as error:
                raise PlacedError((kind,), str(error)) from None
            if mask.size != (width, height):
                size = f"{mask.size[0]} x {mask.size[1]} pixels, the picture {width} x {height}"
                raise PlacedError((kind,), f"{self.mask} is {size}; save the mask at the picture's size")
            if not mask.has_any:
                raise PlacedError((kind,), f"{self.mask} is black all over; paint what it selects white")
            if self.matte and not (mask.values.max() >= 0.5 > mask.values.min()):
                raise PlacedError((kind,), f"{self.mask} has no edge to matte; paint the object white, the rest black")
            return
        left, top, right, bottom = self.bounds(width, height)
        if not self._parts and not (left < width and right > 0 and top < height and bottom > 0):
            raise PlacedError((kind,), f"lies outside {picture}; x points right and y down, from its top-left corner")
        if not self._selects_a_pixel(width, height):
            remedy = "make its parts overlap less" if self.minus is not None else "make it larger"
            remedy = "make its parts overlap" if self.intersect is not None else remedy
            raise PlacedError((kind,), f"selects no pixel of {picture}; {remedy}")

    @property
    def _parts(self) -> tuple[Selection, ...]:
        """What a union, minus or intersect is made of; nothing for a shape."""
        return self.union or self.minus or self.intersect or ()

    def _shapes(self, feather: float) -> Iterator[tuple[Selection, float]]:
        """Yield the shapes that it is made of, with the feather of each, given that of the whole."""
        feather = feather if self.feather is None else self.feather
        if not self._parts:
            yield self, feather
        for part in self._parts:
            yield from part._shapes(feather)

    def _joined(self, read: Callable[[Selection, float], Tensor], feather: float) -> Tensor:
        """Return what is read from the shapes, with their feathers, joined by maximum and minimum."""
        feather = feather if self.feather is None else self.feather
        if not self._parts:
            return read(self, feather)
        values = [part._joined(read, feather) for part in self._parts]
        if self.minus is not None:
            values[1:] = [1 - value for value in values[1:]]
        return reduce(torch.maximum if self.union is not None else torch.minimum, values)

    def _shape_field(self, points: Tensor, feather: float) -> Tensor:
        """Return ``field`` of a shape."""
        if self.all:
            return torch.full_like(points[..., 0], _MAX_COORDINATE_PX)
        if self.mask is not None:
            return self.settled.field(points, feather)
        if self.box is not None:
            depth = depth_in_box(points, self.box)
        elif self.disc is not None:
            depth = self.disc.radius - torch.linalg.vector_norm(points - points.new_tensor(self.disc.center), dim=-1)
        else:
            assert self.polygon is not None
            depth = depth_in_polygon(points, points.new_tensor(self.polygon))
        return 0.5 + depth / max(feather, 1.0)

    def _selects_a_pixel(self, width: int, height: int) -> bool:
        """Tell whether the centre of any pixel is inside; a coarse lattice nearly always finds one at once."""
        left, top, right, bottom = self.bounds(width, height)
        left, top = max(0, math.floor(left)), max(0, math.floor(top))
        right, bottom = min(width, math.ceil(right)), min(height, math.ceil(bottom))
        for step in (max(1, (right - left) // 64, (bottom - top) // 64), 1):
            x = torch.arange(left, max(left, right), step) + 0.5
            y = torch.arange(top, max(top, bottom), step) + 0.5
            for rows in y.split(max(1, 2**18 // max(1, len(x)))):
                points = torch.stack(torch.meshgrid(x, rows, indexing="xy"), dim=-1).reshape(-1, 2)
                if bool((self.field(points) > 0.5).any()):
                    return True
        return False

    @cached_property
    def painted(self) -> MaskField:
        """The mask's picture, read once."""
        assert self.mask is not None
        return MaskField.read(self.mask, self.label)

    def settle(self, mask: MaskField) -> None:
        """Take another edge than was painted, which the picture has told; no other edge makes it another selection."""
        vars(self)["settled"] = mask

    @cached_property
    def settled(self) -> MaskField:
        """The mask, with the edge that a picture has told, if one has."""
        return self.painted


_KINDS = "all, box, polygon, mask, disc, union, minus, intersect"
