"""The closed forms for matrices of a plane, beside torch's general routines."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gainer_ns.gaussians.small_matrices import determinant, inverse, product, singular_range

entries = st.floats(-100, 100, allow_nan=False, width=32)


@st.composite
def matrices(draw: st.DrawFn, *, sides: tuple[int, ...] = (2, 3)) -> Tensor:
    """A few float64 matrices [n, d, d], flat ones and zeros among them."""
    side, count = draw(st.sampled_from(sides)), draw(st.integers(1, 4))
    values = draw(st.lists(entries, min_size=count * side * side, max_size=count * side * side))
    return torch.tensor(values, dtype=torch.float64).view(count, side, side)


@given(matrices())
def test_determinant(some: Tensor) -> None:
    torch.testing.assert_close(determinant(some), torch.linalg.det(some), rtol=1e-9, atol=1e-9 * size(some) ** 3)


@given(matrices())
def test_inverse(some: Tensor) -> None:
    """Of matrices that have one."""
    some = some[torch.linalg.cond(some) < 1e4]
    expected = torch.linalg.inv(some)
    torch.testing.assert_close(inverse(some), expected, rtol=1e-6, atol=1e-8 * size(expected))
    assert inverse(some).shape == some.shape


@given(matrices())
def test_singular_range(some: Tensor) -> None:
    values = torch.linalg.svdvals(some)
    smallest, largest = singular_range(some)
    torch.testing.assert_close(largest, values[:, 0], rtol=1e-6, atol=1e-12 * size(some))
    torch.testing.assert_close(smallest, values[:, -1], rtol=1e-6, atol=1e-6 * size(some))
    assert bool((smallest >= 0).all() and (largest >= smallest * (1 - 1e-6)).all())


@given(matrices(sides=(2,)))
def test_singular_range_in_single_precision(some: Tensor) -> None:
    values = torch.linalg.svdvals(some)
    smallest, largest = singular_range(some.float())
    torch.testing.assert_close(largest.double(), values[:, 0], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(smallest.double(), values[:, 1], rtol=1e-3, atol=1e-3 * size(some))


@pytest.mark.parametrize("side", [2, 3])
@pytest.mark.parametrize(("left", "right"), [(5, 5), (1, 5), (5, 1), (1, 1)])
def test_product(side: int, left: int, right: int) -> None:
    one, other = torch.randn(left, side, side), torch.randn(right, side, side)
    torch.testing.assert_close(product(one, other), one @ other)


@pytest.mark.parametrize("side", [2, 3])
def test_none_at_all(side: int) -> None:
    none = torch.empty(0, side, side)
    assert determinant(none).shape == (0,) and inverse(none).shape == product(none, none).shape == none.shape
    assert [values.shape for values in singular_range(none)] == [(0,), (0,)]


def test_turns_and_mirrors() -> None:
    """Their singular values are 1, though their determinants have both signs."""
    angle = torch.linspace(0, 6.28, 50)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=-1).view(-1, 2, 2)
    for some in (turn, turn @ torch.diag(torch.tensor([1.0, -1.0]))):
        for values in singular_range(some):
            torch.testing.assert_close(values, torch.ones(50), rtol=1e-3, atol=0)
        torch.testing.assert_close(inverse(some), some.mT)


def size(some: Tensor) -> float:
    """The largest entry, at least 1."""
    return max(1.0, float(some.abs().max())) if some.numel() else 1.0
