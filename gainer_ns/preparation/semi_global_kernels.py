"""The Warp kernel of semi-global matching: along lines through a picture, costs of planes are smoothed."""

import functools

import warp as wp


@functools.cache
def smooth_along_lines_kernel() -> wp.Kernel:
    """Return the kernel that adds, to what lines in other directions found, costs smoothed along those in one."""

    @wp.kernel(enable_backward=False)
    def smooth_along_lines(
        first: int,
        row_step: int,
        column_step: int,
        costs: wp.array3d(dtype=wp.float32),  # [h, w, planes]
        shades: wp.array2d(dtype=wp.float32),  # [h, w]
        next_plane: float,  # what a step to the next plane costs
        other_plane: float,  # what a step to any other costs where both pixels look alike
        edge: float,  # difference of shades at which that is half
        lines: wp.array3d(dtype=wp.float32),  # scratch [2, lines, planes]
        total: wp.array3d(dtype=wp.float32),  # [h, w, planes], to which the smoothed costs are added
    ):
        i = first + wp.tid()
        height = costs.shape[0]
        width = costs.shape[1]
        planes = costs.shape[2]
        row = int(i)
        column = int(0)
        if row_step != 0:
            row = 0
            column = int(i)
            if i >= width:  # of a diagonal that begins at a side
                row = int(i) - width + 1
                column = 0
                if column_step < 0:
                    column = width - 1
                if row_step < 0:
                    row = height - 1 - row
            elif row_step < 0:
                row = height - 1
        elif column_step < 0:
            column = width - 1
        now = int(0)
        least = float(0.0)
        shade = float(0.0)
        begun = int(0)
        while row >= 0 and row < height and column >= 0 and column < width:
            here = shades[row, column]
            smallest = float(1.0e30)
            if begun == 0:
                for k in range(planes):
                    value = costs[row, column, k]
                    lines[now, i, k] = value
                    total[row, column, k] = total[row, column, k] + value
                    smallest = wp.min(smallest, value)
            else:
                jump = least + wp.max(other_plane / (1.0 + wp.abs(here - shade) / edge), 1.5 * next_plane)
                before = float(1.0e30)
                at = lines[1 - now, i, 0]
                for k in range(planes):
                    after = float(1.0e30)
                    if k + 1 < planes:
                        after = lines[1 - now, i, k + 1]
                    way = wp.min(wp.min(at, wp.min(before, after) + next_plane), jump)
                    value = costs[row, column, k] + way - least
                    lines[now, i, k] = value
                    total[row, column, k] = total[row, column, k] + value
                    smallest = wp.min(smallest, value)
                    before = at
                    at = after
            least = smallest
            shade = here
            begun = 1
            now = 1 - now
            row += row_step
            column += column_step

    return smooth_along_lines
