"""The word ``pins`` of an edit script: places where the material is held, and what they do in the course of a film."""

from __future__ import annotations

import cmath
import math
from collections.abc import Hashable
from typing import Annotated, Any, TypeVar

import numpy as np
from jaxtyping import Complex, Float
from pydantic import ConfigDict, Field, model_validator

from gainer_ns.editing import deformations
from gainer_ns.editing.material_motion import MaterialMotion, MaterialOperation, MaterialSource
from gainer_ns.editing.operations import FiniteNumber, PlanePoint, PositiveFactor
from gainer_ns.editing.percentages import LENGTH
from gainer_ns.editing.selection import ScriptModel
from gainer_ns.editing.timing import Easing, Time, between_keyframes, check_order
from gainer_ns.frames import Bounds
from gainer_ns.io.places import PlacedError
from gainer_ns.motion.modes import Mode

PinT = TypeVar("PinT", bound="PinKeyframe")


class PinKeyframe(ScriptModel):
    """What a pin does at a time; what is left out goes on from the keyframe before to the one after."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    time: Time
    """When, from 0 to 1 over the film."""
    to: PlanePoint | None = None
    """Where it is then."""
    rotate: FiniteNumber | None = None
    """How far it has turned, in degrees counter-clockwise."""
    scale: PositiveFactor | None = None
    """How many times larger it is."""
    depth: FiniteNumber | None = None
    """How near it is."""


class Pin(ScriptModel):
    """A place of the material that is held."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    at: PlanePoint
    """Where it is at rest."""
    to: PlanePoint | None = None
    """Where it goes; it stays where it is if left out."""
    rotate: FiniteNumber | None = None
    """How far the material turns there, in degrees counter-clockwise; it turns as it likes if left out."""
    scale: PositiveFactor | None = None
    """How many times larger the material grows there."""
    stiffness: Annotated[float, Field(strict=True, ge=0, le=1e9, allow_inf_nan=False), LENGTH] = 0.0
    """Within so many pixels the material resists (starch)."""
    depth: FiniteNumber | None = None
    """What passes in front where the material comes to lie over itself: the larger, the nearer; 0 if left out."""
    keyframes: Annotated[tuple[PinKeyframe, ...], Field(min_length=1)] | None = None
    """What it does at times, in place of the words above."""

    @model_validator(mode="after")
    def _in_order(self) -> Pin:
        check_order(keyframe.time for keyframe in self.keyframes or ())
        for word in ("to", "rotate", "scale", "depth"):
            if getattr(self, word) is not None and any(getattr(one, word) is not None for one in self.keyframes or ()):
                raise ValueError(f"has {word} and keyframes with {word}; keep one")
        return self

    def at_time(self, t: float, easing: Easing) -> Pin:
        """Return the pin as it is at a time, without keyframes."""
        if self.keyframes is None:
            return self
        rest = {"rotate": self.rotate, "scale": self.scale, "depth": self.depth, "to": self.to}
        now = {}
        for word, alone in rest.items():
            given = {one.time: getattr(one, word) for one in self.keyframes if getattr(one, word) is not None}
            now[word] = between_keyframes(given, t, easing) if given else alone
        return Pin(at=self.at, stiffness=self.stiffness, **now)


class Pins(MaterialOperation):
    """Holds the selection's material by pins; the rest follows as rigidly as it can, and only through the material."""

    pins: Annotated[tuple[Pin, ...], Field(min_length=1)]
    """The pins."""
    mode: Mode = "normal"
    """How the material gives way: `rigid` resists bending, `distort` stretches rather than turns."""

    @classmethod
    def _in_words(cls, data: Any) -> Any:
        return {"pins": data} if isinstance(data, list | tuple) else data

    @model_validator(mode="after")
    def _different_places(self) -> Pins:
        deformations.check_handles([pin.at for pin in self.pins])
        return self

    def check(self, frame: Bounds) -> None:
        """Raise a PlacedError, relative to the word, if a pin is outside the picture's box, in pixels of the canvas."""
        left, top, right, bottom = frame
        for i, pin in enumerate(self.pins):
            x, y = pin.at
            if not (left <= x <= right and top <= y <= bottom):
                sides = f"x is from {left:g} to {right:g}, y from {top:g} to {bottom:g}"
                raise PlacedError((i, "at"), f"[{x:g}, {y:g}] lies outside the picture; {sides}, and to may lie beyond")

    @property
    def is_keyed(self) -> bool:
        """Whether it does something else at every time."""
        return super().is_keyed or any(pin.keyframes is not None for pin in self.pins)

    @property
    def times(self) -> set[float]:
        """Times of its own keyframes."""
        return super().times | {keyframe.time for pin in self.pins for keyframe in pin.keyframes or ()}

    def at_time(self, t: float, easing: Easing) -> Pins:
        """Return the same as it is at a time."""
        if not self.is_keyed:
            return self
        now = super().at_time(t, easing)
        assert isinstance(now, Pins)
        return Pins(pins=tuple(pin.at_time(t, easing) for pin in now.pins), mode=now.mode)

    def motion(self, source: MaterialSource) -> MaterialMotion:
        """Return what the pins do to some material."""
        return PinnedMotion(self.at_time(1.0, "linear"), source)


class PinnedMotion(MaterialMotion):
    """What pins do to some material.

    Args:
        pins: Without keyframes.
        source: The material.
    """

    def __init__(self, pins: Pins, source: MaterialSource) -> None:
        super().__init__(source)
        from gainer_ns.motion.arap import Arap, Held

        self._pins = pins.pins
        self._at = np.array([complex(*pin.at) for pin in self._pins])
        turned = [pin.rotate is not None or pin.scale is not None for pin in self._pins]
        starch = [pin.stiffness for pin in self._pins]
        held = tuple(pin.at for pin in self._pins), tuple(turned), tuple(starch), pins.mode
        self._arap = source.kept(
            ("arap", held),
            lambda: Arap(source.material, Held(self._at, np.array(turned), np.array(starch)), pins.mode),
        )
        self._solved: tuple[float, Complex[np.ndarray, " n"]] | None = None

    def positions(self, points: Complex[np.ndarray, " m"], amount: float, key: Hashable) -> Complex[np.ndarray, " m"]:
        """Return where points go; see :class:`MaterialMotion`."""
        if self._solved is None or self._solved[0] != amount:
            to = self._at + amount * np.array([complex(*(pin.to or pin.at)) - complex(*pin.at) for pin in self._pins])
            # Counter-clockwise as seen, with y down.
            angles = [-math.radians(amount * (pin.rotate or 0.0)) for pin in self._pins]
            turns = [
                (pin.scale or 1.0) ** amount * cmath.exp(1j * angle)
                for pin, angle in zip(self._pins, angles, strict=True)
            ]
            self._solved = amount, self._arap.solve(to, np.array(turns))
        return self.source.rows(points, key).times(self._solved[1])

    def depths(self, points: Complex[np.ndarray, " m"], amount: float, key: Hashable) -> Float[np.ndarray, " m"] | None:
        """Return how near points are; see :class:`MaterialMotion`."""
        depths = np.array([pin.depth or 0.0 for pin in self._pins])
        if not depths.any():
            return None
        return self.source.rows(points, key).value @ self._arap.spread(depths)
