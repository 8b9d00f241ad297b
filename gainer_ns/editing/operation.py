"""What all operations of an edit script share: their numbers, keyframes of these, and ways to be applied."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeAlias

import torch
from jaxtyping import Float
from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from torch import Tensor

from gainer_ns.editing import deformations
from gainer_ns.editing.deformations import Amount
from gainer_ns.editing.keyed_numbers import Tracks, parts_of, read_tracks, replaced, tracks_in, written
from gainer_ns.editing.percentages import ACROSS, DOWN, LENGTH
from gainer_ns.editing.selection import ScriptModel
from gainer_ns.editing.timing import Easing, between_keyframes
from gainer_ns.errors import GainerError
from gainer_ns.frames import Bounds

# The bounds are far beyond any picture; they keep the arithmetic finite.
FiniteNumber: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e9, le=1e9)]
PositiveFactor: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=1e-6, le=1e9)]
Length: TypeAlias = Annotated[FiniteNumber, LENGTH]
PositiveLength: TypeAlias = Annotated[PositiveFactor, LENGTH]
Across: TypeAlias = Annotated[FiniteNumber, ACROSS]
Down: TypeAlias = Annotated[FiniteNumber, DOWN]
PlanePoint: TypeAlias = tuple[Across, Down]
PlaneOffset: TypeAlias = tuple[Length, Length]


class Operation(ScriptModel):
    """One way to move what is selected.

    A subclass gives ``_map``, or ``moved`` where it knows its Jacobians better than automatic differentiation does.
    All coordinates are pixels of the source picture, and all angles degrees, counter-clockwise as seen.

    Attributes:
        knows_shares: Whether ``_map`` takes an amount for each point; where it does not, points that follow in part go
            so much of the way to where the rest goes, on a straight line.
        is_planar: Whether it moves points of space as those of the plane below them, and leaves how deep they are.
        words_of_space: Which of its words mean something in space only.
        turns: Whether it turns things.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    knows_shares: ClassVar[bool] = True
    is_planar: ClassVar[bool] = True
    words_of_space: ClassVar[tuple[str, ...]] = ()
    turns: ClassVar[bool] = False

    _tracks: Tracks = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _read_keyframes(cls, data: Any, read: ModelWrapValidatorHandler[Any]) -> Any:
        data = cls._in_words(data)
        tracks = tracks_in(data)
        if not tracks or () in tracks:
            return read(data)
        operation, operation._tracks = read_tracks(tracks, data, read)
        for time in operation.times:
            operation.at_time(time, "linear")
        return operation

    @classmethod
    def _in_words(cls, data: Any) -> Any:
        """Return what a script says of the operation, each value by its word; subclasses know shorter ways."""
        return data

    @model_serializer(mode="wrap")
    def _write_keyframes(self, write: SerializerFunctionWrapHandler) -> Any:
        return self._with_keyframes(write(self))

    def _with_keyframes(self, words: Any) -> Any:
        """Return the words of the operation with its keyframes."""
        for loc, track in self._tracks.items():
            words = replaced(words, loc, {time: written(value) for time, value in track.items()})
        return words

    @property
    def tracks(self) -> Tracks:
        """Its own keyframes, by where in it they stand."""
        return self._tracks

    @property
    def is_keyed(self) -> bool:
        """Whether it has keyframes of its own, and does something else at every time."""
        return bool(self._tracks)

    @property
    def times(self) -> set[float]:
        """Times of its own keyframes."""
        return {time for track in self._tracks.values() for time in track}

    def at_time(self, t: float, easing: Easing) -> Operation:
        """Return what it does at a time, where it has keyframes of its own.

        Raises:
            GainerError: What lies between two keyframes cannot be.
        """
        if not self._tracks:
            return self
        words = parts_of(self)
        for loc, track in self._tracks.items():
            words = replaced(words, loc, between_keyframes(track, t, easing))
        try:
            return type(self).model_validate(words)
        except ValidationError as error:
            problem = str(error.errors()[0].get("ctx", {}).get("error", error.errors()[0]["msg"]))
            raise GainerError(f"{type(self).__name__.lower()} at time {t:g}: {problem}") from None

    def map(self, points: Float[Tensor, "m d"], *, amount: Amount, box: Bounds) -> Float[Tensor, "m d"]:
        """Move points.

        Args:
            points: Points in pixels; on the plane, or for lifted photos in space.
            amount: 0 is exactly nothing, 1 is all; what lies between or a little beyond is natural for the operation.
                One for all points, or one for each: half a turn is half its angle.
            box: Left, top, right and bottom of the selection.

        Raises:
            GainerError: If what lies between cannot be, such as corners that fold the picture on their way.
        """
        if self.is_planar and points.shape[1] > 2:
            return torch.cat([self.map(points[:, :2], amount=amount, box=box), points[:, 2:]], dim=1)
        if not isinstance(amount, Tensor):
            return points if amount == 0 else self._map(points, amount, box)
        if self.knows_shares:
            return self._map(points, amount, box)
        low, high = (0.0, 0.0) if len(amount) == 0 else torch.stack(amount.aminmax()).tolist()
        most = max(low, high, key=abs)
        if most == 0:
            return points
        return points + (amount / most)[:, None].to(points) * (self._map(points, most, box) - points)

    def _map(self, points: Tensor, amount: Amount, box: Bounds) -> Tensor:
        raise NotImplementedError

    def moved(
        self, points: Float[Tensor, "m d"], *, amount: float, box: Bounds
    ) -> tuple[Float[Tensor, "m d"], Float[Tensor, "m d d"]]:
        """Move points as ``map`` does, and return the Jacobian of the map at each of them too."""
        if amount == 0:
            return points, torch.eye(points.shape[1]).to(points).repeat(len(points), 1, 1)
        return deformations.with_jacobian(lambda block: self.map(block, amount=amount, box=box), points)
