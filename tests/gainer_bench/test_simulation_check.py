"""What the check of simulations counts."""

import numpy as np

from gainer_bench.simulation_check import _parts


def test_a_thread_that_shows_faintly_joins_and_a_gap_parts() -> None:
    alpha = np.zeros((20, 40), np.float32)
    alpha[4:16, 2:12] = alpha[4:16, 28:38] = 1.0
    assert _parts(alpha) == 2
    alpha[10, 12:28] = 0.1
    assert _parts(alpha) == 1
    alpha[10, 20:22] = 0.0
    assert _parts(alpha) == 2
    alpha[0, 0] = 1.0
    assert _parts(alpha) == 2, "a speck is none"
