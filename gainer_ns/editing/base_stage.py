"""What flat pictures and lifted photos share when an edit script takes them apart."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from gainer_ns.editing.falloff import Falloff
from gainer_ns.editing.falloff_width import FalloffSizer
from gainer_ns.editing.moving_piece import MovingPiece
from gainer_ns.editing.operations import Cut, Operation
from gainer_ns.editing.pins import Pins
from gainer_ns.editing.script import Edit, Script
from gainer_ns.editing.steps import Step
from gainer_ns.frames import Bounds
from gainer_ns.io.places import PlacedError

_logger = logging.getLogger(__name__)

PieceT = TypeVar("PieceT", bound=MovingPiece)
SelectedShare: TypeAlias = Literal["all", "some", "none"]
"""How much of what a piece shows an edit selects."""


class BaseStage(ABC, Generic[PieceT]):
    """Pieces of what a script edits, on the plane or in space, and what the script does to them.

    Subclasses say how much of a piece an edit selects (``_share``), what it leaves and what it takes (``_parted``),
    what it does to a piece that it takes as a whole (``_whole_step``), what a cut parts that into (``_halves``: what is
    on the right and on the left of its line after a step), and how large pictures are (``size_of``).

    Args:
        script: What is done.
        pieces: What is edited, before it is taken apart.

    Raises:
        GainerError: A selection does not fit what is edited.
    """

    def __init__(self, script: Script, pieces: Sequence[PieceT]) -> None:
        self.script, self.pieces = script, list(pieces)
        self._sizers: dict[tuple[int, int], FalloffSizer] = {}
        self._varied: dict[int, tuple[Operation, ...]] = {}
        for number in range(len(script.edits)):
            self._take(number)

    def follow(self, script: Script) -> bool:
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
        self.script, self._varied = script, {}
        for piece in self._followers:
            self._follow(piece, edit, number)
        return True

    def _follow(self, piece: PieceT, edit: Edit, number: int) -> None:
        """Make an edit do something else to what it moves already."""
        piece.follow(number, edit.operations)
        if any(step.edit == number and isinstance(step.selection, Falloff) for step in piece.steps):
            piece.put(self._on_sheet(piece, edit, number)[0])

    @property
    def _followers(self) -> list[PieceT]:
        """All that is drawn at some time."""
        return self.pieces

    def _vary(self, t: float) -> None:
        """Let operations that have keyframes of their own do what they do at a time."""
        for number, edit in enumerate(self.script.edits):
            if not edit.is_keyed:
                continue
            operations = edit.operations_at(t)
            if self._varied.get(number) != operations:
                self._varied[number] = operations
                for piece in self._followers:
                    piece.follow(number, operations)

    def _amounts(self, t: float) -> list[float]:
        """Return how much of each edit there is at a time, once all that varies does what it does then."""
        self._vary(t)
        return [edit.amount(t) for edit in self.script.edits]

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
    def _share(self, piece: PieceT, edit: Edit) -> SelectedShare: ...

    def _soft_step(self, piece: PieceT, edit: Edit, number: int) -> Step | None:
        """Return what an edit does to a piece that follows in part; None if what it selects is cut out."""
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

    def _on_sheet(self, piece: PieceT, edit: Edit, number: int) -> tuple[Step, bool]:
        """Return what an edit does to a sheet, and whether nothing folds or tears."""
        step = self._whole_step(piece, edit, number, edit.operations)
        if edit.select.is_soft and not edit.select.softness:  # what follows in part is painted
            return step.following(edit.operations, edit.select), True
        key = id(piece), number
        if key not in self._sizers:
            self._sizers[key] = FalloffSizer(piece, edit.select, edit.select.bounds(*self.size_of(edit.layer)))
        before = [0.0 if i == number else amount for i, amount in enumerate(self.ends)]
        at_keyframes = [step.following(operations) for operations in edit.extreme_operations]
        sized = [self._sizers[key].sized(one, before, edit.extremes) for one in at_keyframes]
        widest = max((falloff for falloff, _ in sized), key=lambda falloff: falloff.width)
        return step.following(edit.operations, widest), all(holds for _, holds in sized)

    @abstractmethod
    def size_of(self, layer: str | None) -> tuple[int, int]:
        """Return width and height, in pixels, of a layer's picture; of the main one if None."""

    @abstractmethod
    def _parted(self, piece: PieceT, edit: Edit) -> tuple[PieceT, PieceT]: ...

    def _moved(self, piece: PieceT, edit: Edit, number: int) -> list[PieceT]:
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
    def _whole_step(self, piece: PieceT, edit: Edit, number: int, operations: tuple[Operation, ...]) -> Step: ...

    def _check(self, step: Step, piece: PieceT, frame: Bounds) -> None:
        """Refuse operations on material that something has moved before, and pins outside a frame on the canvas."""
        problem = step.lateness(piece.steps)
        if problem:
            raise self.script.mistake(step.edit, PlacedError((), problem))
        for pins in (operation for operation in step.operations if isinstance(operation, Pins)):
            try:
                pins.check(frame)
            except PlacedError as error:
                raise self.script.mistake(step.edit, error.below("pins")) from None

    @abstractmethod
    def _halves(self, piece: PieceT, step: Any, cut: Cut) -> tuple[PieceT, PieceT]: ...
