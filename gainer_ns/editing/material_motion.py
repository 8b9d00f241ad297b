"""Operations that need to know the material which they move: where it is, and what of it hangs together."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from gainer_ns.editing.operations import Operation
from gainer_ns.editing.rest_picture import RestPicture
from gainer_ns.frames import Bounds
from gainer_ns.motion.shown import Shown, as_complex

if TYPE_CHECKING:
    from gainer_ns.motion.material import Material, Rows

Kept = TypeVar("Kept")
_STEP_PX = 1e-2
"""Over which slopes are taken."""
_MATERIAL_OPACITY = 0.25
"""What is as opaque as this counts as material, which holds together."""
_MAX_KEPT = 96
"""Of what is worth keeping, at most."""


@dataclass(frozen=True, eq=False)
class Anchors:
    """Points that tell to which part of the material each of others belongs; they stand for these once.

    Attributes:
        places: [m].
    """

    places: Complex[np.ndarray, " m"]


class MaterialSource:
    """The visible material of a piece, looked at when something first needs it.

    Args:
        look: Returns what of the piece's picture shows something.
        place: Where the picture's corner lies on the canvas.
        scale: How large its pixels are there.
    """

    def __init__(self, look: Callable[[], Shown], place: tuple[float, float] = (0.0, 0.0), scale: float = 1.0) -> None:
        self._look, self._place, self._scale = look, place, scale
        self._kept: dict[Hashable, Any] = {}

    @cached_property
    def shown(self) -> Shown:
        """What of the picture shows something."""
        return self._look()

    @property
    def material(self) -> Material:
        """The functions on it."""

        def make() -> Material:
            from gainer_ns.motion.material import Material  # scipy.ndimage, which most edits do without

            return Material(self.shown, self._place, self._scale)

        return self.kept("material", make)

    @property
    def box(self) -> Bounds:
        """Left, top, right and bottom of what is visible, in pixels of the canvas."""
        return self.material.box

    def rows(self, points: Complex[np.ndarray, " m"], key: Hashable) -> Rows:
        """Return what reads functions at points; the same key stands for the same points, or it is their anchors."""
        if isinstance(key, Anchors):
            return self.material.rows(points, key.places)
        return (
            self.material.rows(points) if key is None else self.kept(("rows", key), lambda: self.material.rows(points))
        )

    def kept(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Return what was made for a key, made now if it was not; what was asked for longest ago is forgotten."""
        value = self._kept.pop(key) if key in self._kept else make()
        self._kept[key] = value
        while len(self._kept) > _MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return value


def source_of(
    rest: RestPicture, presence: Float[Tensor, "h w"] | None, place: tuple[float, float], scale: float
) -> MaterialSource:
    """Return the material of a part of a picture, laid on the canvas."""

    def look() -> Shown:
        opacity = rest.opacity.view(rest.shape)
        if presence is not None:
            opacity = torch.minimum(opacity, presence.to(opacity))
        mask = opacity >= _MATERIAL_OPACITY
        mask = mask if bool(mask.any()) else opacity > 0
        return Shown(mask.cpu().numpy(), rest.corner)

    return MaterialSource(look, place, scale)


class MaterialMotion:
    """What an operation does to some material.

    Args:
        source: The material.
    """

    def __init__(self, source: MaterialSource) -> None:
        self.source = source

    def positions(self, points: Complex[np.ndarray, " m"], amount: float, key: Hashable) -> Complex[np.ndarray, " m"]:
        """Return where points go by so much of it."""
        raise NotImplementedError

    def depths(self, points: Complex[np.ndarray, " m"], amount: float, key: Hashable) -> Float[np.ndarray, " m"] | None:
        """Return how near points are, the larger the nearer; None where all are equally deep."""
        return None


class MaterialOperation(Operation):
    """An operation that moves material as it hangs together; it has to be the first that moves a piece."""

    def motion(self, source: MaterialSource) -> MaterialMotion:
        """Return what it does to some material."""
        raise NotImplementedError

    def carried(
        self, source: MaterialSource, points: Float[Tensor, "m 2"], amount: float, key: Hashable = None
    ) -> Float[Tensor, "m 2"]:
        """Move points by so much of it; the same key stands for the same points."""
        if amount == 0 or len(points) == 0:
            return points
        moved = self._bound(source).positions(as_complex(points), amount, key)
        return torch.from_numpy(moved.view(np.float64).reshape(-1, 2)).to(points)

    def moved_on(
        self,
        source: MaterialSource,
        points: Float[Tensor, "m 2"],
        amount: float,
        anchors: Float[Tensor, "m 2"] | None = None,
    ) -> tuple[Float[Tensor, "m 2"], Float[Tensor, "m 2 2"]]:
        """Move points, and return the Jacobian of the map at each of them too, by differences.

        Args:
            source: The material.
            points: On the canvas.
            amount: Of the operation.
            anchors: Points that tell to which part of the material each belongs; None for the nearest of it.
        """
        precise = points.double()

        def carried(points: Tensor) -> Tensor:
            return self.carried(source, points, amount, None if anchors is None else Anchors(as_complex(anchors)))

        columns = []
        for axis in (0, 1):
            step = torch.zeros(2, dtype=torch.float64, device=points.device)
            step[axis] = _STEP_PX
            ahead, behind = (carried(precise + way * step) for way in (1, -1))
            columns.append((ahead - behind) / (2 * _STEP_PX))
        return carried(points), torch.stack(columns, dim=2).to(points)

    def depths(
        self, source: MaterialSource, points: Float[Tensor, "m 2"], amount: float, key: Hashable = None
    ) -> Float[Tensor, " m"] | None:
        """Return how near points are, the larger the nearer; None where all are equally deep."""
        found = self._bound(source).depths(as_complex(points), amount, key) if amount != 0 else None
        return None if found is None else torch.from_numpy(found).to(points)

    def _bound(self, source: MaterialSource) -> MaterialMotion:
        # With the operation itself, so that no other takes its place in memory.
        return source.kept(("motion", id(self)), lambda: (self, self.motion(source)))[1]
