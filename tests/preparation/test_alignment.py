"""A network's depth is brought to a scene's scale."""

import numpy as np
import pytest

from gainer_ns.preparation.alignment import aligned_inverse


@pytest.mark.parametrize("has_offset", [True, False])
def test_scale_and_offset_are_found_despite_wrong_targets(has_offset: bool) -> None:
    random = np.random.default_rng(0)
    true = random.uniform(0.1, 1.0, (20, 30))
    shift = 0.3 if has_offset else 0.0
    inverse = np.where(random.random(true.shape) < 0.1, 0, true * 4 + shift)
    target = np.where(random.random(true.shape) < 0.3, 2.0, true)
    found = aligned_inverse(inverse, target, np.ones_like(true, bool), has_offset=has_offset)
    assert (found[inverse == 0] == 0).all()
    np.testing.assert_allclose(found[inverse > 0], true[inverse > 0], rtol=1e-2)


def test_what_has_nothing_in_common_is_refused() -> None:
    true = np.linspace(0.1, 1, 600).reshape(20, 30)
    with pytest.raises(ValueError, match="farther"):
        aligned_inverse(1.2 - true, true, np.ones_like(true, bool), has_offset=True)
    with pytest.raises(ValueError, match="few"):
        aligned_inverse(true, true, np.zeros_like(true, bool), has_offset=True)
