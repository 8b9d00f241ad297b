"""The Warp kernel that finds where rays meet discs."""

import functools

import warp as wp

from gainer_ns.gaussians.kernels import vector


@functools.cache
def crossings_kernel(most: int, candidates: int) -> wp.Kernel:
    """Return the kernel that finds the first places where each ray meets the surfaces that discs lie on.

    Args:
        most: How many places are kept.
        candidates: How many of the nearest discs on a ray are looked at: the discs of a surface overlap.
    """
    found, listed = vector(most), vector(candidates)

    @wp.kernel(module="unique", enable_backward=False)
    def crossings(
        first: int,
        tree: wp.uint64,  # of the discs' boxes
        origins: wp.array(dtype=wp.vec3),  # [m]
        directions: wp.array(dtype=wp.vec3),  # [m]
        nears: wp.array(dtype=wp.float32),  # [m]
        fars: wp.array(dtype=wp.float32),  # [m]
        means: wp.array(dtype=wp.vec3),  # [n]
        inverse_jacobians: wp.array(dtype=wp.mat33),  # [n]
        reach: float,  # half the side of a disc
        gap: float,  # crossings that are farther apart along the ray are of different surfaces, in thicknesses
        result: wp.array(dtype=found),  # out [m], ascending, infinite where there is none
    ):
        i = first + wp.tid()
        origin = origins[i]
        direction = directions[i]
        distances = listed()
        centrality = listed()
        fineness = listed()
        for slot in range(candidates):
            distances[slot] = wp.inf
        query = wp.bvh_query_ray(tree, origin, direction)
        j = int(0)
        while wp.bvh_query_next(query, j):
            start = inverse_jacobians[j] * (origin - means[j])
            step = inverse_jacobians[j] * direction
            if wp.abs(step[2]) > 1.0e-12:
                t = -start[2] / step[2]
                u = wp.max(wp.abs(start[0] + t * step[0]), wp.abs(start[1] + t * step[1]))
                if t > nears[i] and t < fars[i] and u <= reach and t < distances[candidates - 1]:
                    insert_t = t
                    insert_u = u
                    insert_f = wp.length(inverse_jacobians[j][2])  # thicknesses in a unit of length
                    for slot in range(candidates):  # into a list that is sorted by distance
                        if insert_t < distances[slot]:
                            next_t = distances[slot]
                            next_u = centrality[slot]
                            next_f = fineness[slot]
                            distances[slot] = insert_t
                            centrality[slot] = insert_u
                            fineness[slot] = insert_f
                            insert_t = next_t
                            insert_u = next_u
                            insert_f = next_f
        places = found()
        for slot in range(most):
            places[slot] = wp.inf
        count = int(0)
        best = float(0.0)
        last = float(0.0)
        finest = float(0.0)
        full = int(0)  # whether what follows lies behind all that is kept
        for slot in range(candidates):
            t = distances[slot]
            if t < wp.inf and full == 0:
                if count > 0 and (t - last) * wp.max(finest, fineness[slot]) <= gap:
                    if centrality[slot] < best:  # the disc that is met nearest to its middle is the most exact
                        best = centrality[slot]
                        places[count - 1] = t
                elif count < most:
                    best = centrality[slot]
                    places[count] = t
                    count += 1
                else:
                    full = 1
                last = t
                finest = fineness[slot]
        result[i] = places

    return crossings
