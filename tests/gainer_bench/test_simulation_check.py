"""What the check of simulations counts."""

import numpy as np

from gainer_bench.simulation_check import Findings, _parts, _with_liquid


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


def test_pores_gaps_and_climbing_of_liquids_are_counted() -> None:
    alpha = np.zeros((60, 100), np.float32)
    alpha[40:, :] = alpha[20:, :4] = 1.0
    found = _with_liquid(Findings(), alpha, 2.0)
    assert found.is_sound and (found.pores, found.gap, found.climb) == (0, 0.0, 20.0)
    alpha[50:53, 30:33] = alpha[42:55, 60:75] = 0.0
    holed = _with_liquid(found, alpha, 2.0)
    assert (holed.pores, holed.pores_at_rest) == (1, 0), "a large hole is none"
    lifted = alpha * (np.arange(60) < 58)[:, None]
    above = _with_liquid(Findings(), lifted, 2.0)
    assert above.gap == 2.0 and not above.is_sound
