"""What an engine is told of a scene besides its particles: numbers alone, for one picture."""

from __future__ import annotations

from dataclasses import dataclass

from gainer_ns.physics.colliders import Collider
from gainer_ns.physics.forces import Force, Gravity


@dataclass(frozen=True)
class Setting:
    """Where and how long bodies move, and what acts on them. Lengths are picture widths; see ``physics.engine``.

    Attributes:
        low: Lowest coordinates of the domain, one for each dimension; nothing leaves it.
        high: Highest coordinates.
        gravity: Acceleration of everything, by time.
        forces: What else accelerates.
        colliders: What is in the way, the domain's borders among them.
        frames: How many frames there are, with the one at time 0.
        fps: Frames a second.
        cells: Cells of a grid along the domain's longest side; None leaves that to the engine.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    gravity: Gravity
    forces: tuple[Force, ...] = ()
    colliders: tuple[Collider, ...] = ()
    frames: int = 91
    fps: float = 30.0
    cells: int | None = None

    @property
    def dimensions(self) -> int:
        """2 on a plane, 3 in space."""
        return len(self.low)
