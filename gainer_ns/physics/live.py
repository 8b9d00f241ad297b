"""A simulation under hands, wind and gravity that change while it goes on; what was done to it is a scene."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock

from gainer_ns.physics.engine import Frame, resting
from gainer_ns.physics.forces import Force, Gravity, Wind
from gainer_ns.physics.mpm.engine import MpmSimulation
from gainer_ns.physics.pulls import Pull
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.simulated_picture import SimulatedPicture

STILL_SPEED = 0.002
"""Widths a second, below which nothing is seen to move: a pixel a second of a picture of 500."""
DECIMALS = 4
"""Of a place: a tenth of a pixel of a picture of 1,000."""

Vector = tuple[float, float]


@dataclass
class _Path:
    """Where something is in each frame, so that it is known at the frame's start where it goes until its end.

    Attributes:
        now: Where it is.
        target: Where it is to be at the end of the next frame.
        keyframes: Where it was, by time; empty if it never moved.
    """

    now: Vector
    target: Vector
    keyframes: dict[float, Vector] = field(default_factory=dict)

    def go(self, start: float, end: float) -> bool:
        """Go to the target within a frame, and return whether it moves."""
        if self.target == self.now:
            return False
        self.keyframes[start], self.keyframes[end] = self.now, self.target
        self.now = self.target
        return True


@dataclass
class _Hand:
    """A hand that has been put down."""

    words: dict
    path: _Path
    is_open: bool = True

    def pull(self) -> Pull:
        """Return what a scene says of it."""
        path = {"to": dict(self.path.keyframes)} if self.path.keyframes else {}
        return Pull.model_validate({**self.words, **path})


class LiveSimulation:
    """Steps an engine frame by frame under forces that change, and keeps what was done as a scene.

    What is changed between two frames acts from the next one on. All but ``step`` may be called from any thread.

    Args:
        simulated: What is simulated of a picture; its scene says how it begins.

    Attributes:
        frame: The newest.
        number: Of the newest frame; 0 at rest.
    """

    def __init__(self, simulated: SimulatedPicture) -> None:
        self._begun = simulated.scene
        self._simulation = MpmSimulation(simulated.config, simulated.particles, simulated.materials)
        self.frame: Frame = resting(simulated.particles)
        self.number = 0
        self._lock = Lock()
        self._hands: list[_Hand] = []
        gravity = self._begun.gravity.at(0.0)
        self._gravity = _Path(gravity, gravity)
        self._wind = self._blowing = Wind(acceleration=(0.0, 0.0))
        self._forces: list[Force] = list(self._begun.forces)
        self._has_changed, self._speed = False, float("inf")

    @property
    def scene(self) -> Scene:
        """What was done so far, with which ``gainer simulate`` makes the same frames."""
        with self._lock:
            scene = self._scene(max(self.number, 1))
        acting = tuple(pull for pull in scene.pulls if pull.touches(scene.box))  # scenes refuse those that do nothing
        return scene.model_copy(update={"pulls": acting})

    @property
    def is_still(self) -> bool:
        """Whether nothing moves, nor will as long as nothing is changed."""
        with self._lock:
            waits = self._gravity.target == self._gravity.now and self._wind == self._blowing and not self._has_changed
            goes = any(hand.is_open and hand.path.target != hand.path.now for hand in self._hands)
            return waits and not goes and self._speed < STILL_SPEED and self._wind.gusts == 0

    def set_gravity(self, right: float, down: float) -> None:
        """Let gravity accelerate so, in widths a squared second; it becomes so within a frame."""
        with self._lock:
            self._gravity.target = (round(right, DECIMALS), round(down, DECIMALS))

    def set_wind(self, right: float, down: float, gusts: float = 0.0) -> None:
        """Let a wind blow so, in widths a squared second, with gusts from 0 to 1."""
        with self._lock:
            self._wind = Wind(acceleration=(round(right, DECIMALS), round(down, DECIMALS)), gusts=gusts)

    def take_hold(self, at: Vector, radius: float, strength: float) -> int:
        """Take hold of what is around a place; return the number of the hand. See :class:`Pull`."""
        with self._lock:
            place = _rounded(at)
            words = {"at": place, "radius": radius, "strength": strength}
            self._hands.append(_Hand(words, _Path(place, place)))
            self._has_changed = True
            return len(self._hands) - 1

    def move(self, hand: int, to: Vector) -> None:
        """Move a hand to a place: it is there at the end of the next frame."""
        with self._lock:
            self._hands[hand].path.target = _rounded(to)

    def let_go(self, hand: int) -> None:
        """Let a hand let go."""
        with self._lock:
            self._hands[hand].is_open = False
            self._has_changed = True

    def step(self) -> Frame:
        """Simulate a frame, and return it.

        Raises:
            GainerError: The simulation blows up.
        """
        fps = self._begun.fps
        start, end = self.number / fps, (self.number + 1) / fps
        with self._lock:
            if self._take_changes(start, end):
                config = self._scene(self.number + 1).simulation_config()
                acting = {"gravity": config.gravity, "forces": config.forces, "pulls": config.pulls}
                self._simulation.change(replace(self._simulation.config, **acting))
        self._simulation.advance(start, 1 / fps)
        state, before = self._simulation.state, self.frame.positions
        self._speed = float((state.positions - before.to(state.positions)).norm(dim=1).max()) * fps
        self.number += 1
        self.frame = Frame(end, state.positions, state.total)
        return self.frame

    def _take_changes(self, start: float, end: float) -> bool:
        """Take what is to act from a time on, and return whether that is anything else than before."""
        changed, self._has_changed = self._has_changed, False
        changed |= self._gravity.go(start, end)
        for hand in self._hands:
            if hand.is_open:
                hand.words.setdefault("from", start)
                changed |= hand.path.go(start, end)
            elif "from" in hand.words:
                hand.words.setdefault("until", start)
        if self._wind != self._blowing:
            if any(self._blowing.acceleration):
                self._forces[-1] = self._forces[-1].model_copy(update={"until": start})
            if any(self._wind.acceleration):
                self._forces.append(Force.model_validate({"wind": self._wind, "from": start}))
            self._blowing, changed = self._wind, True
        return changed

    def _scene(self, frames: int) -> Scene:
        pulls = [hand.pull() for hand in self._hands if "from" in hand.words]
        changes = {
            "gravity": Gravity(keyframes=self._gravity.keyframes or {0.0: self._gravity.now}),
            "forces": tuple(self._forces),
            "pulls": (*self._begun.pulls, *pulls),
            "duration": frames / self._begun.fps,
        }
        if not self._gravity.keyframes:
            del changes["gravity"]  # it is that of the scene, which may change by itself
        return self._begun.model_copy(update=changes)


def _rounded(place: Vector) -> Vector:
    return round(place[0], DECIMALS), round(place[1], DECIMALS)
