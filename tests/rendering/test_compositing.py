"""Pictures in front of one another, beside the textbook formula."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.rendering.compositing import Raster, over


def random_raster(seed: int, height: int = 8, width: int = 12) -> Raster:
    """Any colours, with some pixels opaque and some absent."""
    generator = torch.Generator().manual_seed(seed)
    opacity = (torch.rand(height, width, generator=generator) * 2 - 0.5).clamp(0, 1)
    return Raster(torch.rand(height, width, 3, generator=generator) * (opacity > 0)[..., None], opacity)


def multiplied(raster: Raster) -> Tensor:
    """Colours multiplied by opacity, and the opacity."""
    return torch.cat([raster.colours * raster.opacity[..., None], raster.opacity[..., None]], dim=-1)


class TestOver:
    @given(st.integers(0, 10**6))
    def test_equals_the_formula_for_multiplied_colours(self, seed: int) -> None:
        front, back = random_raster(seed), random_raster(seed + 1)
        expected = multiplied(front) + multiplied(back) * (1 - front.opacity[..., None])
        torch.testing.assert_close(multiplied(over(front, back)), expected, atol=1e-6, rtol=1e-6)

    @given(st.integers(0, 10**6))
    def test_is_exact_where_either_alone_is_seen(self, seed: int) -> None:
        front, back = random_raster(seed), random_raster(seed + 1)
        seen = over(front, back)
        for chosen, where in ((front, front.opacity == 1), (front, back.opacity == 0), (back, front.opacity == 0)):
            assert where.any()
            assert torch.equal(seen.colours[where], chosen.colours[where])
            assert torch.equal(seen.opacity[where], chosen.opacity[where])
        assert torch.equal(seen.opacity[back.opacity == 1], torch.ones(int((back.opacity == 1).sum())))

    def test_what_is_not_there_does_not_matter(self) -> None:
        front, back = random_raster(1), random_raster(2)
        strange = Raster(torch.where(front.opacity[..., None] > 0, front.colours, torch.nan), front.opacity)
        behind = Raster(torch.where(back.opacity[..., None] > 0, back.colours, torch.inf), back.opacity)
        seen, expected = over(strange, behind), over(front, back)
        torch.testing.assert_close(seen.colours, expected.colours)
        assert torch.equal(seen.colours[seen.opacity == 0], torch.zeros(int((seen.opacity == 0).sum()), 3))

    def test_a_stack_may_be_joined_in_any_grouping(self) -> None:
        a, b, c = (random_raster(seed) for seed in range(3))
        left, right = over(over(a, b), c), over(a, over(b, c))
        torch.testing.assert_close(multiplied(left), multiplied(right), atol=1e-6, rtol=1e-6)
