"""Skeletons of bones that turn about their joints, and what follows them.

Points are complex numbers ``x + iy`` in pixels of the canvas. Turns are angles in radians in that plane, so that the
multiplication by ``exp(i angle)`` turns; with ``y`` down, positive ones look clockwise.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float


@dataclass(frozen=True)
class Bone:
    """A bone from one joint to another.

    Attributes:
        start: The joint that it turns about.
        end: The joint where it ends.
        parent: Number of the bone that carries it along; None for a root. It comes before this one.
    """

    start: str
    end: str
    parent: int | None


@dataclass(frozen=True)
class Posed:
    """Where bones have gone.

    Attributes:
        angles: [b], in all.
        scales: [b], in all.
        starts: [b], where their first joints are.
    """

    angles: Float[np.ndarray, " b"]
    scales: Float[np.ndarray, " b"]
    starts: Complex[np.ndarray, " b"]


@dataclass(frozen=True)
class Skeleton:
    """Joints by their names, and bones, parents first."""

    joints: Mapping[str, complex]
    bones: Sequence[Bone]

    def posed(self, angles: Float[np.ndarray, " b"], scales: Float[np.ndarray, " b"]) -> Posed:
        """Return where bones go that turn and grow by so much beside their parents."""
        total, size = np.array(angles, np.float64), np.array(scales, np.float64)
        starts = np.array([self.joints[bone.start] for bone in self.bones], np.complex128)
        for i, bone in enumerate(self.bones):
            if bone.parent is not None:
                total[i] += total[bone.parent]
                size[i] *= size[bone.parent]
                starts[i] = self._carried_by(bone.parent, Posed(total, size, starts), self.joints[bone.start])
        return Posed(total, size, starts)

    def at(self, joint: str, posed: Posed) -> complex:
        """Return where a joint has gone, as the end of a bone, or else as the start of one."""
        for i, bone in enumerate(self.bones):
            if bone.end == joint:
                return self._carried_by(i, posed, self.joints[joint])
        return next(posed.starts[i] for i, bone in enumerate(self.bones) if bone.start == joint)

    def reaching(
        self, joint: str, target: complex, angles: Float[np.ndarray, " b"], scales: Float[np.ndarray, " b"]
    ) -> Float[np.ndarray, " b"]:
        """Return the angles with which a joint is at a target, or as near as the bones reach.

        The bone that ends there and its parent turn, the knee to the side that it is on; without a parent that ends
        where the bone starts, the bone alone points there.
        """
        angles = np.array(angles, np.float64)
        lower = next(i for i, bone in enumerate(self.bones) if bone.end == joint)
        bone, posed = self.bones[lower], self.posed(angles, scales)
        upper = bone.parent
        end = self.at(joint, posed)
        if upper is None or self.bones[upper].end != bone.start:
            angles[lower] += _turn(end - posed.starts[lower], target - posed.starts[lower])
            return angles
        root, knee = complex(posed.starts[upper]), complex(posed.starts[lower])
        one, two = abs(knee - root), abs(end - knee)
        if min(one, two) < 1e-9 or abs(target - root) < 1e-9:
            return angles
        reach = min(max(abs(target - root), abs(one - two) * (1 + 1e-9)), one + two)
        cosine = (one**2 + reach**2 - two**2) / (2 * one * reach)
        side = self._side(upper, lower, knee - root, end - root)
        aim = (target - root) / abs(target - root)
        bent = root + one * aim * cmath.exp(1j * side * math.acos(min(1.0, max(-1.0, cosine))))
        first = _turn(knee - root, bent - root)
        angles[upper] += first
        angles[lower] += _turn((end - knee) * cmath.exp(1j * first), root + reach * aim - bent)
        return angles

    def _side(self, upper: int, lower: int, thigh: complex, leg: complex) -> float:
        """Return to which side of a leg its knee is: 1 or -1; as at rest where the leg is straight."""
        rest = self.joints[self.bones[upper].start]
        at_rest = self.joints[self.bones[lower].start] - rest, self.joints[self.bones[lower].end] - rest
        for knee, end in ((thigh, leg), at_rest):
            aside = (end.conjugate() * knee).imag
            if abs(aside) > 1e-6 * abs(knee) * max(abs(end), 1e-12):
                return math.copysign(1.0, aside)
        return 1.0

    def _carried_by(self, bone: int, posed: Posed, point: complex) -> complex:
        rest = self.joints[self.bones[bone].start]
        turn = posed.scales[bone] * cmath.exp(1j * posed.angles[bone])
        return complex(posed.starts[bone] + turn * (point - rest))

    def carried(
        self, points: Complex[np.ndarray, " m"], weights: Float[np.ndarray, "m b"], posed: Posed
    ) -> Complex[np.ndarray, " m"]:
        """Return where points go that follow the bones in part.

        Rigid motions are blended as unit dual complex numbers, the plane's dual quaternions (Kavan et al. 2008): what
        follows two bones goes along an arc about the joint that they share, where a blend of matrices would shrink.
        """
        rest = np.array([self.joints[bone.start] for bone in self.bones], np.complex128)
        grown = points + weights @ ((1 - posed.scales) * rest) + points * (weights @ (posed.scales - 1))
        half = np.exp(0.5j * posed.angles)
        dual = posed.starts * half.conj() - half * rest
        turn, shift = weights @ half, weights @ dual
        size = np.abs(turn).clip(min=1e-12)
        return (turn * turn * grown + shift * turn) / size**2


def _turn(start: complex, end: complex) -> float:
    """Return the shorter turn from one direction to another."""
    return cmath.phase(end * start.conjugate()) if start != 0 and end != 0 else 0.0
