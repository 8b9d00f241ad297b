"""The Warp kernels of contact: which particles of solid bodies may meet, and how those push each other."""

import functools
from typing import Any

import warp as wp

from gainer_ns.gaussians.kernels import vector


@functools.cache
def sharing_of(dimensions: int) -> Any:
    """Make the function that tells whether two particles hold together: whether a node carries both."""
    k = 3**dimensions

    @wp.func
    def shares(
        i: int,
        j: int,
        bases: wp.array(dtype=wp.vec3i),
        carriers: wp.array(dtype=wp.int32),
    ):
        gap = bases[i] - bases[j]
        if wp.max(wp.abs(gap)) > 2:
            return False
        start = wp.vec3i(0, 0, 0)
        count = wp.vec3i(1, 1, 1)
        for axis in range(wp.static(3 - dimensions), 3):
            start[axis] = wp.max(-gap[axis], 0)
            count[axis] = 3 - wp.abs(gap[axis])
        same = bool(False)
        a = int(0)
        while a < count[0] and not same:
            b = int(0)
            while b < count[1] and not same:
                c = int(0)
                while c < count[2] and not same:
                    mine = ((start[0] + a) * 3 + start[1] + b) * 3 + start[2] + c
                    same = carriers[i * k + mine] == carriers[j * k + mine + (gap[0] * 3 + gap[1]) * 3 + gap[2]]
                    c += 1
                b += 1
            a += 1
        return same

    return shares


@functools.cache
def near_kernel(dimensions: int) -> wp.Kernel:
    """Make the kernel that finds the particles near to each that do not hold on to it: counts them, or lists them."""
    shares = sharing_of(dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def near(
        first: int,
        grid: wp.uint64,
        some: wp.array(dtype=wp.int32),  # [o], numbers of particles
        places: wp.array(dtype=wp.vec3),  # [o], where they are
        reach: float,
        bases: wp.array(dtype=wp.vec3i),  # [p], the first node of each
        carriers: wp.array(dtype=wp.int32),  # [p * k]
        moves: wp.array(dtype=wp.float32),  # [p], 0 of what does not
        lists: int,  # 1 lists
        counts: wp.array(dtype=wp.int32),  # [o], where the list of each begins if it lists, or out: how many
        others: wp.array(dtype=wp.int32),  # out
    ):
        c = first + wp.tid()
        i = some[c]
        x = places[c]
        found = int(0)
        for other in wp.hash_grid_query(grid, x, reach):
            j = some[other]
            between = places[other] - x
            if j != i and wp.dot(between, between) < reach * reach and moves[i] + moves[j] > 0.0:
                held = shares(i, j, bases, carriers)
                if not held:
                    if lists == 1:
                        others[counts[c] + found] = j
                    found += 1
        if lists == 0:
            counts[c] = found

    return near


@functools.cache
def pair_kernel(dimensions: int) -> wp.Kernel:
    """Make the kernel of the momentum that particles in contact give each other."""
    place = vector(dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def pairs(
        first: int,
        step: int,
        ids: wp.array(dtype=wp.int32),  # [c]
        starts: wp.array(dtype=wp.int32),  # [c + 1]
        others: wp.array(dtype=wp.int32),  # [e]
        rest: wp.array(dtype=place),  # [p], which touch from as far apart as they were at rest, if that is less
        positions: wp.array(dtype=place),  # [p]
        velocities: wp.array(dtype=place),  # [p]
        inverse_masses: wp.array(dtype=wp.float32),  # [p]
        touching: float,
        relaxation: float,
        friction: float,
        stiffness: wp.array(dtype=wp.float32),  # [p], squared frequency of what overlaps
        dt: float,
        pushes: wp.array(dtype=place),  # in and out [p], momenta
    ):
        c = first + wp.tid()
        i = ids[c]
        given = place()
        for entry in range(starts[c], starts[c + 1]):
            j = others[entry]
            between = positions[i] - positions[j]
            apart = wp.length(between)
            if apart > 0.0:
                normal = between / apart
                relative = velocities[i] - velocities[j]
                away = wp.dot(relative, normal)
                gap = apart - wp.min(wp.length(rest[i] - rest[j]), touching)
                # The speed that they must lose to be no nearer than touching in a step, and what overlaps springs back.
                lost = relaxation * wp.max(-away - wp.max(gap, 0.0) / dt, 0.0)
                lost -= wp.min(stiffness[i], stiffness[j]) * dt * wp.min(gap, 0.0)
                if lost > 0.0:
                    along = relative - away * normal
                    speed = wp.length(along)
                    braked = wp.min(friction * lost, relaxation * speed) / wp.max(speed, 1.0e-20)
                    given += (lost * normal - braked * along) / (inverse_masses[i] + inverse_masses[j])
        pushes[i] = pushes[i] + given

    return pairs
