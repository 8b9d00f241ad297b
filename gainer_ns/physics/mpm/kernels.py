"""The Warp kernels of the material point method: particles to grid, grid to particles, and what materials answer.

A step has three launches, none of which needs atomics: nodes gather from the particles around them, which are sorted by
cell, and particles from the nodes around them. So results do not depend on how many threads there are.

Sources: Hu et al., "A Moving Least Squares Material Point Method", 2018 (the transfers); Stomakhin et al.,
"Energetically Consistent Invertible Elasticity", 2012 (fixed corotated); Stomakhin et al., "A Material Point Method for
Snow Simulation", 2013; Klar et al., "Drucker-Prager Elastoplasticity for Sand Animation", 2016; Tampubolon et al.,
"Multi-species Simulation of Porous Sand and Water Mixtures", 2017 (the volume correction of sand).
"""

import functools
from typing import Any

import warp as wp

from gainer_ns.gaussians.kernels import matrix, vector

ELASTIC, LIQUID, SAND, SNOW, RIGID, PINNED = range(6)
"""Numbers of the behaviours, in the order of ``materials.BEHAVIOURS``."""
STICKY, SLIP, SEPARATE = range(3)
"""Numbers of what colliders do."""

MOST_COMPRESSED, MOST_STRETCHED = 0.975, 1.0075
"""Singular values between which snow is elastic (Stomakhin et al. 2013, table 2)."""
HARDENING = 10.0
"""How much harder snow gets when it is packed (there too)."""
CROWDED, EVENED = 0.1, 10.0
"""By what share liquid may be denser than it knows, since particles in disorder seem denser than they are; and what
share of the rest it learns in a second."""
MOST_HARDENED = 5.0
"""How many times harder than fresh snow packed snow can be: a bound for the time step."""


@wp.func
def spline(d: float) -> float:
    """The quadratic B-spline at a distance in cells, up to 1.5."""
    a = wp.abs(d)
    outer = 1.5 - a
    return wp.where(a < 0.5, 0.75 - a * a, 0.5 * outer * outer)


@wp.func
def splines(at: float, base: int) -> wp.vec3:
    """The weights of the three nodes from a base on, for a place in cells."""
    d = at - float(base)
    near = 0.5 * (1.5 - d) * (1.5 - d)
    far = 0.5 * (d - 0.5) * (d - 0.5)
    return wp.vec3(near, 1.0 - near - far, far)  # whose sum is 1 despite rounding, or momentum would drift


@functools.cache
def rotation_of(dimensions: int) -> Any:
    """The rotation nearest to a matrix: the R of its polar decomposition."""
    square = matrix(dimensions, dimensions)

    @wp.func
    def flat(F: square):
        c = F[0, 0] + F[1, 1]
        s = F[1, 0] - F[0, 1]
        n = wp.sqrt(c * c + s * s)
        if n < 1.0e-12:
            return square(1.0, 0.0, 0.0, 1.0)
        return square(c / n, -s / n, s / n, c / n)

    @wp.func
    def spatial(F: square):
        U, _, V = wp.svd3(F)
        return U * wp.transpose(V)

    return flat if dimensions == 2 else spatial


@functools.cache
def singular_of(dimensions: int) -> Any:
    """Singular values with rotations: F = U diag(s) V^T; the last of s is negative where F is inverted."""
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
def snow_of(dimensions: int) -> Any:
    """The elastic part of snow's deformation after yielding, and the plastic volume (Stomakhin et al. 2013)."""
    square, singular = matrix(dimensions, dimensions), singular_of(dimensions)

    @wp.func
    def snow(F: square, plastic: float):
        U, s, V = singular(F)
        left = plastic
        for axis in range(dimensions):
            kept = wp.clamp(s[axis], MOST_COMPRESSED, MOST_STRETCHED)
            left *= s[axis] / kept
            s[axis] = kept
        return U * wp.diag(s) * wp.transpose(V), wp.clamp(left, 0.1, 10.0)

    return snow


@functools.cache
def sand_of(dimensions: int) -> Any:
    """Sand after it was strained and has yielded: its elastic strain, and the volume it still owes (Klar et al. 2016).

    Elastic strains of sand are small, so they are added where Klar et al. multiply: that needs no singular values.
    """
    square = matrix(dimensions, dimensions)

    @wp.func
    def sand(strain: square, moved: square, owed: float, mu: float, first: float, friction: float):
        eye = wp.identity(n=dimensions, dtype=float)
        spin = 0.5 * (moved - wp.transpose(moved))
        turned = eye + spin + 0.5 * (spin * spin)
        trial = turned * strain * wp.transpose(turned) + 0.5 * (moved + wp.transpose(moved))
        volume = wp.trace(trial) + owed
        if volume >= 0.0:  # pulled apart: no stress, and the volume gained is owed back when it is pushed together
            return square(), volume
        shear = trial - (wp.trace(trial) / float(dimensions)) * eye
        size = wp.sqrt(wp.ddot(shear, shear))
        most = -(float(dimensions) * first + 2.0 * mu) / (2.0 * mu) * volume * friction
        return wp.min(most / wp.max(size, 1.0e-12), 1.0) * shear + (volume / float(dimensions)) * eye, 0.0

    return sand


@functools.cache
def stress_of(dimensions: int) -> Any:
    """Kirchhoff stress ``P F^T`` of each material."""
    square, rotation = matrix(dimensions, dimensions), rotation_of(dimensions)

    @wp.func
    def corotated(F: square, mu: float, first: float):
        J = wp.determinant(F)
        stretched = 2.0 * mu * (F - rotation(F)) * wp.transpose(F)
        return stretched + (first * (J - 1.0) * J) * wp.identity(n=dimensions, dtype=float)

    @wp.func
    def stress(kind: int, F: square, inner: float, mu: float, first: float):
        if kind == wp.static(ELASTIC):
            return corotated(F, mu, first)
        if kind == wp.static(SNOW):
            hard = wp.min(wp.exp(wp.static(HARDENING) * (1.0 - inner)), wp.static(MOST_HARDENED))
            return corotated(F, hard * mu, hard * first)
        if kind == wp.static(SAND):  # whose deformation is told by its strain
            strain = F - wp.identity(n=dimensions, dtype=float)
            return 2.0 * mu * strain + (first * wp.trace(strain)) * wp.identity(n=dimensions, dtype=float)
        if kind == wp.static(LIQUID):  # it may be pushed, but not pulled: it splashes instead
            return (first * (inner - 1.0) * inner * wp.where(inner < 1.0, 1.0, 0.0)) * wp.identity(
                n=dimensions, dtype=float
            )
        return square()

    return stress


@functools.cache
def particle_kernel(dimensions: int) -> wp.Kernel:
    """Moves particles with the nodes around them, and prepares what they give back to these: grid to particles."""
    place, square = vector(dimensions), matrix(dimensions, dimensions)
    stress, sand, snow = stress_of(dimensions), sand_of(dimensions), snow_of(dimensions)
    layers = 3 if dimensions == 3 else 1

    @wp.kernel(module="unique", enable_backward=False)
    def particles(
        first: int,
        step: int,  # 0 only prepares
        positions: wp.array(dtype=place),  # in and out [n]
        velocities: wp.array(dtype=place),  # in and out
        affine: wp.array(dtype=square),  # in and out: the velocities' gradient
        elastic: wp.array(dtype=square),  # in and out: deformation that stress answers
        total: wp.array(dtype=square),  # in and out: deformation since the start
        inner: wp.array(dtype=wp.float32),  # in and out: volume ratio, or what plasticity remembers
        masses: wp.array(dtype=wp.float32),
        volumes: wp.array(dtype=wp.float32),  # at rest
        bodies: wp.array(dtype=wp.int32),
        kinds: wp.array(dtype=wp.int32),  # [bodies]
        constants: wp.array(dtype=wp.vec3),  # [bodies]: mu, lambda, friction
        momenta: wp.array(dtype=square),  # out: change of momentum by distance
        nodes: wp.array(dtype=place),  # velocities of the nodes
        weights: wp.array(dtype=wp.float32),  # masses of the nodes
        origin: place,
        cell: float,
        shape: wp.vec3i,
        low: place,
        high: place,
        dt: float,
    ):
        i = first + wp.tid()
        body = bodies[i]
        kind = kinds[body]
        if kind == wp.static(PINNED):
            momenta[i] = square()
            return
        numbers = constants[body]
        x = positions[i]
        if step > 0:
            at = (x - origin) * (1.0 / cell)
            base = wp.vec3i(0, 0, 0)
            for axis in range(dimensions):
                base[axis] = int(wp.floor(at[axis] - 0.5))
            across = splines(at[0], base[0])
            down = splines(at[1], base[1])
            deep = wp.vec3(1.0, 0.0, 0.0)
            if wp.static(dimensions == 3):
                deep = splines(at[dimensions - 1], base[2])
            v = place()
            B = square()
            around = float(0.0)
            for c in range(layers):
                for b in range(3):
                    line = ((base[2] + c) * shape[1] + base[1] + b) * shape[0] + base[0]
                    for a in range(3):
                        d = place()
                        d[0] = float(base[0] + a) - at[0]
                        d[1] = float(base[1] + b) - at[1]
                        if wp.static(dimensions == 3):
                            d[dimensions - 1] = float(base[2] + c) - at[dimensions - 1]
                        share = across[a] * down[b] * deep[c]
                        around += share * weights[line + a]
                        u = share * nodes[line + a]
                        v += u
                        B += wp.outer(u, d)
            C = (4.0 / cell) * B
            velocities[i] = v
            if kind != wp.static(RIGID):
                x = x + dt * v
                for axis in range(dimensions):
                    if not (x[axis] >= low[axis] and x[axis] <= high[axis]):  # or no number: it has a node all the same
                        x[axis] = wp.where(x[axis] > high[axis], high[axis], low[axis])
                        v[axis] = 0.0
                positions[i] = x
                velocities[i] = v
                grown = wp.identity(n=dimensions, dtype=float) + dt * C
                total[i] = grown * total[i]
                if kind == wp.static(LIQUID):
                    ratio = wp.clamp(inner[i] * (1.0 + dt * wp.trace(C)), 0.1, 1.02)
                    # What the velocities do not tell adds up, and the liquid would shrink.
                    room = cell * cell * wp.where(wp.static(dimensions) == 3, cell, 1.0)
                    seen = masses[i] / volumes[i] * room / around + wp.static(CROWDED)
                    inner[i] = ratio + wp.min(wp.static(EVENED) * dt, 1.0) * wp.min(seen - ratio, 0.0)
                elif kind == wp.static(SAND):
                    eye = wp.identity(n=dimensions, dtype=float)
                    strain, left = sand(elastic[i] - eye, dt * C, inner[i], numbers[0], numbers[1], numbers[2])
                    elastic[i] = eye + strain
                    inner[i] = left
                elif kind == wp.static(SNOW):
                    F, left = snow(grown * elastic[i], inner[i])
                    elastic[i] = F
                    inner[i] = left
                else:
                    elastic[i] = grown * elastic[i]
            affine[i] = C
        push = stress(kind, elastic[i], inner[i], numbers[0], numbers[1])
        momenta[i] = masses[i] * affine[i] - (dt * 4.0 / (cell * cell) * volumes[i]) * push

    return particles


@functools.cache
def node_kernel(dimensions: int) -> wp.Kernel:
    """Velocities of the nodes: particles to grid, then what accelerates and what is in the way."""
    place, square = vector(dimensions), matrix(dimensions, dimensions)
    layers = 3 if dimensions == 3 else 1

    @wp.kernel(module="unique", enable_backward=False)
    def nodes(
        first: int,
        step: int,
        positions: wp.array(dtype=place),  # [n]
        velocities: wp.array(dtype=place),
        momenta: wp.array(dtype=square),
        masses: wp.array(dtype=wp.float32),
        order: wp.array(dtype=wp.int32),  # [n], by cell
        cell_start: wp.array(dtype=wp.int32),  # [cells + 2]
        origin: place,
        cell: float,
        shape: wp.vec3i,
        dt: float,
        gravity: wp.array(dtype=place),  # [steps]
        amounts: wp.array(dtype=wp.float32),  # [steps, forces]
        forces: int,
        fields: wp.array(dtype=place),  # [forces, nodes]
        touched: wp.array(dtype=wp.int32),  # [nodes], 1 where there is a collider
        colliders: int,
        normals: wp.array(dtype=place),  # [colliders, nodes], 0 where the collider is not
        surfaces: wp.array(dtype=wp.int32),  # [colliders]
        frictions: wp.array(dtype=wp.float32),  # [colliders]
        result: wp.array(dtype=place),  # out [nodes]
        weights: wp.array(dtype=wp.float32),  # out [nodes], masses
    ):
        i = first + wp.tid()
        column = i % shape[0]
        row = (i / shape[0]) % shape[1]
        layer = i / (shape[0] * shape[1])
        here = place()
        here[0] = float(column)
        here[1] = float(row)
        if wp.static(dimensions == 3):
            here[dimensions - 1] = float(layer)
        inverse = 1.0 / cell
        mass = float(0.0)
        momentum = place()
        left = wp.max(column - 2, 0)
        for c in range(layers):
            for b in range(3):
                below = row - b
                beneath = layer - c
                if below >= 0 and beneath >= 0:
                    line = (beneath * shape[1] + below) * shape[0]
                    for slot in range(cell_start[line + left], cell_start[line + column + 1]):
                        j = order[slot]
                        # As the particles have it, to the last bit: else momentum drifts.
                        d = here - (positions[j] - origin) * inverse
                        weight = float(1.0)
                        for axis in range(dimensions):
                            weight *= spline(d[axis])
                        m = masses[j]
                        mass += weight * m
                        momentum += weight * (m * velocities[j] + momenta[j] * (cell * d))
        weights[i] = mass
        if mass <= 0.0:
            result[i] = place()
            return
        v = momentum / mass + dt * gravity[step]
        count = shape[0] * shape[1] * shape[2]
        for force in range(forces):
            v += (dt * amounts[step * forces + force]) * fields[force * count + i]
        if touched[i] == 1:
            for collider in range(colliders):
                normal = normals[collider * count + i]
                if wp.dot(normal, normal) > 0.0:
                    into = -wp.dot(v, normal)
                    if surfaces[collider] == wp.static(STICKY):
                        v = place()
                    elif into > 0.0 or surfaces[collider] == wp.static(SLIP):
                        along = v + into * normal
                        speed = wp.length(along)
                        lost = frictions[collider] * wp.max(into, 0.0)
                        v = along * wp.where(speed > lost, (speed - lost) / wp.max(speed, 1.0e-20), 0.0)
        result[i] = v

    return nodes


@functools.cache
def sorting_kernel(dimensions: int) -> wp.Kernel:
    """Particles by cell, by counting, in one thread: on the CPU that takes less time than a step's transfers."""
    place = vector(dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def sort(
        first: int,
        step: int,
        positions: wp.array(dtype=place),  # [n]
        origin: place,
        cell: float,
        shape: wp.vec3i,
        keys: wp.array(dtype=wp.int32),  # scratch [n]
        order: wp.array(dtype=wp.int32),  # out [n]
        cell_start: wp.array(dtype=wp.int32),  # out [cells + 2]
    ):
        inverse = 1.0 / cell
        for c in range(cell_start.shape[0]):
            cell_start[c] = 0
        for i in range(positions.shape[0]):
            at = (positions[i] - origin) * inverse
            key = int(0)
            for backwards in range(dimensions):
                axis = wp.static(dimensions - 1) - backwards
                key = key * shape[axis] + int(wp.floor(at[axis] - 0.5))
            keys[i] = key
            cell_start[key + 2] += 1
        for c in range(2, cell_start.shape[0]):
            cell_start[c] += cell_start[c - 1]
        for i in range(positions.shape[0]):
            slot = cell_start[keys[i] + 1]
            order[slot] = i
            cell_start[keys[i] + 1] = slot + 1

    return sort
