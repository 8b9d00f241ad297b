"""The Warp kernel by which points follow the particles around them."""

import functools

import warp as wp

from gainer_ns.gaussians.kernels import matrix, vector


@functools.cache
def skinning_kernel(k: int, dimensions: int) -> wp.Kernel:
    """Make the kernel of the poses of points that follow up to ``k`` particles each."""
    ints, place, square = vector(k, wp.int32), vector(dimensions), matrix(dimensions, dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def skin(
        first: int,
        points: wp.array(dtype=place),  # [n], at rest
        neighbours: wp.array(dtype=ints),  # [n], the nearest first, -1 after the last
        sharpness: wp.array(dtype=wp.float32),  # [n], 1 / the squared distance at which weights end
        rest: wp.array(dtype=place),  # [p]
        positions: wp.array(dtype=place),  # [p]
        gradients: wp.array(dtype=square),  # [p]
        breaking: int,  # 1 for what may part
        parting: float,  # 1 / twice the squared disagreement at which it does
        moved: wp.array(dtype=place),  # out [n]
        jacobians: wp.array(dtype=square),  # out [n]
        torn: wp.array(dtype=wp.float32),  # out [n]
    ):
        i = first + wp.tid()
        at, near, sharp = points[i], neighbours[i], sharpness[i]
        own = near[0]
        origin = positions[own] + gradients[own] * (at - rest[own])  # where the nearest one would have it
        total = float(0.0)
        before = float(0.0)
        after = float(0.0)
        step = place()
        slope = place()
        turn = square()
        bend = square()
        for slot in range(k):
            j = near[slot]
            if j < 0:
                break
            away = at - rest[j]
            rise = 1.0 - wp.dot(away, away) * sharp
            if rise > 0.0:
                weight = rise * rise * rise
                apart = (positions[j] + gradients[j] * away) - origin
                kept = float(1.0)
                if breaking > 0:
                    kept = wp.exp(-parting * wp.dot(apart, apart))
                if slot > 0:
                    before += weight
                    after += weight * kept
                weight *= kept
                fall = (-6.0 * sharp * kept * rise * rise) * away
                total += weight
                step += weight * apart
                slope += fall
                turn += weight * gradients[j]
                bend += wp.outer(apart, fall)
        if total > 0.0:
            step = step / total
            moved[i] = origin + step
            jacobians[i] = (turn + bend - wp.outer(step, slope)) / total
        else:
            moved[i] = origin
            jacobians[i] = gradients[own]
        lost = float(0.0)
        if before > 0.0:
            lost = 1.0 - after / before
        torn[i] = lost

    return skin
