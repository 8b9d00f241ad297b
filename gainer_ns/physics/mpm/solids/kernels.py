"""The Warp kernels of elastic bodies on their own grid: nodes to points, and points to nodes.

A step has three launches, without atomics: points gather from the nodes that carry them and add up, block by block,
what they pull each by; particles that may meet something find out what pushes them; and nodes gather both. By which
nodes points are carried was found out at rest; see ``rest_grid``.
"""

import functools
from typing import Any

import warp as wp

from gainer_ns.gaussians.kernels import matrix, vector
from gainer_ns.physics.mpm.material_kernels import rotation_of

STICKY, SLIP, SEPARATE = range(3)
"""Numbers of what colliders do."""
TOUCHING_SPACINGS = 0.5
"""Within so many spacings of a surface a particle touches it, where that holds on."""
SLOW_SPEED = 0.1
"""What lands more slowly than this, widths a second, loses its speed, as what rests does."""
CONTACT_RATE = 1.5
"""Angular frequency of particles on the springs of surfaces, in cells that a wave crosses."""
MAX_SOLID_STRETCH, MAX_SOLID_SPEED = 50.0, 1e4
"""What is stretched by more, or quicker, in widths a second, is so by mistake, and pulls at nothing any more."""


@functools.cache
def piola_of(dimensions: int) -> Any:
    """Make the function of the first Piola-Kirchhoff stress of the fixed corotated model, damped.

    It is a polynomial of the deformation but for the rotation, so what is inverted comes back. Source: Stomakhin et
    al., "Energetically Consistent Invertible Elasticity", 2012. Only strain is damped: what turns is not.
    """
    square, rotation = matrix(dimensions, dimensions), rotation_of(dimensions)

    @wp.func
    def cofactor(F: square):
        if wp.static(dimensions == 2):
            return square(F[1, 1], -F[1, 0], -F[0, 1], F[0, 0])
        result = square()
        for i in range(3):
            for j in range(3):
                a = (i + 1) % 3
                b = (i + 2) % 3
                c = (j + 1) % 3
                d = (j + 2) % 3
                result[i, j] = F[a, c] * F[b, d] - F[a, d] * F[b, c]
        return result

    @wp.func
    def piola(F: square, change: square, mu: float, first: float, damping: float):
        R = rotation(F)
        S = wp.transpose(R) * change
        slowed = (damping * mu) * (R * (S + wp.transpose(S)))
        J = wp.determinant(F)
        return 2.0 * mu * (F - R) + (first * (J - 1.0)) * cofactor(F) + slowed

    return piola


@functools.cache
def splines_of(dimensions: int) -> tuple[Any, Any]:
    """Make the functions of a point's splines and their slopes, along each axis, and of those of a line of nodes.

    To work these out takes less time than to read the weights that they make. A line, of three nodes along the last
    axis, has a slope along each other axis, and a weight, which comes last.
    """
    place, table = vector(dimensions), matrix(dimensions, 3)

    @wp.func
    def splines(at: place, inverse: float):  # in cells from the first node
        values = table()
        slopes = table()
        for axis in range(dimensions):
            d = at[axis]
            values[axis, 0] = 0.5 * (1.5 - d) * (1.5 - d)
            values[axis, 1] = 0.75 - (d - 1.0) * (d - 1.0)
            values[axis, 2] = 0.5 * (d - 0.5) * (d - 0.5)
            slopes[axis, 0] = (d - 1.5) * inverse
            slopes[axis, 1] = (2.0 - 2.0 * d) * inverse
            slopes[axis, 2] = (d - 0.5) * inverse
        return values, slopes

    @wp.func
    def flat(values: table, slopes: table, line: int):
        return place(slopes[0, line], values[0, line])

    @wp.func
    def spatial(values: table, slopes: table, line: int):
        a = line / 3
        b = line % 3
        return place(slopes[0, a] * values[1, b], values[0, a] * slopes[1, b], values[0, a] * values[1, b])

    return splines, flat if dimensions == 2 else spatial


@functools.cache
def corner_of(dimensions: int) -> Any:
    """Make the function of the first of the nodes around a place, in cells, kept within the grid."""
    place = vector(dimensions)

    @wp.func
    def corner(at: place, shape: wp.vec3i):
        base = wp.vec3i(0, 0, 0)
        for axis in range(dimensions):
            base[axis] = wp.clamp(int(wp.floor(at[axis])), 0, shape[axis] - 2)
        return base

    return corner


@functools.cache
def surface_of(dimensions: int) -> Any:
    """Make the function of how deep a place is inside a collider and the way out, by its depths at the nodes around."""
    place, corner = vector(dimensions), corner_of(dimensions)
    layers = 2 if dimensions == 3 else 1

    @wp.func
    def surface(depths: wp.array(dtype=wp.float32), start: int, x: place, origin: place, cell: float, shape: wp.vec3i):
        at = (x - origin) * (1.0 / cell)
        base = corner(at, shape)
        depth = float(0.0)
        slope = place()
        for c in range(layers):
            for b in range(2):
                for a in range(2):
                    value = depths[start + ((base[2] + c) * shape[1] + base[1] + b) * shape[0] + base[0] + a]
                    f = at[0] - float(base[0])
                    g = at[1] - float(base[1])
                    wa = wp.where(a == 1, f, 1.0 - f)
                    wb = wp.where(b == 1, g, 1.0 - g)
                    wc = float(1.0)
                    if wp.static(dimensions == 3):
                        h = at[dimensions - 1] - float(base[2])
                        wc = wp.where(c == 1, h, 1.0 - h)
                        slope[dimensions - 1] += value * wa * wb * wp.where(c == 1, 1.0, -1.0)
                    depth += value * wa * wb * wc
                    slope[0] += value * wb * wc * wp.where(a == 1, 1.0, -1.0)
                    slope[1] += value * wa * wc * wp.where(b == 1, 1.0, -1.0)
        return depth, -wp.normalize(slope)

    return surface


@functools.cache
def stop_of(dimensions: int) -> Any:
    """Make the function of the velocity that a surface leaves to what meets it.

    It pushes as a spring does, as stiff as the time step allows, so that what lands bounces by its own elasticity.
    """
    place = vector(dimensions)

    @wp.func
    def stopped(
        v: place, normal: place, depth: float, kind: int, friction: float, touching: float, stiffness: float, dt: float
    ):
        away = wp.dot(v, normal)
        if kind == wp.static(STICKY):
            if depth > -touching:
                return (wp.max(depth, 0.0) * stiffness * dt) * normal
            return v
        held = kind == wp.static(SLIP) and depth > -touching
        if depth <= 0.0 and not held:
            return v
        slow = wp.max(1.0 + away / wp.static(SLOW_SPEED), 0.0)  # what comes slowly stays
        pushed = stiffness * dt * depth + slow * wp.max(-away, 0.0)
        if held or depth > 2.0 * touching:  # too deep to be let go at once
            pushed = wp.where(held, pushed - away, wp.max(pushed, -away))
        along = v - away * normal
        speed = wp.length(along)
        braked = friction * wp.max(pushed, 0.0)
        return (
            along * wp.where(speed > braked, (speed - braked) / wp.max(speed, 1.0e-20), 0.0) + (away + pushed) * normal
        )

    return stopped


@functools.cache
def strain_kernel(dimensions: int) -> wp.Kernel:
    """Make the kernel of what points do to the nodes that carry them, by their stress."""
    place, square = vector(dimensions), matrix(dimensions, dimensions)
    piola = piola_of(dimensions)
    k = 3**dimensions
    splines, line_of = splines_of(dimensions)
    lines, last = 3 ** (dimensions - 1), dimensions - 1
    numbers_type = vector(k, wp.int32)

    @wp.kernel(module="unique", enable_backward=False)
    def strain(
        first: int,
        step: int,
        carriers: wp.array(dtype=numbers_type),  # [q]
        offsets: wp.array(dtype=place),  # [q], in cells from the first of these
        slots: wp.array(dtype=numbers_type),  # [q], where each gives to its nodes
        volumes: wp.array(dtype=wp.float32),  # [q]
        constants: wp.array(dtype=wp.vec4),  # [q]: mu, lambda, damping in seconds, squared frequency of contact
        displacements: wp.array(dtype=place),  # [m]
        gradients: wp.array(dtype=square),  # in and out [q]
        pulls: wp.array(dtype=place),  # in and out [slots], forces, node by node
        inverse: float,  # 1 / the side of a cell
        rate: float,  # 1 / seconds of a step
    ):
        i = first + wp.tid()
        F = wp.identity(n=dimensions, dtype=float)
        own = carriers[i]
        values, slopes = splines(offsets[i], inverse)
        for line in range(lines):
            u = place()
            change = place()
            for along in range(3):
                moved = displacements[own[line * 3 + along]]
                u += values[last, along] * moved
                change += slopes[last, along] * moved
            factors = line_of(values, slopes, line)
            for row in range(dimensions):
                for axis in range(last):
                    F[row, axis] += factors[axis] * u[row]
                F[row, last] += factors[last] * change[row]
        numbers = constants[i]
        stress = -volumes[i] * piola(F, rate * (F - gradients[i]), numbers[0], numbers[1], numbers[2])
        if not (wp.ddot(F, F) < wp.static(MAX_SOLID_STRETCH**2) and wp.ddot(stress, stress) < 1.0e30):
            stress = square()  # no number, or strained without bound: the others are not told
        gradients[i] = F
        given = slots[i]
        for line in range(lines):
            factors = line_of(values, slopes, line)
            pull = place()
            turn = place()
            for row in range(dimensions):
                for axis in range(last):
                    pull[row] += stress[row, axis] * factors[axis]
                turn[row] = stress[row, last] * factors[last]
            for along in range(3):
                slot = given[line * 3 + along]
                pulls[slot] = pulls[slot] + values[last, along] * pull + slopes[last, along] * turn

    return strain


@functools.cache
def touch_kernel(dimensions: int) -> wp.Kernel:
    """Make the kernel of where particles are that may meet something, and of what is in their way."""
    place = vector(dimensions)
    surface, stopped = surface_of(dimensions), stop_of(dimensions)
    k = 3**dimensions

    @wp.kernel(module="unique", enable_backward=False)
    def touch(
        first: int,
        step: int,
        some: wp.array(dtype=wp.int32),  # [c], numbers of particles
        rest: wp.array(dtype=place),  # [q]
        carriers: wp.array(dtype=wp.int32),  # [q * k]
        weights: wp.array(dtype=wp.float32),  # [q * k]
        masses: wp.array(dtype=wp.float32),  # [p], 0 of what is pinned
        constants: wp.array(dtype=wp.vec4),  # [q]
        displacements: wp.array(dtype=place),  # [m]
        expected: wp.array(dtype=place),  # [m], velocities as they will be if nothing is in the way
        positions: wp.array(dtype=place),  # out [p]
        velocities: wp.array(dtype=place),  # out [p], as expected
        pushes: wp.array(dtype=place),  # out [p], momenta that particles are given
        depths: wp.array(dtype=wp.float32),  # [colliders + 1, grid]; the first of whatever is nearest
        colliders: int,
        surfaces: wp.array(dtype=wp.int32),  # [colliders]
        frictions: wp.array(dtype=wp.float32),  # [colliders]
        origin: place,
        cell: float,
        shape: wp.vec3i,
        radii: wp.array(dtype=wp.float32),  # [p], how far from a surface particles touch it
        touching: float,
        dt: float,
    ):
        i = some[first + wp.tid()]
        x = rest[i]
        v = place()
        for slot in range(k):
            node = carriers[i * k + slot]
            w = weights[i * k + slot]
            x += w * displacements[node]
            v += w * expected[node]
        positions[i] = x
        velocities[i] = v
        changed = v
        if masses[i] > 0.0:
            nearest, _ = surface(depths, 0, x, origin, cell, shape)
            grid = shape[0] * shape[1] * shape[2]
            if nearest + radii[i] > -2.0 * cell:
                for collider in range(colliders):
                    depth, normal = surface(depths, (collider + 1) * grid, x, origin, cell, shape)
                    changed = stopped(
                        changed,
                        normal,
                        depth + radii[i],
                        surfaces[collider],
                        frictions[collider],
                        touching,
                        constants[i][3],
                        dt,
                    )
        pushes[i] = masses[i] * (changed - v)

    return touch


@functools.cache
def solid_node_kernel(dimensions: int) -> wp.Kernel:
    """Make the kernel that moves the nodes by the stress and the impulses of the points that they carry."""
    place = vector(dimensions)
    corner = corner_of(dimensions)
    layers = 2 if dimensions == 3 else 1

    @wp.kernel(module="unique", enable_backward=False)
    def nodes(
        first: int,
        step: int,
        starts: wp.array(dtype=wp.int32),  # [m + 1], where the pulls of each begin
        pulls: wp.array(dtype=place),  # in and out [slots], forces, node by node: used up
        push_starts: wp.array(dtype=wp.int32),  # [m + 1], where the particles of each begin that may be pushed
        pushed: wp.array(dtype=wp.int32),  # [e], particles
        shares: wp.array(dtype=wp.float32),  # [e], their weights
        pushes: wp.array(dtype=place),  # [p]
        node_masses: wp.array(dtype=wp.float32),  # [m]
        fixed: wp.array(dtype=wp.int32),  # [m]
        rest: wp.array(dtype=place),  # [m]
        displacements: wp.array(dtype=place),  # in and out [m]
        velocities: wp.array(dtype=place),  # in and out [m]
        expected: wp.array(dtype=place),  # out [m]
        gravity: wp.array(dtype=place),  # [steps]
        amounts: wp.array(dtype=wp.float32),  # [steps, forces]
        forces: int,
        fields: wp.array(dtype=place),  # [forces, grid]
        origin: place,
        cell: float,
        shape: wp.vec3i,
        dt: float,
    ):
        i = first + wp.tid()
        if fixed[i] == 1:
            return
        pull = place()
        hit = place()
        for entry in range(starts[i], starts[i + 1]):
            pull += pulls[entry]
            pulls[entry] = place()
        for entry in range(push_starts[i], push_starts[i + 1]):
            hit += shares[entry] * pushes[pushed[entry]]
        u = displacements[i]
        gained = (dt / node_masses[i]) * pull + dt * gravity[step]
        if forces > 0:
            at = (rest[i] + u - origin) * (1.0 / cell)
            base = corner(at, shape)
            grid = shape[0] * shape[1] * shape[2]
            for force in range(forces):
                amount = dt * amounts[step * forces + force]
                if amount != 0.0:
                    for c in range(layers):
                        for b in range(2):
                            for a in range(2):
                                f = wp.clamp(at[0] - float(base[0]), 0.0, 1.0)
                                g = wp.clamp(at[1] - float(base[1]), 0.0, 1.0)
                                share = wp.where(a == 1, f, 1.0 - f) * wp.where(b == 1, g, 1.0 - g)
                                if wp.static(dimensions == 3):
                                    h = wp.clamp(at[dimensions - 1] - float(base[2]), 0.0, 1.0)
                                    share *= wp.where(c == 1, h, 1.0 - h)
                                line = ((base[2] + c) * shape[1] + base[1] + b) * shape[0] + base[0] + a
                                gained += (share * amount) * fields[force * grid + line]
        v = velocities[i] + gained + hit / node_masses[i]
        if not (wp.dot(v, v) < wp.static(MAX_SOLID_SPEED**2)):  # or no number
            v = place()
            gained = place()
        velocities[i] = v
        displacements[i] = u + dt * v
        expected[i] = v + gained

    return nodes
