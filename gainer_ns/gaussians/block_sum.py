"""The weighted sum over a block of a lattice's nodes, in C++: Warp's own loops take twice the time on CPUs."""

BLOCK_NODES = 6
"""Nodes along a side of the block that a point reads: those within 3 steps, beyond which nothing weighs anything."""


def block_sum_source(width: int) -> str:
    """Return the C++ text of ``block_sum``: four numbers at once where the compiler has vectors, as on CPUs."""
    quads, rest = divmod(width, 4)
    lines = [
        "const float* block = (const float*)(nodes.data + first);",
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
