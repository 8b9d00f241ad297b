"""B-spline maps of the plane."""

import math

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from torch import Tensor

from gainer_ns.motion.control_grid import ControlGrid, lattice

ORIGIN, STEP = (-1.5, 2.0), (0.5, -0.25)


def bent(points: Tensor) -> Tensor:
    x, y = points.unbind(-1)
    return torch.stack([x + 0.3 * (1.3 * y).sin(), y - 0.2 * (0.9 * x + y).cos()], dim=-1)


def test_a_spline_goes_through_its_nodes() -> None:
    rest = lattice(19, 24, ORIGIN, STEP, "cpu")
    grid = ControlGrid.through(bent(rest), ORIGIN, STEP)
    inner = rest[1:-1, 1:-1].flatten(0, 1)
    torch.testing.assert_close(grid.at(inner), bent(inner), rtol=0, atol=2e-6)
    torch.testing.assert_close(grid.lattice, rest)


def test_lines_stay_lines_up_to_the_border() -> None:
    rest, matrix = lattice(6, 5, ORIGIN, STEP, "cpu"), torch.tensor([[0.3, -2.0], [1.5, 0.4]]).double()
    grid = ControlGrid.through(rest @ matrix.T + 3, ORIGIN, STEP)
    points = torch.tensor(ORIGIN).double() + torch.rand(40, 2).double() * torch.tensor([2.0, -1.25]).double()
    moved, jacobians = grid.with_jacobians(points)
    torch.testing.assert_close(moved, points @ matrix.T + 3, rtol=0, atol=2e-6)
    torch.testing.assert_close(jacobians, matrix.expand(40, 2, 2), rtol=0, atol=2e-5)


def test_it_is_the_spline_that_scipy_evaluates() -> None:
    grid = ControlGrid.through(bent(lattice(12, 12, (0.0, 0.0), (1.0, 1.0), "cpu")), (0.0, 0.0), (1.0, 1.0))
    points = 2 + 7 * torch.rand(50, 2).double()
    knots = np.arange(-2, 14)  # of the cubic splines whose middles are the nodes
    rows = BSpline.design_matrix(points[:, 1].numpy(), knots, 3).toarray()
    columns = BSpline.design_matrix(points[:, 0].numpy(), knots, 3).toarray()
    expected = np.einsum("mr,mc,rcd->md", rows, columns, grid.coefficients.double().numpy())
    np.testing.assert_allclose(grid.at(points).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("halvings", [1, 2])
def test_between_nodes_it_is_of_the_fourth_order(halvings: int) -> None:
    def error(step: float) -> float:
        count = round(4 / step) + 9
        start = (-2 - 4 * step, -2 - 4 * step)
        grid = ControlGrid.through(bent(lattice(count, count, start, (step, step), "cpu")), start, (step, step))
        points = -1.9 + 3.8 * torch.rand(400, 2, generator=torch.Generator().manual_seed(0)).double()
        return float((grid.at(points) - bent(points)).norm(dim=1).max())

    order = math.log(error(0.5) / error(0.5 / 2**halvings)) / math.log(2**halvings)
    assert order == pytest.approx(4, abs=0.5)


def test_middles_of_patches_are_where_the_spline_is() -> None:
    random = torch.Generator().manual_seed(3)
    nodes = torch.randn(7, 9, 2, generator=random, dtype=torch.float64)
    grid = ControlGrid.through(nodes, (0.3, -1.0), (0.2, -0.1))
    assert grid.middles.shape == grid.rest_middles.shape == (4, 6, 2)
    torch.testing.assert_close(grid.middles.flatten(0, 1), grid.at(grid.rest_middles.flatten(0, 1)), atol=1e-9, rtol=0)
