"""What bodies are made of: presets by name, each number of which a scene may override."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from gainer_ns.editing.selection import ScriptModel
from gainer_ns.io.places import PlacedError

Behaviour = Literal["elastic", "liquid", "sand", "snow", "rigid", "pinned"]
"""How a material answers to being deformed; pinned does not move at all."""

BEHAVIOURS: tuple[Behaviour, ...] = ("elastic", "liquid", "sand", "snow", "rigid", "pinned")
"""In the order of their numbers in files and kernels."""

BREAKING: tuple[Behaviour, ...] = ("liquid", "sand", "snow")
"""What splashes, crumbles or tears, so that neighbours in the picture may part."""

Parting = Literal["never", "drops", "grains"]
"""How neighbours in the picture part."""

Modulus = Annotated[float, Field(strict=True, gt=0, le=1e9, allow_inf_nan=False)]
Strength = Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)]
PoissonRatio = Annotated[float, Field(strict=True, ge=0, lt=0.5, allow_inf_nan=False)]
TearStrain = Annotated[float, Field(strict=True, ge=0.01, le=10, allow_inf_nan=False)]
FrictionAngle = Annotated[float, Field(strict=True, gt=0, lt=80, allow_inf_nan=False)]


class Material(ScriptModel):
    """What a body is made of.

    Lengths are widths of the picture, times are seconds, and the unit of mass is that of a square width of density 1.
    Speeds of sound are ``sqrt(E / density)`` widths a second or a little more: what falls by one width arrives with 3.

    Attributes:
        behaviour: Elastic, liquid, sand, snow, rigid or pinned.
        E: Young's modulus, and of a liquid its bulk modulus: how stiff it is.
        nu: Poisson's ratio: how much it yields sideways, from 0 to below 0.5.
        density: Mass of a square width.
        friction_angle: Of sand, in degrees: the slope at which a heap of it rests.
        viscosity: Of a liquid, dynamic, in density times squared widths a second: shear stress by rate of shear.
        surface_tension: Of a liquid, in density times cubed widths a squared second: energy by length of its edge.
        cohesion: Of a liquid, in the unit of E: how hard it is to be pulled until it parts.
        tear: Of what is elastic, the strain at which it tears: 0.5 where it is half as long again. None for never.
    """

    behaviour: Behaviour
    E: Modulus = 250.0
    nu: PoissonRatio = 0.3
    density: Modulus = 1.0
    friction_angle: FrictionAngle = 35.0
    viscosity: Strength = 0.0
    surface_tension: Strength = 0.0
    cohesion: Strength = 0.0
    tear: TearStrain | None = None

    @property
    def lame(self) -> tuple[float, float]:
        """Lamé's parameters lambda and mu; of a liquid its bulk modulus and 0."""
        if self.behaviour == "liquid":
            return self.E, 0.0
        return self.E * self.nu / ((1 + self.nu) * (1 - 2 * self.nu)), self.E / (2 * (1 + self.nu))

    @property
    def parting(self) -> Parting:
        """How neighbours in the picture part: as drops of liquid, as grains, or never."""
        if self.behaviour == "liquid":
            return "drops"
        return "grains" if self.behaviour in BREAKING else "never"

    @property
    def holds(self) -> bool:
        """Whether what is one part stays one."""
        return self.behaviour not in BREAKING and self.tear is None

    @property
    def wave_speed(self) -> float:
        """Speed of its pressure waves, in widths a second: what limits the time step."""
        first, second = self.lame
        return math.sqrt((first + 2 * second) / self.density)


PRESETS: dict[str, Material] = {
    "soft": Material(behaviour="elastic", E=60.0, nu=0.4),
    "medium": Material(behaviour="elastic", E=250.0, nu=0.35),
    "stiff": Material(behaviour="elastic", E=2000.0, nu=0.3),
    "liquid": Material(behaviour="liquid", E=300.0),
    "water": Material(behaviour="liquid", E=150.0, viscosity=2e-3, surface_tension=4e-3, cohesion=0.5),
    "paint": Material(behaviour="liquid", E=150.0, density=1.2, viscosity=0.02, surface_tension=2e-3, cohesion=1.0),
    "honey": Material(behaviour="liquid", E=150.0, density=1.4, viscosity=0.3, surface_tension=3e-3, cohesion=2.0),
    "sand": Material(behaviour="sand", E=500.0, nu=0.3, density=1.5, friction_angle=35.0),
    "snow": Material(behaviour="snow", E=250.0, nu=0.2, density=0.5),
    "rigid": Material(behaviour="rigid"),
    "pinned": Material(behaviour="pinned"),
}
"""Materials by name."""

BEHAVIOUR_NUMBERS: dict[Behaviour, tuple[str, ...]] = {
    "elastic": ("E", "nu", "density", "tear"),
    "liquid": ("E", "density", "viscosity", "surface_tension", "cohesion"),
    "sand": ("E", "nu", "density", "friction_angle"),
    "snow": ("E", "nu", "density"),
    "rigid": ("density",),
    "pinned": (),
}
"""Which numbers mean something to which behaviour."""


def _unknown(name: Any) -> str:
    """Return what is said about a material that does not exist."""
    given = repr(name) if isinstance(name, str) else str(name)
    return f"there is no material {given[:40]}; materials are {', '.join(PRESETS)}"


class ChosenMaterial(ScriptModel):
    """The name of a preset, and which of its numbers are others. In YAML just the name where none are."""

    preset: str
    E: Modulus | None = None
    nu: PoissonRatio | None = None
    density: Modulus | None = None
    friction_angle: FrictionAngle | None = None
    viscosity: Strength | None = None
    surface_tension: Strength | None = None
    cohesion: Strength | None = None
    tear: TearStrain | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_word(cls, data: Any) -> Any:
        if isinstance(data, dict | ChosenMaterial):
            return data
        if not isinstance(data, str) or data not in PRESETS:
            raise ValueError(_unknown("a list" if isinstance(data, list) else data))
        return {"preset": data}

    @model_validator(mode="after")
    def _makes_sense(self) -> ChosenMaterial:
        if self.preset not in PRESETS:
            raise PlacedError(("preset",), _unknown(self.preset))
        known = BEHAVIOUR_NUMBERS[PRESETS[self.preset].behaviour]
        for word in self._changes:
            if word not in known:
                remedy = f"it knows {', '.join(known)}" if known else "it knows no numbers"
                raise PlacedError((word,), f"means nothing to {self.preset}; {remedy}, so leave it out")
        return self

    @model_serializer(mode="wrap")
    def _write_word(self, write: SerializerFunctionWrapHandler) -> Any:
        return write(self) if self._changes else self.preset

    @property
    def _changes(self) -> dict[str, float]:
        """The numbers that are not the preset's."""
        return {word: value for word, value in self if word != "preset" and value is not None}

    @property
    def material(self) -> Material:
        """The preset with its changes."""
        return PRESETS[self.preset].model_copy(update=self._changes)
