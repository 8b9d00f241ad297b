"""The Warp kernels that find where points of a posed sheet lay at rest."""

import warp as wp

from gainer_ns.motion.posed_patch_kernels import PosedPatches

NEWTON_STEPS = wp.constant(6)
"""Most steps towards a point in a patch: two do where it is nearly straight."""
CONVERGED = wp.constant(2e-3)
"""A step so short, in patches, is the last: what is left is its square."""
OVERLAP = wp.constant(1e-3)
"""How far patches go on beyond their borders, in patches, so that no point falls between two."""
NOWHERE_COORDINATE = 1e6
"""Coordinate of points that lie on no sheet: beyond anything that is read."""
NOWHERE = wp.constant(NOWHERE_COORDINATE)


@wp.struct
class RestPoint:
    """Where a point lay; nowhere, and of patch -1, where there is no sheet."""

    position: wp.vec2
    inverse: wp.mat22  # steps at rest by steps on the canvas
    patch: int


@wp.func
def spline_weights(t: float) -> wp.vec4:
    """Return the cubic B-spline's weights of the four nodes around a point so far beyond the second of them."""
    s = 1.0 - t
    return wp.vec4(s * s * s, 4.0 - 6.0 * t * t + 3.0 * t * t * t, 4.0 - 6.0 * s * s + 3.0 * s * s * s, t * t * t) / 6.0


@wp.func
def spline_slopes(t: float) -> wp.vec4:
    """Return the derivatives of the weights."""
    s = 1.0 - t
    return wp.vec4(-0.5 * s * s, -2.0 * t + 1.5 * t * t, 2.0 * s - 1.5 * s * s, 0.5 * t * t)


@wp.func
def cell_at(p: wp.vec2, patches: PosedPatches) -> int:
    """Return the cell that a point is in, or else the nearest one."""
    column = wp.clamp(int(wp.floor((p[0] - patches.origin[0]) * patches.cells_per_unit)), 0, patches.columns - 1)
    row = wp.clamp(int(wp.floor((p[1] - patches.origin[1]) * patches.cells_per_unit)), 0, patches.rows - 1)
    return row * patches.columns + column


@wp.func
def rest_point(p: wp.vec2, patches: PosedPatches) -> RestPoint:
    """Find where a point lay: in the nearest of the patches that it is in now."""
    found = RestPoint()
    found.position = wp.vec2(NOWHERE, NOWHERE)
    found.patch = int(-1)
    best_faces = int(0)
    best_depth = float(0.0)
    cell = cell_at(p, patches)
    single = patches.single[cell]
    for slot in range(patches.offsets[cell], patches.offsets[cell + 1]):
        if found.patch >= 0 and single == 1:
            break
        patch = patches.members[slot]
        guess = patches.inverses[patch] * (p - patches.centres[patch])
        limit = 0.5 + patches.bulges[patch]
        if wp.abs(guess[0]) <= limit and wp.abs(guess[1]) <= limit:
            # Newton's method from where the patch would have the point if it were straight.
            u = guess[0] + 0.5
            v = guess[1] + 0.5
            corner = patches.corners[patch]
            anchor = patches.coefficients[corner]  # relative to it fewer digits are lost
            determinant = float(0.0)
            step = float(1.0)
            back = wp.mat22(0.0, 0.0, 0.0, 0.0)
            for _ in range(NEWTON_STEPS):
                if step > CONVERGED:
                    across_weights = spline_weights(u)
                    across_slopes = spline_slopes(u)
                    down_weights = spline_weights(v)
                    down_slopes = spline_slopes(v)
                    at = wp.vec2(0.0, 0.0)
                    along = wp.vec2(0.0, 0.0)
                    down = wp.vec2(0.0, 0.0)
                    for r in range(4):
                        line = wp.vec2(0.0, 0.0)
                        slope = wp.vec2(0.0, 0.0)
                        for c in range(4):
                            node = patches.coefficients[corner + (r - 1) * patches.width + c - 1] - anchor
                            line += across_weights[c] * node
                            slope += across_slopes[c] * node
                        at += down_weights[r] * line
                        along += down_weights[r] * slope
                        down += down_slopes[r] * line
                    determinant = along[0] * down[1] - along[1] * down[0]
                    if determinant == 0.0:
                        step = float(0.0)
                        u = float(-9.0)
                    else:
                        back = wp.mat22(down[1], -down[0], -along[1], along[0]) / determinant
                        move = back * ((p - anchor) - at)
                        u = wp.clamp(u + move[0], -1.0, 2.0)
                        v = wp.clamp(v + move[1], -1.0, 2.0)
                        step = wp.abs(move[0]) + wp.abs(move[1])
            inside = u >= -OVERLAP and v >= -OVERLAP and u <= 1.0 + OVERLAP and v <= 1.0 + OVERLAP
            if inside and step <= 8.0 * CONVERGED:
                # What faces as it did covers what is turned over; then what is nearer; then what comes later.
                faces = int(1)
                if determinant * patches.rest_step[0] * patches.rest_step[1] < 0.0:
                    faces = int(0)
                depth = patches.depths[patch]
                wins = found.patch < 0 or faces > best_faces
                if faces == best_faces and (depth > best_depth or (depth == best_depth and patch > found.patch)):
                    wins = True
                away = wp.vec2(
                    (float(corner % patches.width) + u) * patches.rest_step[0],
                    (float(corner / patches.width) + v) * patches.rest_step[1],
                )
                place = patches.rest_origin + away
                if place[0] < patches.low[0] or place[1] < patches.low[1]:
                    wins = False
                if place[0] > patches.high[0] or place[1] > patches.high[1]:
                    wins = False
                if wins:
                    found.patch = patch
                    best_faces = faces
                    best_depth = depth
                    sx = patches.rest_step[0]
                    sy = patches.rest_step[1]
                    found.position = place
                    found.inverse = wp.mat22(back[0, 0] * sx, back[0, 1] * sx, back[1, 0] * sy, back[1, 1] * sy)
    return found


@wp.kernel(enable_backward=False)
def locate(
    first: int,
    points: wp.array(dtype=wp.vec2),  # [m]
    patches: PosedPatches,
    positions: wp.array(dtype=wp.vec2),  # out [m]
    inverses: wp.array(dtype=wp.mat22),  # out [m]
) -> None:
    """Find where each point lay."""
    i = first + wp.tid()
    point = rest_point(points[i], patches)
    positions[i] = point.position
    inverses[i] = point.inverse


locate_kernel: wp.Kernel = locate
