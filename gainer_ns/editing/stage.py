"""An edit script made ready: pictures taken apart into pieces, and put together again at any time of the film."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.editing.operations import Cut, Operation
from gainer_ns.editing.pieces import Piece, parted
from gainer_ns.editing.rest_picture import RestPicture
from gainer_ns.editing.script import BaseEdit, Edit, Script
from gainer_ns.editing.steps import EditStep, SelectionBorder, Step, Weights
from gainer_ns.frames import ImagePlane
from gainer_ns.rendering.plane import BakedPicture

EditT = TypeVar("EditT", bound=BaseEdit)
PieceT = TypeVar("PieceT", bound=Any)
_MAX_BORDER_POINTS = 16_384
"""Points along the border of a selection that tell whether it folds or tears."""
SelectedShare: TypeAlias = Literal["all", "some", "none"]
"""How much of what a piece shows an edit selects."""


class BaseStage(ABC, Generic[EditT, PieceT]):
    """Pieces of what a script edits, on the plane or in space, and what the script does to them.

    Subclasses say how much of a piece an edit selects (``_share``), what it does to a piece that follows in part
    (``_soft_step``) and what lies at the selection's border there (``_border``), what it leaves and what it takes
    (``_parted``), what it does to a piece that it takes as a whole (``_whole_step``), and what a cut parts that into:
    what is on the right and on the left of its line after a step (``_halves``).

    Args:
        script: What is done.
        pieces: What is edited, before it is taken apart.

    Raises:
        GainerError: A selection does not fit what is edited.
    """

    def __init__(self, script: Any, pieces: Sequence[PieceT]) -> None:
        self.script, self.pieces = script, list(pieces)
        self._borders: list[tuple[SelectionBorder, bool]] = []
        for number in range(len(script.edits)):
            self._borders = []  # those of the last edit are kept, for scripts that follow
            self._take(number)

    def follow(self, script: Any) -> bool:
        """Take another script, if its last edit moves otherwise what it moved before, and all else is as it was.

        Nothing is taken apart anew then, so it is fast: for a hand that drags something. If the result is False,
        nothing has changed, and another stage must be made.
        """
        if script is self.script:
            return True
        edits, before = script.edits, self.script.edits
        if len(edits) != len(before) or not edits or edits[:-1] != before[:-1]:
            return False
        edit, number = edits[-1], len(edits) - 1
        if edit.takes != before[-1].takes:
            return False
        if any(isinstance(operation, Cut) for operation in (*edit.operations, *before[-1].operations)):
            return False
        if any(border.may_follow(edit) != blends for border, blends in self._borders):
            return False
        self.script = script
        for piece in self.pieces:
            piece.follow(number, edit.operations)
        return True

    @property
    def ends(self) -> list[float]:
        """How much of each edit there is at the end of the film."""
        return [edit.amount(1.0) for edit in self.script.edits]

    def _take(self, number: int) -> list[PieceT]:
        """Make ready for one edit: cut pieces where it must, say how each moves, and return those that were cut out."""
        edit = self.script.edits[number]
        pieces: list[PieceT] = []
        cut_out: list[PieceT] = []
        for piece in self.pieces:
            share = self._share(piece, edit)
            if share == "none":
                pieces.append(piece)
            elif share == "all":
                pieces.extend(self._moved(piece, edit, number))
            else:
                step = self._soft_step(piece, edit, number)
                if self._blends(piece, edit, step):
                    piece.steps = (*piece.steps, step)
                    pieces.append(piece)
                    continue
                left, taken = self._parted(piece, edit)
                left.outside, taken.inside = (*left.outside, edit.select), (*taken.inside, edit.select)
                moved = self._moved(taken, edit, number)
                pieces.extend([left, *moved])
                cut_out.extend(moved)
        self.pieces = pieces
        return cut_out

    def _blends(self, piece: PieceT, edit: EditT, step: EditStep) -> bool:
        """Return whether what surrounds the selection follows it, so that nothing needs to be cut."""
        if any(isinstance(operation, Cut) for operation in edit.operations) or edit.select.matte:
            return False
        if edit.seam != "auto":
            return edit.seam == "blend"
        border = self._border(piece, edit, step)
        if border is None:
            return False
        self._borders.append((border, border.may_follow(edit)))
        return self._borders[-1][1]

    @abstractmethod
    def _share(self, piece: PieceT, edit: EditT) -> SelectedShare: ...

    @abstractmethod
    def _soft_step(self, piece: PieceT, edit: EditT, number: int) -> EditStep: ...

    @abstractmethod
    def _border(self, piece: PieceT, edit: EditT, step: EditStep) -> SelectionBorder | None: ...

    @abstractmethod
    def _parted(self, piece: PieceT, edit: EditT) -> tuple[PieceT, PieceT]: ...

    def _moved(self, piece: PieceT, edit: EditT, number: int) -> list[PieceT]:
        """Say how what an edit takes moves: the piece as a whole, or what the edit cuts it into."""
        parts: list[tuple[PieceT, tuple[Operation, ...]]] = [(piece, ())]
        for operation in edit.operations:
            if not isinstance(operation, Cut):
                parts = [(part, (*before, operation)) for part, before in parts]
                continue
            halves: list[tuple[PieceT, tuple[Operation, ...]]] = []
            for part, before in parts:
                right, left = self._halves(part, self._whole_step(part, edit, number, before), operation)
                for half, move in zip((left, right), operation.halves, strict=True):
                    halves.append((half, (*before, move)))
            parts = halves
        for part, operations in parts:
            part.steps = (*part.steps, self._whole_step(part, edit, number, operations))
        return [part for part, _ in parts]

    @abstractmethod
    def _whole_step(self, piece: PieceT, edit: EditT, number: int, operations: tuple[Operation, ...]) -> Any: ...

    @abstractmethod
    def _halves(self, piece: PieceT, step: Any, cut: Cut) -> tuple[PieceT, PieceT]: ...


class Stage(BaseStage[Edit, Piece]):
    """Pieces of pictures, from back to front, and what a script does to them.

    Args:
        script: What is done.
        picture: The main picture.
        layers: The further pictures that the script names.
        rests: What another stage found of the main picture's layers; None to find it.

    Raises:
        GainerError: A selection does not fit its picture.
    """

    def __init__(
        self,
        script: Script,
        picture: BakedPicture,
        layers: Mapping[str, BakedPicture] | None = None,
        rests: Sequence[RestPicture] | None = None,
    ) -> None:
        self.picture = picture
        self._sources: dict[str | None, BakedPicture] = {None: picture}
        pieces = self._wholes = _pieces(None, rests or rest_pictures(picture), picture.plane)
        for name, laid in script.layers.items():
            other = (layers or {})[name].in_profile(picture.profile)
            self._sources[name] = other
            script.check_selections(name, other.plane.width, other.plane.height)
            further = _pieces(name, rest_pictures(other), picture.plane)
            further = [replace(piece, place=laid.place, scale=laid.scale) for piece in further]
            pieces = [*pieces, *further] if laid.order == "front" else [*further, *pieces]
        super().__init__(script, pieces)

    def follow(self, script: Script) -> bool:
        """Take another script; see :meth:`BaseStage.follow`."""
        return script.layers == self.script.layers and super().follow(script)

    def at(self, t: float) -> BakedPicture:
        """Return the picture at a time from 0 to 1."""
        amounts = [edit.amount(t) for edit in self.script.edits]
        # What lies as it did is drawn in one: where it is clear in part, pieces over one another would be less clear.
        instead: dict[int, Piece | None] = {}
        for whole in self._wholes:
            remains = {id(piece) for piece in whole.remains}
            if whole.parts and all(piece.is_still(amounts) for piece in (whole, *whole.remains)):
                lowest = next(id(piece) for piece in self.pieces if id(piece) in remains)
                instead.update({piece: whole if piece == lowest else None for piece in remains})
        drawn = [instead.get(id(piece), piece) for piece in self.pieces]
        return replace(self.picture, layers=tuple(piece.posed(amounts) for piece in drawn if piece is not None))

    def hole(self) -> Bool[Tensor, "h w"]:
        """Return the pixels of the main picture out of which a piece was cut."""
        plane, device = self.picture.plane, self.picture.device
        hole = torch.zeros(plane.pixels, dtype=torch.bool, device=device)
        pixels = plane.pixel_from_plane(plane.pixel_centres(torch.arange(plane.pixels, device=device)))
        for piece in self.pieces:
            if piece.picture is None and piece.inside:
                hole |= torch.stack([selection.field(pixels) > 0 for selection in piece.inside]).all(dim=0)
        return hole.view(plane.height, plane.width)

    def _take(self, number: int) -> list[Piece]:
        edit = self.script.edits[number]
        if edit.select.matte:
            from gainer_ns.editing.cut_outs import settle_matte  # which fits

            settle_matte(edit.select, self._sources[edit.layer])
        cut_out = super()._take(number)  # passes before everything else, or behind it
        others = [piece for piece in self.pieces if piece not in cut_out]
        is_front = self.script.edits[number].order == "front"
        self.pieces = [*others, *cut_out] if is_front else [*cut_out, *others]
        return cut_out

    def _share(self, piece: Piece, edit: Edit) -> SelectedShare:
        if piece.picture != edit.layer or edit.select in piece.outside:
            return "none"
        if edit.select.all or edit.select in piece.inside:
            return "all"
        selected = piece.rest.selected(edit.select)
        weights = selected.weights[selected.within(piece.is_visible)]
        if not bool((weights > 0).any()):
            return "none"
        return "all" if int((weights >= 1).sum()) == int(piece.is_visible.sum()) else "some"

    def _soft_step(self, piece: Piece, edit: Edit, number: int) -> Step:
        return Step(number, edit.operations, _box(edit, piece), edit.select)

    def _border(self, piece: Piece, edit: Edit, step: EditStep) -> SelectionBorder:
        selected = piece.rest.selected(edit.select)
        if not edit.select.is_soft:
            inside = selected.within(selected.field)
            near = _some(selected.pixels[inside.abs() <= 0.5])  # what lies just outside
            return SelectionBorder(piece.placed(self.ends, near), step, None)
        origins = _some(selected.pixels[(selected.weights > 0) & (selected.weights < 1)])
        return SelectionBorder(piece.placed(self.ends, origins), step, Weights.of(edit.select, origins))

    def _parted(self, piece: Piece, edit: Edit) -> tuple[Piece, Piece]:
        field = piece.rest.selected(edit.select).field
        parts = parted(piece, field, upper=edit.order == "front", width=edit.select.softness)
        if edit.select.matte:
            from gainer_ns.editing.cut_outs import take_own_colours

            take_own_colours(*parts, edit.select)
        return parts

    def _whole_step(self, piece: Piece, edit: Edit, number: int, operations: tuple[Operation, ...]) -> Step:
        return Step(number, operations, _box(edit, piece))

    def _halves(self, piece: Piece, step: Step, cut: Cut) -> tuple[Piece, Piece]:
        left_of = cut.left_of(replace(piece, steps=(*piece.steps, step)).carried(self.ends, piece.rest.pixels))
        return parted(piece, 0.5 + left_of.view(piece.rest.shape), upper=True)


def rest_pictures(picture: BakedPicture) -> list[RestPicture]:
    """Return a picture's layers as scripts find them."""
    return [RestPicture(layer, picture.plane) for layer in picture.layers]


def _pieces(name: str | None, rests: Sequence[RestPicture], canvas: ImagePlane) -> list[Piece]:
    """Return a picture's layers as pieces."""
    return [Piece(name, rest, canvas) for rest in rests]


def _some(points: Float[Tensor, "m 2"]) -> Float[Tensor, "n 2"]:
    """Return evenly chosen points where there are many."""
    return points[:: max(1, len(points) // _MAX_BORDER_POINTS)]


def _box(edit: Edit, piece: Piece) -> tuple[float, float, float, float]:
    """Return the box of an edit's selection on the canvas."""
    box = edit.select.bounds(piece.plane.width, piece.plane.height)
    left, top, right, bottom = (piece.place[side % 2] + piece.scale * box[side] for side in range(4))
    return left, top, right, bottom
