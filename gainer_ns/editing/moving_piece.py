"""What pieces of flat pictures and of lifted photos share: steps of edits, which they follow wholly or in part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.editing.falloff import Falloff, Surroundings
from gainer_ns.editing.material_motion import MaterialSource
from gainer_ns.editing.operations import Operation
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.steps import PieceMotion, Placed, Step, Weights, along_picture

Amounts = Sequence[float]
"""How much of each edit of a script there is."""


class MovingPiece:
    """Something that steps move; subclasses say where it is at rest.

    Attributes:
        steps: What moves it, in this order.
        source: What of it is visible, and hangs together.
        scale: Pixels of the canvas that each of its picture's pixels covers.
        inside: What cut it out.
        outside: What was cut out of it.
    """

    steps: Any
    scale: Any
    inside: tuple[Selection, ...]
    outside: tuple[Selection, ...]
    _kept: dict[Any, Any]

    @property
    def source(self) -> MaterialSource:
        """What of it is visible, and hangs together."""
        raise NotImplementedError

    def at_rest(self, pixels: Float[Tensor, "m 2"], anchors: Float[Tensor, "m 2"] | None = None) -> Placed:
        """Return where pixels of its own picture lie, and how a small step there shows; see ``Weights.of``."""
        raise NotImplementedError

    def placed(
        self, amounts: Amounts, pixels: Float[Tensor, "m 2"], anchors: Float[Tensor, "m 2"] | None = None
    ) -> Placed:
        """Move points, in pixels of its own picture, by so much of each edit, with their Jacobians."""
        return self._after(self.steps, amounts, self.at_rest(pixels, anchors), pixels, anchors)

    def _after(
        self,
        steps: Sequence[PieceMotion],
        amounts: Amounts,
        placed: Placed,
        pixels: Float[Tensor, "m 2"],
        anchors: Float[Tensor, "m 2"] | None = None,
    ) -> Placed:
        """Return where points are after some of its steps; see ``Weights.of``."""
        for step in steps:
            amount, selection = amounts[step.edit], step.selection
            if amount == 0:
                continue
            if not isinstance(selection, Falloff):
                placed = self._stepped(step, amount, placed, pixels, anchors)
                continue
            placed = self.followed(step, amounts, placed, selection.distance.at(pixels, anchors))
        return placed

    def _stepped(
        self, step: PieceMotion, amount: float, placed: Placed, pixels: Tensor, anchors: Tensor | None
    ) -> Placed:
        """Return where points go that follow a step as a whole, or as it is painted."""
        weights = None if step.selection is None else Weights.of(step.selection, pixels, anchors)
        return step.moved(placed, amount, weights)

    def followed(self, step: Any, amounts: Amounts, placed: Placed, around: Surroundings) -> Placed:
        """Return where points around a region go, which follow it in part and give way."""
        falloff = step.selection
        weights = Weights(falloff.shares(around), falloff.share_slopes(around))
        placed = step.moved(placed, amounts[step.edit], weights)
        away = self._sway_at(step, amounts, around)
        if away is None:
            return placed
        by, slopes = (torch.from_numpy(part) for part in away)
        points, near = placed.points, torch.from_numpy(around.near)
        jacobians = placed.jacobians.index_add(0, near, along_picture(slopes).to(placed.jacobians))
        return Placed(points.index_add(0, near, by.to(points)), jacobians)

    def _sway_at(
        self, step: Any, amounts: Amounts, around: Surroundings
    ) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, "k d 2"]] | None:
        """Return how far what is near a region gives way, and how that changes along the picture; None for nowhere."""
        material = step.selection.distance.material
        if material is None or around.spots is None or step.selection.band is None:
            return None
        by, slopes = material.read(around.spots, self._sway(step, amounts))
        beyond = around.spots.beyond
        return by + slopes[..., 0] * beyond.real[:, None] + slopes[..., 1] * beyond.imag[:, None], slopes

    def _sway(self, step: Any, amounts: Amounts) -> Float[np.ndarray, "n d"]:
        """Return the coefficients of how far the material gives way: always the same for the same amounts."""
        before = self.steps[: next((i for i, one in enumerate(self.steps) if one.edit == step.edit), None)]
        state = step, *(amounts[one.edit] for one in (*before, step))
        kept = self._kept.get(("sway", step.edit))
        if kept is None or kept[0] != state:
            falloff, distance = step.selection, step.selection.distance
            free = torch.from_numpy(falloff.band.is_free)
            assert distance.sample_points is not None
            pixels = distance.sample_points[free]
            anchors = None if distance.anchors is None else distance.anchors[free]
            start = self._after(before, amounts, self.at_rest(pixels, anchors), pixels, anchors)
            weights = Weights(falloff.shares(distance.samples), falloff.share_slopes(distance.samples))[free]
            seen = step.moved(start, amounts[step.edit], weights)
            frames, _ = step.shared(self._evenly(before, amounts, pixels, anchors), amounts[step.edit], weights.values)
            columns = ((one.jacobians[:, :, :2] / step.unit).numpy() for one in (frames, seen))
            kept = self._kept["sway", step.edit] = state, step.unit * falloff.band.sway(*columns, turns=step.turns)
        return kept[1]

    def _evenly(
        self, steps: Sequence[Any], amounts: Amounts, pixels: Float[Tensor, "m 2"], anchors: Float[Tensor, "m 2"] | None
    ) -> Placed:
        """Return where each of some points would be if all around it followed steps as much as it does.

        So edits that undo one another leave nothing behind.
        """
        placed = self.at_rest(pixels, anchors)
        for step in steps:
            if not isinstance(step.selection, Falloff):
                placed = self._after([step], amounts, placed, pixels, anchors)
            elif amounts[step.edit] != 0:
                shares = step.selection.shares(step.selection.distance.at(pixels, anchors, sloped=False))
                placed, _ = step.shared(placed, amounts[step.edit], shares)
        return placed

    def put(self, step: Step) -> None:
        """Put a step in the place of that of the same edit."""
        self.steps = tuple(step if each.edit == step.edit else each for each in self.steps)
        self._forget()

    def follow(self, edit: int, operations: tuple[Operation, ...]) -> None:
        """Make an edit do something else to what it moves already."""
        for step in self.steps:
            if step.edit == edit and hasattr(step, "following"):
                self.put(step.following(operations))

    def _forget(self) -> None:
        """Forget where it was posed last."""
        raise NotImplementedError
