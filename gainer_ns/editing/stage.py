"""An edit script made ready: pictures taken apart into pieces, and put together again at any time of the film."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import torch
from jaxtyping import Bool
from torch import Tensor

from gainer_ns.editing.extent import even, extent_of
from gainer_ns.editing.falloff import Falloff
from gainer_ns.editing.falloff_width import FalloffSizer
from gainer_ns.editing.operations import Cut, Operation
from gainer_ns.editing.pieces import Piece, parted
from gainer_ns.editing.rest_picture import BLOCK_PIXELS, RestPicture
from gainer_ns.editing.script import BaseEdit, Edit, Script
from gainer_ns.editing.steps import EditStep, SelectionBorder, Step
from gainer_ns.editing.unfolding import Unfolder
from gainer_ns.errors import GainerError
from gainer_ns.frames import Bounds, ImagePlane
from gainer_ns.io.image_io import MAX_PIXELS
from gainer_ns.io.places import PlacedError
from gainer_ns.rendering.plane import BakedPicture

EditT = TypeVar("EditT", bound=BaseEdit)
PieceT = TypeVar("PieceT", bound=Any)
_logger = logging.getLogger(__name__)
SelectedShare: TypeAlias = Literal["all", "some", "none"]
"""How much of what a piece shows an edit selects."""


class BaseStage(ABC, Generic[EditT, PieceT]):
    """Pieces of what a script edits, on the plane or in space, and what the script does to them.

    Subclasses say how much of a piece an edit selects (``_share``), what it does to a piece that follows in part
    (``_soft_step``; None if what it selects must be cut out), what it leaves and what it takes (``_parted``), what it
    does to a piece that it takes as a whole (``_whole_step``), and what a cut parts that into: what is on the right and
    on the left of its line after a step (``_halves``).

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
            self._follow(piece, edit, number)
        return True

    def _follow(self, piece: PieceT, edit: EditT, number: int) -> None:
        """Make an edit do something else to what it moves already."""
        piece.follow(number, edit.operations)

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
                if step is not None:
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

    @abstractmethod
    def _share(self, piece: PieceT, edit: EditT) -> SelectedShare: ...

    @abstractmethod
    def _soft_step(self, piece: PieceT, edit: EditT, number: int) -> EditStep | None: ...

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
        self._unfolder = Unfolder()
        self._sizers: dict[tuple[int, int], FalloffSizer] = {}
        super().__init__(script, pieces)

    def follow(self, script: Script) -> bool:
        """Take another script; see :meth:`BaseStage.follow`."""
        return script.layers == self.script.layers and super().follow(script)

    def at(self, t: float) -> BakedPicture:
        """Return the picture at a time from 0 to 1."""
        edits = self.script.edits
        amounts = [edit.amount(t) for edit in edits]
        depths = [depth for depth, _ in (_place(edit, number, t) for number, edit in enumerate(edits))]
        for number, edit in enumerate(edits):
            if edit.is_keyed:
                for piece in self.pieces:
                    piece.follow(number, edit.operations_at(t))
        # What lies as it did is drawn in one: where it is clear in part, pieces over one another would be less clear.
        instead: dict[int, Piece | None] = {}
        for whole in self._wholes:
            remains = {id(piece) for piece in whole.remains}
            if whole.parts and all(piece.is_still(amounts) for piece in (whole, *whole.remains)):
                lowest = next(id(piece) for piece in self.pieces if id(piece) in remains)
                instead.update({piece: whole if piece == lowest else None for piece in remains})
        drawn = [instead.get(id(piece), piece) for piece in self._from_back_to_front(t)]
        layers = [self._unfolder.layers(piece, amounts, depths) for piece in drawn if piece is not None]
        return replace(self.picture, layers=tuple(chain.from_iterable(layers)))

    def _from_back_to_front(self, t: float) -> list[Piece]:
        """Return the pieces as they lie over one another at a time: those of later edits farther out."""
        edits = self.script.edits

        def place(piece: Piece) -> tuple[float, int]:
            return (0.0, 0) if piece.taken_by is None else _place(edits[piece.taken_by], piece.taken_by, t)

        return sorted(self.pieces, key=place)

    @property
    def canvas(self) -> Bounds | None:
        """Left, top, right and bottom of what the script draws; None for the whole picture.

        Raises:
            GainerError: What is shown reaches too far to be drawn.
        """
        script = self.script
        if script.canvas != "auto":
            return script.canvas
        amounts = [[edit.amount(t) for edit in script.edits] for t in script.times]
        found = extent_of(self.pieces, amounts)
        if found is None:
            return None
        left, top, right, bottom = even(found) if script.frames else found
        if (right - left) * (bottom - top) > MAX_PIXELS:
            raise GainerError(
                f"{script.where('canvas')}: auto takes in {right - left:g} x {bottom - top:g} pixels, but at most "
                f"{MAX_PIXELS // 10**6} megapixels can be drawn; write [left, top, right, bottom]"
            )
        return left, top, right, bottom

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
        cut_out = super()._take(number)
        for piece in cut_out:
            piece.taken_by = number
        self.pieces = self._from_back_to_front(0.0)
        return cut_out

    def _follow(self, piece: Piece, edit: Edit, number: int) -> None:
        super()._follow(piece, edit, number)
        if any(step.edit == number and isinstance(step.selection, Falloff) for step in piece.steps):
            piece.put(self._on_sheet(piece, edit, number)[0])

    def _share(self, piece: Piece, edit: Edit) -> SelectedShare:
        if piece.picture != edit.layer or edit.select in piece.outside:
            return "none"
        if edit.select.all or edit.select in piece.inside:
            return "all"
        if edit.cuts or edit.select.is_painted:
            selected = piece.rest.selected(edit.select)
            weights = selected.weights[selected.within(piece.is_visible)]
            some, whole = bool((weights > 0).any()), int((weights >= 1).sum()) == int(piece.is_visible.sum())
        else:
            visible = piece.rest.pixels[piece.is_visible]
            inside = torch.cat([edit.select.depth(block) > 0 for block in visible.split(BLOCK_PIXELS)])
            some, whole = bool(inside.any()), bool(inside.all())
        return ("all" if whole else "some") if some else "none"

    def _soft_step(self, piece: Piece, edit: Edit, number: int) -> Step | None:
        if edit.cuts:
            return None
        step, holds = self._on_sheet(piece, edit, number)
        if not holds:
            wider = "leave feather out, or " if edit.select.softness else ""
            _logger.warning(
                "%s: moves farther than what surrounds the selection can follow without folding or tearing; %swrite "
                "mode: piece to cut it out",
                self.script.where("edits", number),
                wider,
            )
        return step

    def _on_sheet(self, piece: Piece, edit: Edit, number: int) -> tuple[Step, bool]:
        """Return what an edit does to a sheet, and whether nothing folds or tears."""
        step = self._step(piece, edit, number, edit.operations)
        if edit.select.is_soft and not edit.select.softness:  # what follows in part is painted
            return replace(step, selection=edit.select), True
        key = id(piece), number
        if key not in self._sizers:
            self._sizers[key] = FalloffSizer(piece, edit.select)
        before = [0.0 if i == number else amount for i, amount in enumerate(self.ends)]
        falloff, holds = self._sizers[key].sized(step, before, edit.extremes)
        return replace(step, selection=falloff), holds

    def _parted(self, piece: Piece, edit: Edit) -> tuple[Piece, Piece]:
        field = piece.rest.selected(edit.select).field
        parts = parted(piece, field, upper=edit.depth(0.0) >= 0, width=edit.select.softness)
        if edit.select.matte:
            from gainer_ns.editing.cut_outs import take_own_colours

            take_own_colours(*parts, edit.select)
        return parts

    def _whole_step(self, piece: Piece, edit: Edit, number: int, operations: tuple[Operation, ...]) -> Step:
        return self._step(piece, edit, number, operations)

    def _step(self, piece: Piece, edit: Edit, number: int, operations: tuple[Operation, ...]) -> Step:
        """Return what an edit does to a piece; refuse operations on material that something has moved before."""
        step = Step(number, operations, _box(edit, piece), None, piece.source)
        problem = step.lateness(piece.steps)
        if problem:
            raise self.script.mistake(number, PlacedError((), problem))
        return step

    def _halves(self, piece: Piece, step: Step, cut: Cut) -> tuple[Piece, Piece]:
        left_of = cut.left_of(replace(piece, steps=(*piece.steps, step)).carried(self.ends, piece.rest.pixels))
        return parted(piece, 0.5 + left_of.view(piece.rest.shape), upper=True)


def rest_pictures(picture: BakedPicture) -> list[RestPicture]:
    """Return a picture's layers as scripts find them."""
    return [RestPicture(layer, picture.plane) for layer in picture.layers]


def _pieces(name: str | None, rests: Sequence[RestPicture], canvas: ImagePlane) -> list[Piece]:
    """Return a picture's layers as pieces."""
    return [Piece(name, rest, canvas) for rest in rests]


def _place(edit: Edit, number: int, t: float) -> tuple[float, int]:
    """Return how near what an edit moves is at a time, and what counts among equals: later ones are farther out."""
    depth = edit.depth(t)
    return depth, number + 1 if depth >= 0 else -number - 1


def _box(edit: Edit, piece: Piece) -> tuple[float, float, float, float]:
    """Return the box of an edit's selection on the canvas."""
    box = edit.select.bounds(piece.plane.width, piece.plane.height)
    left, top, right, bottom = (piece.place[side % 2] + piece.scale * box[side] for side in range(4))
    return left, top, right, bottom
