"""The Warp kernels that measure the patches of a posed grid, and list them by the cells of the canvas they touch."""

import warp as wp

MAX_SINGLE_SPAN = wp.constant(3)
"""Patches that lie in one cell and no farther apart at rest are of one layer, if none is turned over or bent much."""
MAX_SINGLE_BULGE = wp.constant(0.5)
"""In patches: what is bent more may fold, and is looked at more closely."""
BULGE_MARGIN = wp.constant(1.5)
"""How much farther than where it would lie if it were straight a point of a patch is looked for."""
ROUNDING = wp.constant(0.01)
"""In patches."""


@wp.struct
class PosedPatches:
    """Patches of a B-spline surface, by the cells of a grid over the canvas that they touch."""

    origin: wp.vec2  # of the cells
    cells_per_unit: float
    columns: int  # of cells
    rows: int
    offsets: wp.array(dtype=wp.int32)  # [cells + 1], where each cell's patches begin
    members: wp.array(dtype=wp.int32)  # patches, cell by cell
    single: wp.array(dtype=wp.int32)  # [cells], whether no two patches can lie over one another there
    corners: wp.array(dtype=wp.int32)  # [p], the node before each patch
    centres: wp.array(dtype=wp.vec2)  # [p], where the middle has gone
    inverses: wp.array(dtype=wp.mat22)  # [p], from steps there to patches
    bulges: wp.array(dtype=wp.float32)  # [p], how far the straight guess may be off, in patches
    depths: wp.array(dtype=wp.float32)  # [p], the larger the nearer
    coefficients: wp.array(dtype=wp.vec2)  # [nodes]
    width: int  # nodes of a row
    rest_origin: wp.vec2
    rest_step: wp.vec2
    low: wp.vec2  # at rest, of what there is of the sheet
    high: wp.vec2


@wp.func
def curvature(before: wp.vec2, at: wp.vec2, after: wp.vec2) -> float:
    """Return how much three nodes of a line are bent."""
    second = before - 2.0 * at + after
    return wp.abs(second[0]) + wp.abs(second[1])


@wp.func
def may_fold(corner: int, width: int, facing: float, coefficients: wp.array(dtype=wp.vec2)) -> bool:
    """Tell whether a patch may cover itself.

    Its derivatives along both axes are means of differences of its coefficients. If each of the ones faces each of the
    others as at rest, no two points of the patch can meet.
    """
    for i in range(12):
        node = corner + (i / 3 - 1) * width + i % 3 - 1
        along = coefficients[node + 1] - coefficients[node]
        for j in range(12):
            other = corner + (j / 4 - 1) * width + j % 4 - 1
            down = coefficients[other + width] - coefficients[other]
            if (along[0] * down[1] - along[1] * down[0]) * facing <= 0.0:
                return True
    return False


@wp.kernel(enable_backward=False)
def measure_patches(
    first: int,
    nodes: wp.array(dtype=wp.vec2),  # [nodes]
    coefficients: wp.array(dtype=wp.vec2),  # [nodes]
    corners: wp.array(dtype=wp.int32),  # [p]
    width: int,  # nodes of a row
    facing: float,  # sign of the area of a patch at rest
    centres: wp.array(dtype=wp.vec2),  # out [p]
    inverses: wp.array(dtype=wp.mat22),  # out [p]
    bulges: wp.array(dtype=wp.float32),  # out [p], in patches
    low: wp.array(dtype=wp.vec2),  # out [p], on the canvas
    high: wp.array(dtype=wp.vec2),  # out [p]
    doubtful: wp.array(dtype=wp.int32),  # out [p], whether it may cover itself or what is beside it
) -> None:
    """Tell of each patch where it is, and how far from straight."""
    p = first + wp.tid()
    corner = corners[p]
    a = nodes[corner]
    b = nodes[corner + 1]
    c = nodes[corner + width]
    d = nodes[corner + width + 1]
    # A B-spline's second derivatives lie within the second differences of its coefficients.
    along = float(0.0)
    across = float(0.0)
    for k in range(4):
        node = corner + k % 2 + (k // 2) * width
        middle = coefficients[node]
        along = wp.max(along, curvature(coefficients[node - 1], middle, coefficients[node + 1]))
        across = wp.max(across, curvature(coefficients[node - width], middle, coefficients[node + width]))
    twist = a - b - c + d
    bulge = (along + across) / 8.0 + (wp.abs(twist[0]) + wp.abs(twist[1])) / 4.0
    right = (b + d - a - c) / 2.0
    down = (c + d - a - b) / 2.0
    area = right[0] * down[1] - right[1] * down[0]
    reach = float(0.0)
    back = wp.mat22(0.0, 0.0, 0.0, 0.0)
    if area != 0.0:
        back = wp.mat22(down[1], -down[0], -right[1], right[0]) / area
        reach = wp.max(wp.abs(back[0, 0]) + wp.abs(back[0, 1]), wp.abs(back[1, 0]) + wp.abs(back[1, 1]))
    centres[p] = (a + b + c + d) / 4.0
    inverses[p] = back
    bulges[p] = wp.where(area != 0.0, ROUNDING + BULGE_MARGIN * bulge * reach, wp.inf)
    low[p] = wp.min(wp.min(a, b), wp.min(c, d)) - wp.vec2(bulge, bulge)
    high[p] = wp.max(wp.max(a, b), wp.max(c, d)) + wp.vec2(bulge, bulge)
    doubtful[p] = wp.where(area * facing <= 0.0, 1, 0)
    if bulges[p] > MAX_SINGLE_BULGE and may_fold(corner, width, facing, coefficients):
        doubtful[p] = 1


@wp.kernel(enable_backward=False)
def count_touching(
    first: int,
    spans: wp.array(dtype=wp.vec4i),  # [p], first and last column and row of the cells that each patch touches
    columns: int,
    counts: wp.array(dtype=wp.int32),  # [cells], in and out
) -> None:
    """Count the patches that touch each cell."""
    span = spans[first + wp.tid()]
    for row in range(span[1], span[3] + 1):
        for column in range(span[0], span[2] + 1):
            wp.atomic_add(counts, row * columns + column, 1)


@wp.kernel(enable_backward=False)
def list_touching(
    first: int,
    spans: wp.array(dtype=wp.vec4i),  # [p]
    columns: int,
    nexts: wp.array(dtype=wp.int32),  # [cells], where the next patch of each goes; in and out
    members: wp.array(dtype=wp.int32),  # out
) -> None:
    """List the patches that touch each cell."""
    p = first + wp.tid()
    span = spans[p]
    for row in range(span[1], span[3] + 1):
        for column in range(span[0], span[2] + 1):
            members[wp.atomic_add(nexts, row * columns + column, 1)] = p


@wp.kernel(enable_backward=False)
def tell_single(
    first: int,
    offsets: wp.array(dtype=wp.int32),  # [cells + 1]
    members: wp.array(dtype=wp.int32),
    corners: wp.array(dtype=wp.int32),  # [p]
    doubtful: wp.array(dtype=wp.int32),  # [p]
    width: int,  # nodes of a row
    single: wp.array(dtype=wp.int32),  # out [cells]
) -> None:
    """Tell in which cells no two patches can lie over one another."""
    cell = first + wp.tid()
    start = offsets[cell]
    end = offsets[cell + 1]
    doubts = int(0)
    left = int(0)
    right = int(0)
    top = int(0)
    bottom = int(0)
    for slot in range(start, end):
        patch = members[slot]
        doubts += doubtful[patch]
        column = corners[patch] % width
        row = corners[patch] / width
        if slot == start:
            left = column
            right = column
            top = row
            bottom = row
        left = wp.min(left, column)
        right = wp.max(right, column)
        top = wp.min(top, row)
        bottom = wp.max(bottom, row)
    near = right - left <= MAX_SINGLE_SPAN and bottom - top <= MAX_SINGLE_SPAN
    single[cell] = wp.where(doubts == 0 and near, 1, 0)


measure_patches_kernel: wp.Kernel = measure_patches
count_touching_kernel: wp.Kernel = count_touching
list_touching_kernel: wp.Kernel = list_touching
tell_single_kernel: wp.Kernel = tell_single
