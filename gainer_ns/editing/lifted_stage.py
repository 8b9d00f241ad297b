"""A lifted photo taken apart by an edit script, and put together again at any time of the film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from gainer_ns.editing.base_stage import BaseStage, SelectedShare
from gainer_ns.editing.flat_or_lifted import LAYERS
from gainer_ns.editing.lifted_piece import SHOWN_OPACITY, LiftedPiece, LiftedSurface, parted_discs
from gainer_ns.editing.material_motion import MaterialOperation
from gainer_ns.editing.operations import Cut, Operation
from gainer_ns.editing.script import Edit, Script
from gainer_ns.editing.shots import SceneView
from gainer_ns.editing.steps import Step
from gainer_ns.frames import CAMERA_DISTANCE, PixelSpace
from gainer_ns.io.places import PlacedError
from gainer_ns.lifting.layer import LiftedLayer
from gainer_ns.lifting.midst import pixels_in_midst
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.surface import RIM_WIDTH_PX
from gainer_ns.lifting.views import CameraView


class LiftedStage(BaseStage[LiftedPiece]):
    """Pieces of a lifted photo, and what a script does to them.

    Args:
        script: What is done.
        scene: The photo.

    Raises:
        GainerError: A selection takes nothing that was lifted.
    """

    def __init__(self, script: Script, scene: LiftedScene) -> None:
        self.scene = scene
        self._spaces: dict[int, PixelSpace] = {}
        super().__init__(script, _pieces(scene))

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

    def size_of(self, layer: str | None) -> tuple[int, int]:
        """Return width and height of the photo, in pixels."""
        return self.scene.plane.width, self.scene.plane.height

    def _take(self, number: int) -> list[LiftedPiece]:
        self._spaces[number] = self._space_of(self.script.edits[number], number)
        return super()._take(number)

    def _owned(self, piece: LiftedPiece, edit: Edit) -> Bool[Tensor, " n"]:
        """Return which Gaussians of a piece an edit may select."""
        if edit.layer is not None:
            return torch.full_like(piece.shown, LAYERS[self.scene.ranks[piece.number]] == edit.layer)
        return torch.ones_like(piece.shown) if edit.select.all else piece.shown

    def _share(self, piece: LiftedPiece, edit: Edit) -> SelectedShare:
        if edit.select in piece.outside:
            return "none"
        if edit.select in piece.inside:
            return "all"
        owned, visible, centres = self._owned(piece, edit), piece.layer.opacities > 0, piece.centres
        share = edit.select.weights(centres) if edit.cuts else (edit.select.depth(centres) > 0).float()
        if not bool((owned & visible & (share > 0)).any()):
            return "none"
        return "all" if bool((owned & (share >= 1))[visible].all()) else "some"

    def _space_of(self, edit: Edit, number: int) -> PixelSpace:
        """Return pixels at the depth of what an edit selects: that of half of its pixels is less."""
        depths = []
        for piece in self.pieces:
            solid = (edit.select.weights(piece.centres) >= 0.5) & self._owned(piece, edit)
            if edit.layer is None:
                solid &= piece.shown
            solid &= piece.layer.opacities > SHOWN_OPACITY
            depths.append(CAMERA_DISTANCE - piece.layer.gaussians.means[solid, 2])
        selected = torch.cat(depths)
        if len(selected) == 0:
            problem = "selects nothing that was lifted; select some of what `gainer render` shows of this run"
            raise self.script.mistake(number, PlacedError(("select",), problem))
        return PixelSpace(self.scene.camera, float(selected.median()))

    def _parted(self, piece: LiftedPiece, edit: Edit) -> tuple[LiftedPiece, LiftedPiece]:
        inside = torch.where(self._owned(piece, edit), edit.select.field(piece.centres), -float(RIM_WIDTH_PX))
        return parted_discs(piece, inside, edit.select.softness if edit.select.is_soft else None)

    def _whole_step(self, piece: LiftedPiece, edit: Edit, number: int, operations: tuple[Operation, ...]) -> Step:
        width, height = self.size_of(edit.layer)
        box = edit.select.bounds(width, height)
        step = Step(number, operations, box, None, piece.source, self._spaces[number])
        self._check(step, piece, (0.0, 0.0, width, height))
        return step

    def _soft_step(self, piece: LiftedPiece, edit: Edit, number: int) -> Step | None:
        if not edit.cuts and any(isinstance(operation, MaterialOperation) for operation in edit.operations):
            problem = (
                "pins and rig move all of a lifted photo, or what is cut out; leave select out, or write mode: piece"
            )
            raise self.script.mistake(number, PlacedError(("select",), problem))
        if self.scene.views and not edit.cuts:
            problem = (
                "is followed by what surrounds it in one photo, and this scene has several; write mode: piece, which "
                "cuts it out in all of them"
            )
            raise self.script.mistake(number, PlacedError(("select",), problem))
        return super()._soft_step(piece, edit, number)

    def _halves(self, piece: LiftedPiece, step: Step, cut: Cut) -> tuple[LiftedPiece, LiftedPiece]:
        placed = replace(piece, steps=(*piece.steps, step)).discs_after(self.ends)
        return parted_discs(piece, 0.5 + cut.left_of(self._spaces[step.edit].from_world(placed.points)[:, :2]).float())


def _pieces(scene: LiftedScene) -> list[LiftedPiece]:
    """Return all layers as pieces; material is what the photo of the scene's camera shows."""
    surfaces = [LiftedSurface(layer, scene.camera) for layer in scene.own_layers]
    layers = zip(scene.layers, _shown(scene), pixels_in_midst(scene), scene.ranks, strict=True)
    return [LiftedPiece(i, layer, shown, at, surfaces[rank]) for i, (layer, shown, at, rank) in enumerate(layers)]


def _shown(scene: LiftedScene) -> Sequence[Bool[Tensor, " n"]]:
    """Return which Gaussians of each layer show their photo, and not something made up behind what it shows.

    What was made up behind a layer's own edges counts as the pixels do whose surface it continues: it moves with them.
    """
    hidden: dict[int, Bool[Tensor, " p"]] = {}
    free: list[Bool[Tensor, " p"]] = []
    shown = []
    for layer in scene.layers:
        pixels = layer.pixels.long()
        if layer.view not in hidden:
            camera = scene.views[layer.view].camera if scene.views else scene.camera
            hidden[layer.view] = torch.zeros(camera.width * camera.height, dtype=torch.bool, device=scene.device)
        free.append(~hidden[layer.view])
        shown.append(free[-1 if layer.hidden_of is None else layer.hidden_of][pixels])
        if layer.hidden_of is None:
            hidden[layer.view][pixels[layer.opacities > SHOWN_OPACITY]] = True
    return shown
