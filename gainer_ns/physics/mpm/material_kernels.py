"""Warp functions of the material point method's constitutive models: stress, and how sand and snow yield.

Sources: Stomakhin et al., "Energetically Consistent Invertible Elasticity", 2012 (fixed corotated); Stomakhin et al.,
"A Material Point Method for Snow Simulation", 2013; Klar et al., "Drucker-Prager Elastoplasticity for Sand Animation",
2016; Tampubolon et al., "Multi-species Simulation of Porous Sand and Water Mixtures", 2017 (the volume correction of
sand).
"""

import functools
from typing import Any

import warp as wp

from gainer_ns.gaussians.kernels import matrix, vector

ELASTIC, LIQUID, SAND, SNOW, RIGID, PINNED, LOST = range(7)
"""Numbers of the behaviours, in the order of ``materials.BEHAVIOURS``; lost is what went wrong and weighs nothing."""

MIN_SNOW_STRETCH, MAX_SNOW_STRETCH = 0.975, 1.0075
"""Singular values between which snow is elastic (Stomakhin et al. 2013, table 2)."""
SNOW_HARDENING = 10.0
"""How much harder snow gets when it is packed (there too)."""
MAX_FLOW_STRETCH = 4.0
"""By how much what flows is told to be stretched or compressed, at most."""
MAX_SNOW_HARDENING = 5.0
"""How many times harder than fresh snow packed snow can be: a bound for the time step."""


@functools.cache
def rotation_of(dimensions: int) -> Any:
    """Make the function of the rotation nearest to a matrix: the R of its polar decomposition."""
    square = matrix(dimensions, dimensions)

    @wp.func
    def flat(F: square):
        c = F[0, 0] + F[1, 1]
        s = F[1, 0] - F[0, 1]
        n = wp.sqrt(c * c + s * s)
        per = 1.0 / wp.max(n, 1.0e-12)
        c = wp.where(n < 1.0e-12, 1.0, c * per)
        s *= per
        return square(c, -s, s, c)

    @wp.func
    def spatial(F: square):
        U, _, V = wp.svd3(F)
        return U * wp.transpose(V)

    return flat if dimensions == 2 else spatial


@functools.cache
def singular_of(dimensions: int) -> Any:
    """Make the function of F = U diag(s) V^T with rotations; the last of s is negative where F is inverted."""
    square, place = matrix(dimensions, dimensions), vector(dimensions)
    rotation = rotation_of(dimensions)

    @wp.func
    def flat(F: square):
        R = rotation(F)
        S = wp.transpose(R) * F  # symmetric
        mean = 0.5 * (S[0, 0] + S[1, 1])
        half = 0.5 * (S[0, 0] - S[1, 1])
        off = 0.5 * (S[0, 1] + S[1, 0])
        radius = wp.sqrt(half * half + off * off)
        double = half / wp.max(radius, 1.0e-30)  # cosine of twice the angle of the first axis
        c = wp.sqrt(wp.max(0.5 * (1.0 + double), 0.0))
        s = wp.sqrt(wp.max(0.5 * (1.0 - double), 0.0)) * wp.sign(off)
        V = square(c, -s, s, c)
        return R * V, place(mean + radius, mean - radius), V

    @wp.func
    def spatial(F: square):
        U, s, V = wp.svd3(F)
        return U, s, V

    return flat if dimensions == 2 else spatial


@functools.cache
def bounded_of(dimensions: int) -> Any:
    """Make the function that limits how far a deformation stretches or compresses what flows, without end otherwise."""
    square, singular = matrix(dimensions, dimensions), singular_of(dimensions)

    @wp.func
    def bounded(F: square):
        squares = wp.ddot(F, F)
        most = wp.static(MAX_FLOW_STRETCH)
        # The least singular value is the determinant over the others.
        others = wp.where(wp.static(dimensions) == 2, wp.sqrt(squares), 0.5 * squares)
        if squares < most * most and wp.determinant(F) * most > others:
            return F
        U, s, V = singular(F)
        for axis in range(dimensions):
            s[axis] = wp.clamp(s[axis], 1.0 / most, most)
        return U * wp.diag(s) * wp.transpose(V)

    return bounded


@functools.cache
def snow_of(dimensions: int) -> Any:
    """Make the function of snow's elastic part after yielding, and its plastic volume (Stomakhin et al. 2013)."""
    square, singular = matrix(dimensions, dimensions), singular_of(dimensions)

    @wp.func
    def snow(F: square, plastic: float):
        U, s, V = singular(F)
        left = plastic
        for axis in range(dimensions):
            kept = wp.clamp(s[axis], MIN_SNOW_STRETCH, MAX_SNOW_STRETCH)
            left *= s[axis] / kept
            s[axis] = kept
        return U * wp.diag(s) * wp.transpose(V), wp.clamp(left, 0.1, 10.0)

    return snow


@functools.cache
def held_of(dimensions: int) -> Any:
    """Make the function of what of a strain of sand its friction holds (Klar et al. 2016): none, of tension."""
    square = matrix(dimensions, dimensions)

    @wp.func
    def held(strain: square, mu: float, first: float, friction: float):
        volume = wp.trace(strain)
        if volume >= 0.0:
            return square()
        mean = (volume / float(dimensions)) * wp.identity(n=dimensions, dtype=float)
        shear = strain - mean
        size = wp.sqrt(wp.ddot(shear, shear))
        most = -(float(dimensions) * first + 2.0 * mu) / (2.0 * mu) * volume * friction
        return wp.min(most / wp.max(size, 1.0e-12), 1.0) * shear + mean

    return held


@functools.cache
def sand_of(dimensions: int) -> Any:
    """Make the function of sand's elastic strain after yielding, and the volume it still owes (Klar et al. 2016).

    Elastic strains of sand are small, so they are added where Klar et al. multiply: that needs no singular values.
    """
    square, held = matrix(dimensions, dimensions), held_of(dimensions)

    @wp.func
    def sand(strain: square, moved: square, owed: float, mu: float, first: float, friction: float):
        eye = wp.identity(n=dimensions, dtype=float)
        spin = 0.5 * (moved - wp.transpose(moved))
        turned = eye + spin + 0.5 * (spin * spin)
        trial = turned * strain * wp.transpose(turned) + 0.5 * (moved + wp.transpose(moved))
        volume = wp.trace(trial) + owed
        if volume >= 0.0:  # pulled apart: no stress, and the volume gained is owed back when it is pushed together
            return square(), volume
        return held(trial + (owed / float(dimensions)) * eye, mu, first, friction), 0.0

    return sand


@functools.cache
def damped_of(dimensions: int) -> Any:
    """Make the function of the strain that sand's stress answers: its elastic one, and its rate for some seconds.

    Undamped, a heap rings for long, and creeps with each swing that yields. Friction bounds the sum of both, so that
    sand which slides is braked no more than without.
    """
    square, held = matrix(dimensions, dimensions), held_of(dimensions)

    @wp.func
    def damped(strain: square, rate: square, mu: float, first: float, friction: float, seconds: float):
        if wp.trace(strain) >= 0.0:
            return square()
        return held(strain + (0.5 * seconds) * (rate + wp.transpose(rate)), mu, first, friction)

    return damped


@functools.cache
def stress_of(dimensions: int) -> Any:
    """Make the function of the Kirchhoff stress ``P F^T`` of each material that flows."""
    square, rotation = matrix(dimensions, dimensions), rotation_of(dimensions)

    @wp.func
    def corotated(F: square, mu: float, first: float):
        J = wp.determinant(F)
        stretched = 2.0 * mu * (F - rotation(F)) * wp.transpose(F)
        return stretched + (first * (J - 1.0) * J) * wp.identity(n=dimensions, dtype=float)

    @wp.func
    def stress(kind: int, F: square, inner: float, mu: float, first: float):
        if kind == wp.static(SNOW):
            hard = wp.min(wp.exp(wp.static(SNOW_HARDENING) * (1.0 - inner)), wp.static(MAX_SNOW_HARDENING))
            return corotated(F, hard * mu, hard * first)
        if kind == wp.static(SAND):  # whose deformation is told by its strain
            strain = F - wp.identity(n=dimensions, dtype=float)
            return 2.0 * mu * strain + (first * wp.trace(strain)) * wp.identity(n=dimensions, dtype=float)
        if kind == wp.static(LIQUID):  # pulled by more than it coheres, it splashes
            return wp.min(first * (inner - 1.0) * inner, mu) * wp.identity(n=dimensions, dtype=float)
        return square()

    return stress
