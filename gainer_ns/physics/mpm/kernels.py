"""The Warp kernels of the material point method's transfers: particles to grid, and grid to particles.

A step has three launches, none of which needs atomics: nodes gather from the particles around them, which are sorted by
cell, and particles from the nodes around them. So results do not depend on how many threads there are.

Source: Hu et al., "A Moving Least Squares Material Point Method", 2018.
"""

import functools

import warp as wp

from gainer_ns.gaussians.kernels import matrix, vector
from gainer_ns.physics.mpm.liquid_kernels import SLIP, STICKY
from gainer_ns.physics.mpm.material_kernels import (
    ELASTIC,
    LIQUID,
    PINNED,
    RIGID,
    SAND,
    SNOW,
    bounded_of,
    damped_of,
    sand_of,
    snow_of,
    stress_of,
)

LIQUID_CROWDING = 0.1
"""By what share liquid may be denser than it knows, since particles in disorder seem denser than they are."""
LIQUID_EVENING_RATE = 10.0
"""What share of the rest of its density it learns in a second."""
WALL_SOLIDITY = 0.01
"""From this solidity around it on liquid is by a wall, about one and a half cells away at most."""
MAX_LOOSE_RATIO, MAX_HELD_RATIO = 1.02, 1.1
"""By how much liquid that does not cohere knows that it has spread, and such as is drawn together again."""
SAND_DAMPING_CROSSINGS = 0.75
"""For how long sand answers the rate of its strain, in times that a pressure wave takes to cross a cell.

Of waves as short as cells that is nearly critical, and leaves the time step that it has: with damping ratio ``z``,
``z = 0.75 / 0.816``, steps may be ``sqrt(1 + z^2) - z = 0.44`` times as long as without, and are 0.3 / 0.816 = 0.37.
"""
MAX_STEP_STRAIN = 0.25
"""By how much a step may strain or turn what flows, at most: so it never turns inside out."""
MAX_STEP_CELLS = 0.6
"""How many cells what flows moves in a step, at most."""
SOLID_FRICTION = 0.4
"""Coulomb's coefficient between what flows and elastic bodies."""


@wp.func
def spline(d: float) -> float:
    """Evaluate the quadratic B-spline at a distance in cells, up to 1.5."""
    a = wp.abs(d)
    outer = 1.5 - a
    return wp.where(a < 0.5, 0.75 - a * a, 0.5 * outer * outer)


@wp.func
def splines(at: float, base: int) -> wp.vec3:
    """Return the weights of the three nodes from a base on, for a place in cells."""
    d = at - float(base)
    near = 0.5 * (1.5 - d) * (1.5 - d)
    far = 0.5 * (d - 0.5) * (d - 0.5)
    return wp.vec3(near, 1.0 - near - far, far)  # whose sum is 1 despite rounding, or momentum would drift


@functools.cache
def particle_kernel(dimensions: int) -> wp.Kernel:
    """Make the kernel that moves particles with the nodes around them, and prepares what they give back to these."""
    place, square = vector(dimensions), matrix(dimensions, dimensions)
    stress, sand, snow = stress_of(dimensions), sand_of(dimensions), snow_of(dimensions)
    bounded, damped = bounded_of(dimensions), damped_of(dimensions)
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
        constants: wp.array(dtype=wp.vec3),  # [bodies]: mu (of liquids the pull at which they part), lambda, friction
        momenta: wp.array(dtype=square),  # out: change of momentum by distance
        nodes: wp.array(dtype=place),  # velocities of the nodes
        exchanged: wp.array(dtype=place),  # at the nodes: changes of velocity of what is elastic
        weights: wp.array(dtype=wp.float32),  # masses of the nodes
        solidity: wp.array(dtype=wp.float32),  # of the nodes: the share that is inside of colliders
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
        is_solid = kind == wp.static(ELASTIC) or kind == wp.static(PINNED)
        if is_solid and step == 0:
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
            full = float(0.0)
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
                        if is_solid:
                            v += share * exchanged[line + a]
                        else:
                            around += share * weights[line + a]
                            full += share * solidity[line + a]
                            u = share * nodes[line + a]
                            v += u
                            B += wp.outer(u, d)
            if is_solid:  # it moves on a grid of its own, which is told what it has met
                velocities[i] = v
                return
            C = (4.0 / cell) * B
            if kind != wp.static(RIGID):
                C *= wp.static(MAX_STEP_STRAIN) / wp.max(wp.sqrt(wp.ddot(C, C)) * dt, wp.static(MAX_STEP_STRAIN))
                quickest = wp.static(MAX_STEP_CELLS) * cell / dt
                v *= quickest / wp.max(wp.length(v), quickest)
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
                total[i] = bounded(grown * total[i])
                if kind == wp.static(LIQUID):
                    most = wp.where(numbers[0] > 0.0, wp.static(MAX_HELD_RATIO), wp.static(MAX_LOOSE_RATIO))
                    ratio = wp.clamp(inner[i] * (1.0 + dt * wp.trace(C)), 0.1, most)
                    room = cell * cell * wp.where(wp.static(dimensions) == 3, cell, 1.0)
                    seen = 1.0 / (around / (masses[i] / volumes[i] * room) + full)
                    if full > wp.static(WALL_SOLIDITY):  # slowed down by what is ahead, it is not yet pressed by it
                        ratio = wp.max(ratio, wp.min(seen, wp.max(inner[i], 1.0)))
                    # What the velocities do not tell adds up, and the liquid would shrink.
                    gone = seen + wp.static(LIQUID_CROWDING) - ratio
                    inner[i] = ratio + wp.min(wp.static(LIQUID_EVENING_RATE) * dt, 1.0) * wp.min(gone, 0.0)
                elif kind == wp.static(SAND):
                    eye = wp.identity(n=dimensions, dtype=float)
                    strain, left = sand(elastic[i] - eye, dt * C, inner[i], numbers[0], numbers[1], numbers[2])
                    elastic[i] = eye + strain
                    inner[i] = left
                elif kind == wp.static(SNOW):
                    F, left = snow(grown * elastic[i], inner[i])
                    elastic[i] = F
                    inner[i] = left
            affine[i] = C
        answered = elastic[i]
        if kind == wp.static(SAND):
            eye = wp.identity(n=dimensions, dtype=float)
            crossing = cell * wp.sqrt(masses[i] / (volumes[i] * (numbers[1] + 2.0 * numbers[0])))  # of a wave
            damping = wp.static(SAND_DAMPING_CROSSINGS) * crossing
            answered = eye + damped(answered - eye, affine[i], numbers[0], numbers[1], numbers[2], damping)
        push = stress(kind, answered, inner[i], numbers[0], numbers[1])
        given = masses[i] * affine[i] - (dt * 4.0 / (cell * cell) * volumes[i]) * push
        if not (wp.ddot(given, given) < 1.0e30):  # no number: the others are not told, until it is taken out
            given = square()
        momenta[i] = given

    return particles


@functools.cache
def node_kernel(dimensions: int) -> wp.Kernel:
    """Make the kernel of the nodes' velocities: particles to grid, then what accelerates and what is in the way."""
    place, square = vector(dimensions), matrix(dimensions, dimensions)
    layers = 3 if dimensions == 3 else 1

    @wp.kernel(module="unique", enable_backward=False)
    def nodes(
        first: int,
        step: int,
        positions: wp.array(dtype=place),  # [n]
        velocities: wp.array(dtype=place),
        momenta: wp.array(dtype=square),
        masses: wp.array(dtype=wp.float32),  # negative of what is elastic
        order: wp.array(dtype=wp.int32),  # [n], by cell
        cell_start: wp.array(dtype=wp.int32),  # [cells + 2]
        bodies: wp.array(dtype=wp.int32),  # [n]
        rates: wp.array(dtype=wp.vec2),  # [bodies]: viscosity and surface tension; empty where none has any
        volumes: wp.array(dtype=wp.float32),  # [n], at rest
        origin: place,
        cell: float,
        shape: wp.vec3i,
        dt: float,
        gravity: wp.array(dtype=place),  # [steps]
        amounts: wp.array(dtype=wp.float32),  # [steps, forces]
        forces: int,
        fields: wp.array(dtype=place),  # [forces, nodes]
        walls: wp.array(dtype=wp.int32),  # [nodes], 0 where there is no collider
        colliders: int,
        normals: wp.array(dtype=place),  # [colliders, nodes], 0 where the collider is not
        surfaces: wp.array(dtype=wp.int32),  # [colliders]
        frictions: wp.array(dtype=wp.float32),  # [colliders]
        result: wp.array(dtype=place),  # out [nodes]
        exchanged: wp.array(dtype=place),  # out [nodes]: what changes the velocity of what is elastic
        weights: wp.array(dtype=wp.float32),  # out [nodes], masses
        flows: wp.array(dtype=wp.vec2),  # out [nodes]: volume times viscosity, share of volume times surface tension
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
        solid_mass = float(0.0)
        solid_momentum = place()
        towards = place()
        flow = wp.vec2()
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
                        if m < 0.0:
                            solid_mass -= weight * m
                            solid_momentum -= (weight * m) * velocities[j]
                            towards += (weight * m) * d
                        else:
                            mass += weight * m
                            momentum += weight * (m * velocities[j] + momenta[j] * (cell * d))
                            if rates.shape[0] > 0:
                                flow += (weight * volumes[j]) * rates[bodies[j]]
        if rates.shape[0] > 0:
            room = cell * cell * wp.where(wp.static(dimensions) == 3, cell, 1.0)
            flows[i] = wp.vec2(flow[0], flow[1] / room)
        weights[i] = mass
        exchanged[i] = place()
        if mass <= 0.0:
            result[i] = place()
            return
        v = momentum / mass + dt * gravity[step]
        count = shape[0] * shape[1] * shape[2]
        for force in range(forces):
            v += (dt * amounts[step * forces + force]) * fields[force * count + i]
        if solid_mass > 0.0:
            normal = wp.normalize(towards)
            relative = v - solid_momentum / solid_mass
            meeting = wp.dot(relative, normal)
            if meeting > 0.0:
                aside = relative - meeting * normal
                slides = wp.length(aside)
                braked = wp.min(wp.static(SOLID_FRICTION) * meeting, slides) / wp.max(slides, 1.0e-20)
                stopped = meeting * normal + braked * aside
                v -= (solid_mass / (mass + solid_mass)) * stopped
                exchanged[i] = (mass / (mass + solid_mass)) * stopped
        if walls[i] > 0:
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
def _cell_function(dimensions: int) -> wp.Function:
    """Make the function that numbers the cell of a place, which is in cells from the grid's origin."""
    place = vector(dimensions)

    @wp.func
    def cell_of(at: place, shape: wp.vec3i):
        key = int(0)
        for backwards in range(dimensions):
            axis = wp.static(dimensions - 1) - backwards
            key = key * shape[axis] + int(wp.floor(at[axis] - 0.5))
        return key

    return cell_of


@functools.cache
def sorting_kernel(dimensions: int) -> wp.Kernel:
    """Make the kernel that sorts particles by cell, counting in one thread: on a CPU quicker than the transfers."""
    place, cell_of = vector(dimensions), _cell_function(dimensions)

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
            key = cell_of((positions[i] - origin) * inverse, shape)
            keys[i] = key
            cell_start[key + 2] += 1
        for c in range(2, cell_start.shape[0]):
            cell_start[c] += cell_start[c - 1]
        for i in range(positions.shape[0]):
            slot = cell_start[keys[i] + 1]
            order[slot] = i
            cell_start[keys[i] + 1] = slot + 1

    return sort


@functools.cache
def key_kernel(dimensions: int) -> wp.Kernel:
    """Make the kernel of the cell of each particle, for devices that sort with many threads."""
    place, cell_of = vector(dimensions), _cell_function(dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def keys_of(
        first: int,
        step: int,
        positions: wp.array(dtype=place),  # [n]
        origin: place,
        cell: float,
        shape: wp.vec3i,
        keys: wp.array(dtype=wp.int32),  # out [2 n], of which sorting uses the rest
        order: wp.array(dtype=wp.int32),  # out [2 n], as they come
    ):
        i = first + wp.tid()
        keys[i] = cell_of((positions[i] - origin) * (1.0 / cell), shape)
        order[i] = i

    return keys_of


@functools.cache
def start_kernel() -> wp.Kernel:
    """Make the kernel of where the particles of each cell begin, once they are sorted."""

    @wp.kernel(module="unique", enable_backward=False)
    def starts(
        first: int,
        step: int,
        keys: wp.array(dtype=wp.int32),  # [2 n], of which the first n are sorted
        count: int,  # n
        cell_start: wp.array(dtype=wp.int32),  # out [cells + 2]
    ):
        i = first + wp.tid()
        low = int(0)
        high = int(count)  # wp.lower_bound never says so, but the last at most
        while low < high:
            middle = (low + high) / 2
            if keys[middle] < i:
                low = middle + 1
            else:
                high = middle
        cell_start[i] = low

    return starts
