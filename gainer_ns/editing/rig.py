"""The word ``rig`` of an edit script: a skeleton of bones that carry the material around them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from jaxtyping import Complex, Float
from pydantic import ConfigDict, Field, ValidationInfo, model_validator

from gainer_ns.editing.material_motion import MaterialMotion, MaterialOperation, MaterialSource
from gainer_ns.editing.operations import FiniteNumber, PlanePoint, PositiveFactor
from gainer_ns.editing.rig_files import BoneName, Bones, ClipFile, JointName, RigFile, check_bones, read_part
from gainer_ns.editing.selection import ScriptModel
from gainer_ns.editing.timing import Easing, Time, between_keyframes, check_order
from gainer_ns.frames import Bounds
from gainer_ns.io.yaml_file import ExistingFile

if TYPE_CHECKING:
    from gainer_ns.motion.skeleton import Posed

Pose = dict[BoneName, FiniteNumber]


class RigKeyframe(ScriptModel):
    """A pose at a time; bones and joints that are left out go on from the keyframe before to the one after."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    time: Time
    """When, from 0 to 1 over the film."""
    pose: Pose = Field(default={})
    """How far bones have turned."""
    scale: dict[BoneName, PositiveFactor] = Field(default={})
    """How many times larger bones are."""
    ik: dict[JointName, PlanePoint] = Field(default={})
    """Where joints are held."""
    depth: Pose = Field(default={})
    """How near bones are."""


class Rig(MaterialOperation):
    """Moves the selection's material with bones, which turn about their joints and carry one another along."""

    joints: dict[JointName, PlanePoint] = Field(default={})
    """Places by name."""
    bones: Bones = Field(default={})
    """From which joint to which each bone goes, by name."""
    parents: dict[BoneName, BoneName] = Field(default={})
    """What carries a bone along, where it is not the bone that ends where it starts."""
    pose: Pose = Field(default={})
    """How far bones turn beside what carries them, in degrees counter-clockwise."""
    scale: dict[BoneName, PositiveFactor] = Field(default={})
    """How many times larger bones grow."""
    ik: dict[JointName, PlanePoint] = Field(default={})
    """Where joints are held: the bone that ends there and the one that carries it turn for that."""
    depth: Pose = Field(default={})
    """What passes in front where the material comes to lie over itself: the larger, the nearer; 0 if left out."""
    keyframes: Annotated[tuple[RigKeyframe, ...], Field(min_length=1)] | None = None
    """What is so at times, in place of the words above."""
    file: ExistingFile | None = None
    """A rig from a file, its joints in percent of the box of what is visible; joints given beside it count instead."""
    clip: ExistingFile | None = None
    """Keyframes from a file, its points in percent too."""

    _rig: RigFile | None = None
    _clip: ClipFile | None = None
    _in_percent: frozenset[str] = frozenset()

    @model_validator(mode="after")
    def _fits(self, info: ValidationInfo) -> Rig:
        if isinstance(info.context, Mapping) and "folder" in info.context:
            if self.file is not None:
                self._rig = read_part(self.file, RigFile)
            if self.clip is not None:
                self._clip = read_part(self.clip, ClipFile)
        if self.file is None and (not self.joints or not self.bones):
            raise ValueError("needs joints and bones, or a file that has them")
        if self.file is not None and (self.bones or self.parents):
            raise ValueError("has bones and a file; write joints alone beside a file, to put them elsewhere")
        if self.clip is not None and self.keyframes is not None:
            raise ValueError("has keyframes and a clip; keep one")
        check_order(keyframe.time for keyframe in self.keyframes or ())
        if self.file is None or self._rig is not None:
            self._check_names()
        return self

    def _check_names(self) -> None:
        rig = self._rig or RigFile(joints=self.joints, bones=self.bones, parents=self.parents)
        check_bones({**rig.joints, **self.joints}, rig.bones, rig.parents)
        for word in ("joints",) if self._rig else ():
            _known(self.joints, rig.joints, f"{word}: the file has no joint")
        for frame in (self, *(self.keyframes or ()), *(self._clip.keyframes if self._clip else ())):
            for word in ("pose", "scale", "depth"):
                _known(getattr(frame, word), rig.bones, f"{word}: there is no bone")
            _known(frame.ik, {end: 0 for _, end in rig.bones.values()}, "ik: no bone ends at")

    @property
    def is_keyed(self) -> bool:
        """Whether it does something else at every time."""
        return super().is_keyed or self.keyframes is not None or self.clip is not None

    @property
    def times(self) -> set[float]:
        """Times of its own keyframes."""
        return super().times | {frame.time for frame in self._frames or ()}

    @property
    def _frames(self) -> Sequence[Any] | None:
        return self._clip.keyframes if self._clip is not None else self.keyframes

    def at_time(self, t: float, easing: Easing) -> Rig:
        """Return the same as it is at a time."""
        if self._tracks:
            now = super().at_time(t, easing)
            assert isinstance(now, Rig)
            now._rig, now._clip = self._rig, self._clip
            return now.at_time(t, easing)
        frames = self._frames
        if frames is None:
            return self
        values: dict[str, Any] = {}
        for word in ("pose", "scale", "ik", "depth"):
            own = dict(getattr(self, word))
            for name in dict.fromkeys(name for frame in frames for name in getattr(frame, word)):
                given = {frame.time: getattr(frame, word)[name] for frame in frames if name in getattr(frame, word)}
                own[name] = between_keyframes(given, t, easing)
            values[word] = own
        still = self.model_copy(update={**values, "keyframes": None, "clip": None})
        if self._clip is not None:
            still._clip, still._in_percent = None, frozenset(name for frame in frames for name in frame.ik)
        return still

    def motion(self, source: MaterialSource) -> MaterialMotion:
        """Return what the bones do to some material."""
        return RiggedMotion(self.at_time(1.0, "linear"), source)

    def far_joints(self, frame: Bounds) -> list[str]:
        """Return the joints given in pixels that lie far outside a picture's box: by half of its longer side."""
        left, top, right, bottom = frame
        far = 0.5 * max(right - left, bottom - top)
        return [name for name, (x, y) in self.joints.items() if max(left - x, x - right, top - y, y - bottom) > far]

    def resolved(self, box: Bounds) -> tuple[RigFile, dict[str, PlanePoint]]:
        """Return joints and bones in pixels, and where joints are held, on what has a box."""
        rig = self._rig
        if rig is None:
            rig = RigFile(joints=self.joints, bones=self.bones, parents=self.parents)
        else:
            placed = {name: _placed(point, box) for name, point in rig.joints.items()}
            rig = rig.model_copy(update={"joints": {**placed, **self.joints}})
        held = {name: _placed(at, box) if name in self._in_percent else at for name, at in self.ik.items()}
        return rig, held


class PosedBones:
    """The bones of a rig at one time: where they lie at rest, and where they go.

    Args:
        rig: Without keyframes.
        box: Of the material, in pixels.

    Attributes:
        names: Of the bones, parents first.
        skeleton: Of the bones in that order.
        depths: [b], how near they are.
    """

    def __init__(self, rig: Rig, box: Bounds) -> None:
        from gainer_ns.motion.skeleton import Bone, Skeleton

        found, held = rig.resolved(box)
        joints = {name: complex(*point) for name, point in found.joints.items()}
        self.names, parents = check_bones(found.joints, found.bones, found.parents)
        numbers = {name: i for i, name in enumerate(self.names)}
        bones = [Bone(*found.bones[name], numbers.get(parents[name] or "")) for name in self.names]
        self.skeleton = Skeleton(joints, bones)
        self._held = {name: complex(*point) for name, point in held.items()}
        # Counter-clockwise as seen, with y down.
        self._angles = np.array([-math.radians(rig.pose.get(name, 0.0)) for name in self.names])
        self._scales = np.array([rig.scale.get(name, 1.0) for name in self.names])
        self.depths = np.array([rig.depth.get(name, found.depth.get(name, 0.0)) for name in self.names])

    @property
    def ends(self) -> tuple[tuple[complex, complex], ...]:
        """Where each bone starts and ends at rest."""
        joints = self.skeleton.joints
        return tuple((joints[bone.start], joints[bone.end]) for bone in self.skeleton.bones)

    def angles(self, amount: float = 1.0) -> Float[np.ndarray, " b"]:
        """Return how far bones turn beside what carries them, in radians, with so much of the edit."""
        angles = amount * self._angles
        for joint, target in self._held.items():
            now = self.skeleton.at(joint, self.skeleton.posed(angles, self._scales**amount))
            angles = self.skeleton.reaching(joint, now + amount * (target - now), angles, self._scales**amount)
        return angles

    def posed(self, amount: float = 1.0) -> Posed:
        """Return where the bones go with so much of the edit."""
        return self.skeleton.posed(self.angles(amount), self._scales**amount)


class RiggedMotion(MaterialMotion):
    """What bones do to some material.

    Args:
        rig: Without keyframes.
        source: The material.
    """

    def __init__(self, rig: Rig, source: MaterialSource) -> None:
        super().__init__(source)
        from gainer_ns.motion.skin_weights import heat_weights

        self._bones = PosedBones(rig, source.box)
        ends = self._bones.ends
        self._skin = ("skin", ends)
        self._weights = source.kept(self._skin, lambda: heat_weights(source.material, ends))

    def positions(self, points: Complex[np.ndarray, " m"], amount: float, key: Hashable) -> Complex[np.ndarray, " m"]:
        """Return where points go; see :class:`MaterialMotion`."""
        return self._bones.skeleton.carried(points, self._shares(points, key), self._bones.posed(amount))

    def depths(self, points: Complex[np.ndarray, " m"], amount: float, key: Hashable) -> Float[np.ndarray, " m"] | None:
        """Return how near points are; see :class:`MaterialMotion`."""
        depths = self._bones.depths
        return self._shares(points, key) @ depths if depths.any() else None

    def _shares(self, points: Complex[np.ndarray, " m"], key: Hashable) -> Float[np.ndarray, "m b"]:
        from gainer_ns.motion.skin_weights import shares_of

        def make() -> Float[np.ndarray, "m b"]:
            return shares_of(self.source.rows(points, key).value @ self._weights)

        return make() if key is None else self.source.kept((*self._skin, key), make)


def _placed(percent: PlanePoint, box: Bounds) -> PlanePoint:
    left, top, right, bottom = box
    return left + percent[0] / 100 * (right - left), top + percent[1] / 100 * (bottom - top)


def _known(names: Mapping[str, Any], allowed: Mapping[str, Any], problem: str) -> None:
    for name in names:
        if name not in allowed:
            raise ValueError(f"{problem} {name[:40]!r}; there are {', '.join(allowed)}")
