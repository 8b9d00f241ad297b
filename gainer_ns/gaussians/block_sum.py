"""The weighted sum over a block of a lattice's nodes, in C++: Warp's own loops take twice the time on CPUs."""

BLOCK_NODES = 6
"""Nodes along a side of the block that a point reads: those within 3 steps, beyond which nothing weighs anything."""


WEIGHT_STEPS = 512
"""Offsets by a step for which weights are listed, between which they are interpolated linearly: to 3e-6."""
WEIGHT_MARGIN = 0.5
"""In steps, how far beyond a node and the next one they are listed."""
LISTED_WEIGHTS = 8
"""Numbers listed for an offset: the weights of a block's nodes, and 0, so that a processor takes all at once."""
PAIR_WIDTH = 4
"""Numbers of a node of which ``pair_sum`` tells: colours, and how much there is."""


def weights_source(name: str, offset: str) -> list[str]:
    """Return the C++ text of the weights of the nodes of a block along an axis, by an offset beyond the third."""
    last = int((1 + 2 * WEIGHT_MARGIN) * WEIGHT_STEPS) - 1
    return [
        f"const float {name}_place = {WEIGHT_STEPS}.0f * ({offset} + {WEIGHT_MARGIN}f);",
        f"const int {name}_entry = wp::clamp((int){name}_place, 0, {last});",
        f"const float* {name}_low = (const float*)(table.data + {name}_entry);",
        f"const float* {name}_high = {name}_low + {LISTED_WEIGHTS};",
        f"const float {name}_share = {name}_place - (float){name}_entry;",
        f"float {name}[{LISTED_WEIGHTS}];",
        f"for (int k = 0; k < {LISTED_WEIGHTS}; ++k)",
        f"{name}[k] = {name}_low[k] + {name}_share * ({name}_high[k] - {name}_low[k]);",
    ]


def block_sum_source(width: int) -> str:
    """Return the C++ text of ``block_sum``: four numbers at once where the compiler has vectors, as on CPUs."""
    quads, rest = divmod(width, 4)
    lines = [
        "const float* block = (const float*)(nodes.data + first);",
        *weights_source("across", "offset[0]"),
        *weights_source("down", "offset[1]"),
        f"wp::vec_t<{width}, float> total;",
        "#if defined(__clang__) && !defined(__CUDA_ARCH__)",
        "typedef float Quad __attribute__((vector_size(16), aligned(4)));",
        *(f"Quad quad_{q} = {{0.0f, 0.0f, 0.0f, 0.0f}};" for q in range(quads)),
        *(f"float rest_{k} = 0.0f;" for k in range(rest)),
        f"for (int r = 0; r < {BLOCK_NODES}; ++r, block += {width} * columns) {{",
        *(f"Quad row_quad_{q} = {{0.0f, 0.0f, 0.0f, 0.0f}};" for q in range(quads)),
        *(f"float row_rest_{k} = 0.0f;" for k in range(rest)),
        f"for (int k = 0; k < {BLOCK_NODES}; ++k) {{ const float* node = block + {width} * k;",
        *(f"row_quad_{q} += across[k] * *(const Quad*)(node + {4 * q});" for q in range(quads)),
        *(f"row_rest_{k} += across[k] * node[{4 * quads + k}];" for k in range(rest)),
        "}",
        *(f"quad_{q} += down[r] * row_quad_{q};" for q in range(quads)),
        *(f"rest_{k} += down[r] * row_rest_{k};" for k in range(rest)),
        "}",
        *(f"for (int i = 0; i < 4; ++i) total[{4 * q} + i] = quad_{q}[i];" for q in range(quads)),
        *(f"total[{4 * quads + k}] = rest_{k};" for k in range(rest)),
        "#else",
        f"for (int r = 0; r < {BLOCK_NODES}; ++r, block += {width} * columns)",
        f"for (int k = 0; k < {BLOCK_NODES}; ++k) for (int i = 0; i < {width}; ++i)",
        f"total[i] += down[r] * across[k] * block[{width} * k + i];",
        "#endif",
        "return total;",
    ]
    return "\n".join(lines)


def pair_sum_source() -> str:
    """Return the C++ text of ``pair_sum``: both sums of two points over one block, the second behind the first."""
    lines = [
        *weights_source("across", "offset[0] + away[0]"),
        *weights_source("down", "offset[1] + away[1]"),
        *weights_source("other_across", "offset[0] - away[0]"),
        *weights_source("other_down", "offset[1] - away[1]"),
        "const float* block = (const float*)(nodes.data + first);",
        f"wp::vec_t<{2 * PAIR_WIDTH}, float> total;",
        "#if defined(__clang__) && !defined(__CUDA_ARCH__)",
        "typedef float Quad __attribute__((vector_size(16), aligned(4)));",
        "typedef float Oct __attribute__((vector_size(32), aligned(4)));",
        f"Oct both[{BLOCK_NODES}], sum = {{0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f}};",
        f"for (int k = 0; k < {BLOCK_NODES}; ++k) {{ const float a = across[k], b = other_across[k];",
        "both[k] = (Oct){a, a, a, a, b, b, b, b}; }",
        f"for (int r = 0; r < {BLOCK_NODES}; ++r, block += {PAIR_WIDTH} * columns) {{",
        "Oct row = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};",
        f"for (int k = 0; k < {BLOCK_NODES}; ++k) {{ const Quad node = *(const Quad*)(block + {PAIR_WIDTH} * k);",
        "row += both[k] * __builtin_shufflevector(node, node, 0, 1, 2, 3, 0, 1, 2, 3); }",
        "const float a = down[r], b = other_down[r];",
        "sum += (Oct){a, a, a, a, b, b, b, b} * row; }",
        f"for (int i = 0; i < {2 * PAIR_WIDTH}; ++i) total[i] = sum[i];",
        "#else",
        f"for (int r = 0; r < {BLOCK_NODES}; ++r, block += {PAIR_WIDTH} * columns)",
        f"for (int k = 0; k < {BLOCK_NODES}; ++k) for (int i = 0; i < {PAIR_WIDTH}; ++i) {{",
        f"total[i] += down[r] * across[k] * block[{PAIR_WIDTH} * k + i];",
        f"total[{PAIR_WIDTH} + i] += other_down[r] * other_across[k] * block[{PAIR_WIDTH} * k + i]; }}",
        "#endif",
        "return total;",
    ]
    return "\n".join(lines)
