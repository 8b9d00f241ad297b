"""The Warp kernels of viscosity and surface tension: stress in the cells between nodes, and what nodes do with it.

Both are one symmetric stress in each cell, told by its corners with one point of quadrature, so that momentum and
angular momentum stay. Nodes take it in the stages of first-order Runge-Kutta-Legendre schemes, of which ``s`` are
stable for ``(s^2 + s) / 2`` times the step that one would be.

Sources: Lafaurie et al., "Modelling Merging and Fragmentation in Multiphase Flows with SURFER", 1994 (surface tension
as a stress); Meyer, Balsara and Aslam, "A second-order accurate Super TimeStepping formulation", 2012.
"""

import functools

import warp as wp

from gainer_ns.gaussians.kernels import matrix, vector

STICKY, SLIP, SEPARATE = range(3)
"""Numbers of what colliders do."""
WALL_SHARE = 2.0
"""Nodes at walls have half of the mass that others have."""
MIN_FREE_SHARE = 0.02
"""Nodes in walls are taken for as full as what is free of them is, unless that is less."""


@functools.cache
def cell_kernel(dimensions: int) -> wp.Kernel:
    """Make the kernel of the stress in the cells, each of which has the number of its lowest corner."""
    place, square = vector(dimensions), matrix(dimensions, dimensions)
    corners = 2**dimensions

    @wp.kernel(module="unique", enable_backward=False)
    def cells(
        first: int,
        step: int,
        velocities: wp.array(dtype=place),  # [nodes]
        flows: wp.array(dtype=wp.vec2),  # [nodes]: volume times viscosity, and share of volume times surface tension
        walls: wp.array(dtype=wp.int32),  # [nodes]: 0, 1 at a wall that lets slide, 2 at one that does not
        cell: float,
        shape: wp.vec3i,
        colliders: int,
        normals: wp.array(dtype=place),  # [colliders, nodes], 0 where the collider is not
        solidity: wp.array(dtype=wp.float32),  # [nodes], the share of each that is inside of colliders
        stresses: wp.array(dtype=square),  # out [nodes], times the cell's volume
    ):
        i = first + wp.tid()
        stresses[i] = square()
        column = i % shape[0]
        row = (i / shape[0]) % shape[1]
        if column + 1 >= shape[0] or row + 1 >= shape[1]:
            return
        inverse = wp.static(2.0 / corners) / cell
        volume = cell * cell
        if wp.static(dimensions == 3):
            if i / (shape[0] * shape[1]) + 1 >= shape[2]:
                return
            volume *= cell
        gradient = square()
        slope = place()
        least = float(1.0e30)
        solid = float(0.0)
        for corner in range(corners):
            a = corner % 2
            b = (corner / 2) % 2
            c = corner / 4
            j = i + a + shape[0] * (b + shape[1] * c)
            d = place()
            d[0] = float(2 * a - 1)
            d[1] = float(2 * b - 1)
            if wp.static(dimensions == 3):
                d[dimensions - 1] = float(2 * c - 1)
            gradient += wp.outer(velocities[j], d)
            solid += solidity[j] * wp.static(1.0 / corners)
            slope += (flows[j][1] / wp.max(1.0 - solidity[j], wp.static(MIN_FREE_SHARE))) * d
            if walls[j] < 2:  # the least of them, or light nodes would be thrown about
                least = wp.min(least, flows[j][0] * wp.where(walls[j] == 1, wp.static(WALL_SHARE), 1.0))
        if least < 1.0e30:
            stresses[i] = (least * inverse) * (gradient + wp.transpose(gradient))
        # Surfaces meet walls at a right angle: else liquid would be drawn off them, as mercury is.
        count = shape[0] * shape[1] * shape[2]
        for corner in range(corners):
            j = i + corner % 2 + shape[0] * ((corner / 2) % 2 + shape[1] * (corner / 4))
            if walls[j] > 0:
                for collider in range(colliders):
                    normal = normals[collider * count + j]
                    slope -= wp.dot(slope, normal) * normal
        steep = wp.length(slope)
        if steep > 0.0:
            tension = steep * wp.identity(n=dimensions, dtype=float) - wp.outer(slope, slope) / steep
            free = wp.clamp(2.05 * (0.75 - solid), 0.0, 1.0)  # 1 and 0 on both sides of a wall's surface
            stresses[i] += (free * volume * inverse) * tension

    return cells


@functools.cache
def stage_kernel(dimensions: int) -> wp.Kernel:
    """Make the kernel of a stage: of velocities of the nodes, by those of the two stages before and the stress."""
    place, square = vector(dimensions), matrix(dimensions, dimensions)
    corners = 2**dimensions

    @wp.kernel(module="unique", enable_backward=False)
    def stage(
        first: int,
        number: int,
        now: wp.array(dtype=place),  # [nodes], of the stage before
        before: wp.array(dtype=place),  # [nodes], of the one before that
        stresses: wp.array(dtype=square),  # [nodes], of the cells, times their volume
        masses: wp.array(dtype=wp.float32),  # [nodes]
        walls: wp.array(dtype=wp.int32),  # [nodes]
        factors: wp.array(dtype=wp.vec3),  # [stages]: of both, and how long it takes
        cell: float,
        shape: wp.vec3i,
        colliders: int,
        normals: wp.array(dtype=place),  # [colliders, nodes], 0 where the collider is not
        surfaces: wp.array(dtype=wp.int32),  # [colliders]
        gravity: place,
        result: wp.array(dtype=place),  # out [nodes]
    ):
        i = first + wp.tid()
        mass = masses[i]
        v = now[i]
        if mass <= 0.0 or walls[i] == 2:
            result[i] = v
            return
        column = i % shape[0]
        row = (i / shape[0]) % shape[1]
        layer = i / (shape[0] * shape[1])
        force = place()
        for corner in range(corners):
            a = corner % 2
            b = (corner / 2) % 2
            c = corner / 4
            if column >= a and row >= b and layer >= c:
                d = place()
                d[0] = float(2 * a - 1)
                d[1] = float(2 * b - 1)
                if wp.static(dimensions == 3):
                    d[dimensions - 1] = float(2 * c - 1)
                force -= stresses[i - a - shape[0] * (b + shape[1] * c)] * d
        count = shape[0] * shape[1] * shape[2]
        if walls[i] == 1:
            for collider in range(colliders):  # neither draws liquid off a wall; but nothing hangs from a ceiling
                normal = normals[collider * count + i]
                if wp.dot(gravity, normal) <= 0.0:
                    force -= wp.max(wp.dot(force, normal), 0.0) * normal
        factor = factors[number]
        v = factor[0] * v + factor[1] * before[i]
        v += (factor[2] * wp.static(2.0 / corners) / (cell * mass)) * force
        if walls[i] == 1:
            for collider in range(colliders):
                normal = normals[collider * count + i]
                into = -wp.dot(v, normal)
                if into > 0.0 or surfaces[collider] == wp.static(SLIP):
                    v += into * normal
        result[i] = v

    return stage
