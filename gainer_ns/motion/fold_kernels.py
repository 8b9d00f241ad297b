"""The Warp kernel that finds which patches of a posed grid lie over one another."""

import warp as wp


@wp.func
def parted(into: wp.mat22, away: wp.vec2, other: wp.mat22, touch: float) -> bool:
    """Tell whether a line along a side of a straight patch parts it from another (separating axes)."""
    gap = into * away
    steps = into * other
    beyond = False
    for axis in range(2):
        half = 0.5 + 0.5 * (wp.abs(steps[axis, 0]) + wp.abs(steps[axis, 1]))
        if not (wp.abs(gap[axis]) < half - touch):  # also what is no number
            beyond = True
    return beyond


@wp.kernel(enable_backward=False)
def cover_pairs(
    first: int,
    cells: wp.array(dtype=wp.int32),  # [c], those that patches may lie over one another in
    offsets: wp.array(dtype=wp.int32),  # [all cells + 1], where each cell's patches begin
    members: wp.array(dtype=wp.int32),  # patches, cell by cell
    corners: wp.array(dtype=wp.int32),  # [p], the node before each patch
    columns: int,  # nodes of a row
    span: int,  # patches no farther apart at rest are beside one another
    low: wp.array(dtype=wp.vec2),  # [p]
    high: wp.array(dtype=wp.vec2),  # [p]
    centres: wp.array(dtype=wp.vec2),  # [p]
    inverses: wp.array(dtype=wp.mat22),  # [p], from steps on the canvas to patches
    steps: wp.array(dtype=wp.mat22),  # [p], and back
    ranks: wp.array(dtype=wp.int32),  # [p], the higher the nearer
    touch: float,
    lists: int,  # 1 lists
    counts: wp.array(dtype=wp.int32),  # [c], where the pairs of each cell begin if it lists, or out: how many
    pairs: wp.array(dtype=wp.vec2i),  # out: what lies below, and what covers it
) -> None:
    """Count the pairs of each cell, or list them."""
    c = first + wp.tid()
    cell = cells[c]
    start = offsets[cell]
    end = offsets[cell + 1]
    found = int(0)
    for slot in range(start, end):
        one = members[slot]
        row = corners[one] / columns
        column = corners[one] % columns
        for further in range(slot + 1, end):
            other = members[further]
            apart = wp.abs(corners[other] / columns - row) > span
            apart = apart or wp.abs(corners[other] % columns - column) > span
            meet = low[one][0] < high[other][0] and low[other][0] < high[one][0]
            meet = meet and low[one][1] < high[other][1] and low[other][1] < high[one][1]
            if apart and meet:
                away = centres[other] - centres[one]
                beyond = parted(inverses[one], away, steps[other], touch)
                beyond = beyond or parted(inverses[other], away, steps[one], touch)
                if not beyond:
                    if lists == 1:
                        pairs[counts[c] + found] = wp.where(
                            ranks[one] < ranks[other], wp.vec2i(one, other), wp.vec2i(other, one)
                        )
                    found += 1
    if lists == 0:
        counts[c] = found


cover_pairs_kernel: wp.Kernel = cover_pairs
