"""Keyframes of what an edit holds, pins and bones, by the time that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

SAME_TIME = 0.005
"""Times that are nearer than this are one: half a step of the slider."""


class Timed(Protocol):
    """What is so at a time, from 0 to 1."""

    @property
    def time(self) -> float:
        """When."""
        ...


AnyTimed = TypeVar("AnyTimed", bound=Timed)
AnyModel = TypeVar("AnyModel", bound=BaseModel)


def without_key(keys: Sequence[AnyTimed] | None, time: float) -> tuple[AnyTimed, ...]:
    """Return keyframes but the one at a time."""
    return tuple(key for key in keys or () if abs(key.time - time) > SAME_TIME)


def with_key(keys: Sequence[AnyTimed] | None, key: AnyTimed) -> tuple[AnyTimed, ...]:
    """Return keyframes with one more, in place of one at its time."""
    return tuple(sorted([*without_key(keys, key.time), key], key=lambda one: one.time))


def saying(model: AnyModel, **changes: Any) -> AnyModel:
    """Return a pin or bones that say something else; None for what they are to say no more."""
    said = {**{word: getattr(model, word) for word in type(model).model_fields}, **changes}
    return type(model)(**{word: value for word, value in said.items() if value is not None})
