"""A lifted photo taken apart by an edit script, and put together again at any time of the film."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.editing.base_stage import BaseStage, SelectedShare
from gainer_ns.editing.film_length import frame_times
from gainer_ns.editing.lifted_script import LAYERS, LiftedEdit, LiftedScript
from gainer_ns.editing.operations import Cut, Operation
from gainer_ns.editing.pieces import STILL_PX, Amounts
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.shots import SceneView
from gainer_ns.editing.steps import EditStep, Placed, SelectionBorder, SpaceStep, Step, Weights
from gainer_ns.frames import CAMERA_DISTANCE, PixelSpace
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.io.places import PlacedError
from gainer_ns.lifting.layer import LiftedLayer
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.surface import RIM_WIDTH_PX
from gainer_ns.lifting.views import CameraView

SHOWN_OPACITY = 0.5
"""From this opacity on a Gaussian shows the pixel that it belongs to."""
_DISC_UNDERLAP_PX = 1.0
"""How much farther than its edge what is left of a surface reaches under what was taken."""


@dataclass(eq=False)
class LiftedPiece:
    """Discs that move together.

    Attributes:
        number: Of the scene's layer that they are from.
        layer: They, as they were fitted.
        shown: [n], which of them show what the photo shows at their pixel.
        steps: What moves them, in this order.
        inside: What cut them out of their layer.
        outside: What was cut out of them.
    """

    number: int
    layer: LiftedLayer
    shown: Bool[Tensor, " n"]
    steps: tuple[SpaceStep, ...] = ()
    inside: tuple[Selection, ...] = ()
    outside: tuple[Selection, ...] = ()
    _posed: tuple[list[float], LiftedLayer] | None = field(default=None, repr=False)

    def placed(self, amounts: Amounts) -> Placed:
        """Return where the discs are after so much of each edit, in the world."""
        means = self.layer.gaussians.means.double()
        placed = Placed(means, torch.eye(3).to(means).expand(len(means), 3, 3))
        for step in self.steps:
            if amounts[step.edit] != 0:
                placed = step.moved(placed, amounts[step.edit], step.weights)
        return placed

    def is_still(self, amounts: Amounts) -> bool:
        """Return whether the discs lie where they were fitted."""
        return self.posed(amounts) is self.layer

    def posed(self, amounts: Amounts) -> LiftedLayer:
        """Return the piece after so much of each edit."""
        relevant = [amounts[step.edit] for step in self.steps]
        if self._posed is None or self._posed[0] != relevant:
            self._posed = relevant, self._pose(amounts) if any(relevant) else self.layer
        return self._posed[1]

    def _pose(self, amounts: Amounts) -> LiftedLayer:
        gaussians, placed = self.layer.gaussians, self.placed(amounts)
        away = (placed.points - gaussians.means.double()).abs()
        turned = (placed.jacobians - torch.eye(3).to(placed.jacobians)).abs()
        pixel = min(step.space.pixel_size for step in self.steps)
        if bool((away < STILL_PX * pixel).all()) and bool((turned < STILL_PX).all()):
            return self.layer
        return self.layer.moved(gaussians.transformed(placed.points.float(), placed.jacobians.float()))

    def follow(self, number: int, operations: tuple[Operation, ...]) -> None:
        """Make an edit do something else to what it moves already."""
        if any(step.edit == number for step in self.steps):
            self.steps = tuple(step.following(operations) if step.edit == number else step for step in self.steps)
            self._posed = None

    def part(self, chosen: Bool[Tensor, " n"], limit: Float[Tensor, " n"]) -> LiftedPiece:
        """Return some of its discs, their opacity limited."""
        own = self.layer.gaussians.opacities
        opacities = limit if own is None else torch.minimum(own, limit)
        layer = self.layer.part(chosen, opacities)
        steps = tuple(
            step if step.weights is None else replace(step, weights=step.weights[chosen]) for step in self.steps
        )
        return replace(self, layer=layer, shown=self.shown[chosen], steps=steps, _posed=None)


class LiftedStage(BaseStage[LiftedEdit, LiftedPiece]):
    """Pieces of a lifted photo, and what a script does to them.

    Args:
        script: What is done.
        scene: The photo.

    Raises:
        GainerError: A selection takes nothing that was lifted.
    """

    def __init__(self, script: LiftedScript, scene: LiftedScene) -> None:
        self.scene = scene
        if script.edits:
            scene.check_single("editing")
        shown = [torch.ones_like(layer.pixels, dtype=torch.bool) for layer in scene.layers]
        if not scene.views:
            shown = _shown(scene)
        super().__init__(
            script, [LiftedPiece(i, *each) for i, each in enumerate(zip(scene.layers, shown, strict=True))]
        )

    def at(self, t: float) -> LiftedScene:
        """Return the scene at a time from 0 to 1."""
        amounts = self._amounts(t)
        layers: list[LiftedLayer] = []
        for number, whole in enumerate(self.scene.layers):
            pieces = [piece for piece in self.pieces if piece.number == number]
            # What lies as it did is drawn in one, as if it had never been cut.
            still = all(piece.is_still(amounts) for piece in pieces)
            layers.extend([whole] if still else [piece.posed(amounts) for piece in pieces])
        return replace(self.scene, layers=tuple(layers))

    def shot(self, views: Sequence[CameraView], t: float) -> SceneView:
        """Return the scene at a time, as the camera sees it that goes along its path once, however long the film is."""
        return SceneView(self.at(t), views[round(t * (len(views) - 1))])

    def shots(self, views: Sequence[CameraView], frames: int) -> Iterator[SceneView]:
        """Yield each frame of a film."""
        return (self.shot(views, t) for t in frame_times(frames, self.script.loop))

    def _take(self, number: int) -> list[LiftedPiece]:
        self._space = self._space_of(self.script.edits[number], number)
        return super()._take(number)

    def _owned(self, piece: LiftedPiece, edit: LiftedEdit) -> Bool[Tensor, " n"]:
        """Return which Gaussians of a piece an edit may select."""
        if edit.layer is not None:
            hidden_of = piece.layer.hidden_of
            number = piece.number if hidden_of is None else hidden_of
            return torch.full_like(piece.shown, LAYERS[number] == edit.layer)
        return torch.ones_like(piece.shown) if edit.select.all else piece.shown

    def _share(self, piece: LiftedPiece, edit: LiftedEdit) -> SelectedShare:
        if edit.select in piece.outside:
            return "none"
        if edit.select in piece.inside:
            return "all"
        chosen = (edit.select.weights(self._centres(piece)) > 0) & self._owned(piece, edit)
        visible = piece.layer.opacities > 0
        if not bool((chosen & visible).any()):
            return "none"
        whole = (edit.select.weights(self._centres(piece)) >= 1) & self._owned(piece, edit)
        return "all" if bool(whole[visible].all()) else "some"

    def _space_of(self, edit: LiftedEdit, number: int) -> PixelSpace:
        """Return pixels at the depth of what an edit selects: that of half of its pixels is less."""
        depths = []
        for piece in self.pieces:
            solid = (edit.select.weights(self._centres(piece)) >= 0.5) & self._owned(piece, edit)
            if edit.layer is None:
                solid &= piece.shown
            solid &= piece.layer.opacities > SHOWN_OPACITY
            depths.append(CAMERA_DISTANCE - piece.layer.gaussians.means[solid, 2])
        selected = torch.cat(depths)
        if len(selected) == 0:
            problem = "selects nothing that was lifted; select some of what `gainer render` shows of this run"
            raise self.script.mistake(number, PlacedError(("select",), problem))
        return PixelSpace(self.scene.camera, float(selected.median()))

    def _centres(self, piece: LiftedPiece) -> Float[Tensor, "n 2"]:
        return piece.layer.pixel_centres(self.scene.camera.width)

    def _weights(self, piece: LiftedPiece, edit: LiftedEdit) -> Weights:
        """Return how much Gaussians follow a soft selection.

        Around a pixel, weights grow as they do there, so that a rim goes on straight where its surface ends.
        """
        centres, gaussians = self._centres(piece), piece.layer.gaussians
        assert gaussians.inverse_jacobians is not None
        owned = self._owned(piece, edit)
        of_pixels = Weights.of(edit.select, centres)
        gradients = torch.where(owned[:, None], of_pixels.gradients, 0.0)
        place, _ = self.scene.camera.project(gaussians.means - gaussians.means.new_tensor([0, 0, CAMERA_DISTANCE]))
        values = torch.where(owned, of_pixels.values, 0.0) + (gradients * (place - centres)).sum(dim=1)
        in_world = torch.einsum("ni,nij->nj", gradients, gaussians.inverse_jacobians[:, :2])
        return Weights(values.double(), in_world.double())

    def _step(
        self, edit: LiftedEdit, number: int, operations: tuple[Operation, ...], weights: Weights | None
    ) -> SpaceStep:
        box = edit.select.bounds(self.scene.plane.width, self.scene.plane.height)
        return SpaceStep(Step(number, operations, box), self._space, weights)

    def _soft_step(self, piece: LiftedPiece, edit: LiftedEdit, number: int) -> SpaceStep | None:
        step = self._step(edit, number, edit.operations, self._weights(piece, edit))
        return step if self._blends(piece, edit, step) else None

    def _blends(self, piece: LiftedPiece, edit: LiftedEdit, step: SpaceStep) -> bool:
        """Return whether what surrounds the selection follows it, so that nothing needs to be cut."""
        if any(isinstance(operation, Cut) for operation in edit.operations) or edit.select.matte:
            return False
        if edit.mode is not None:
            return edit.mode == "sheet"
        border = self._border(piece, edit, step)
        if border is None:
            return False
        self._borders.append((border, border.may_follow(edit)))
        return self._borders[-1][1]

    def _border(self, piece: LiftedPiece, edit: LiftedEdit, step: EditStep) -> SelectionBorder | None:
        if not edit.select.is_soft:
            return None
        assert isinstance(step, SpaceStep) and step.weights is not None
        near = (step.weights.values > 0) & (step.weights.values < 1) & (piece.layer.opacities > 0)
        return SelectionBorder(piece.placed(self.ends)[near], step, step.weights[near])

    def _parted(self, piece: LiftedPiece, edit: LiftedEdit) -> tuple[LiftedPiece, LiftedPiece]:
        inside = torch.where(self._owned(piece, edit), edit.select.field(self._centres(piece)), -float(RIM_WIDTH_PX))
        return parted_discs(piece, inside, edit.select.softness if edit.select.is_soft else None)

    def _whole_step(
        self, piece: LiftedPiece, edit: LiftedEdit, number: int, operations: tuple[Operation, ...]
    ) -> SpaceStep:
        return self._step(edit, number, operations, None)

    def _halves(self, piece: LiftedPiece, step: SpaceStep, cut: Cut) -> tuple[LiftedPiece, LiftedPiece]:
        placed = replace(piece, steps=(*piece.steps, step)).placed(self.ends)
        return parted_discs(piece, 0.5 + cut.left_of(self._space.from_world(placed.points)[:, :2]).float())


def parted_discs(
    piece: LiftedPiece, inside: Float[Tensor, " n"], softness: float | None = None
) -> tuple[LiftedPiece, LiftedPiece]:
    """Cut a piece in two: what is left, and what was taken.

    The opacity of each part ends where the cut is, and what is left goes on for a little under what was taken, as
    surfaces do behind what hides them. Nothing goes on where a surface ends anyway.

    Args:
        piece: What is cut.
        inside: [n], how far inside of what is taken each disc is: 0.5 at its edge; see ``Selection.field``.
        softness: Over how many pixels the edge is soft; None where it is hard.
    """
    width = max(1.0, softness or 0.0)
    inside = inside.clamp(-RIM_WIDTH_PX, 1 + RIM_WIDTH_PX)
    limits = 1 - inside + _DISC_UNDERLAP_PX / width, inside
    own = inside <= 0.5, inside > 0.5
    parts = []
    for limit, mine in zip(limits, own, strict=True):
        more = ~mine & (limit > -RIM_WIDTH_PX / width)
        if softness is None:
            more = more & _beside(piece.layer, more, mine & (limit < 1 + RIM_WIDTH_PX))
        parts.append(piece.part(mine | more, limit))
    return parts[0], parts[1]


def _shown(scene: LiftedScene) -> Sequence[Bool[Tensor, " n"]]:
    """Return which Gaussians of each layer show the photo, and not something made up behind what it shows.

    What was made up behind a layer's own edges counts as the pixels do whose surface it continues: it moves with them.
    """
    hidden = torch.zeros(scene.plane.pixels, dtype=torch.bool, device=scene.device)
    free: list[Bool[Tensor, " p"]] = []
    shown = []
    for layer in scene.layers:
        pixels = layer.pixels.long()
        free.append(~hidden)
        shown.append(free[-1 if layer.hidden_of is None else layer.hidden_of][pixels])
        if layer.hidden_of is None:
            hidden = hidden.clone()
            hidden[pixels[layer.opacities > SHOWN_OPACITY]] = True
    return shown


def _beside(layer: LiftedLayer, these: Bool[Tensor, " n"], those: Bool[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Return which of these Gaussians lie on the same surface as one of those, and near to it."""
    result, gaussians = torch.zeros_like(these), layer.gaussians[those & (layer.opacities > 0)]
    if len(gaussians) and bool(these.any()):
        index = NeighbourIndex(gaussians.means, gaussians.radius, gaussians.inverse_jacobians)
        result[these] = index.query(layer.gaussians.means[these], 1).valid[:, 0]
    return result
