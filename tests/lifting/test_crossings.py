"""Where rays meet discs, beside a loop over all rays and all discs."""

import math

import pytest
import torch
from torch import Tensor

from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.lifting.crossings import _MAX_CANDIDATES, _MAX_GAP_THICKNESSES, _SUPPORT_RADIUS_PX, DiscTree


def discs(means: Tensor, jacobians: Tensor) -> GaussianSet:
    count = len(means)
    return GaussianSet(
        means, torch.eye(3).expand(count, 3, 3), torch.zeros(count, 1), 1.0, inverse_jacobians=jacobians.inverse()
    )


FACING = torch.diag(torch.tensor([0.1, 0.1, 0.025]))
"""The Jacobian of a disc that faces along z, with pixels of a tenth, and a fortieth thick."""


def wall(z: float, side: int = 5) -> GaussianSet:
    """Discs on a grid, [side * side], that face along z around the axis."""
    steps = (torch.arange(side) - (side - 1) / 2) * 0.1
    x, y = torch.meshgrid(steps, steps, indexing="xy")
    means = torch.stack([x.flatten(), y.flatten(), torch.full((side * side,), z)], dim=1)
    return discs(means, FACING.expand(len(means), 3, 3))


def together(*sets: GaussianSet) -> GaussianSet:
    inverses = [one.inverse_jacobians for one in sets]
    return discs(
        torch.cat([one.means for one in sets]), torch.cat([one for one in inverses if one is not None]).inverse()
    )


def cast(
    gaussians: GaussianSet, origins: Tensor, directions: Tensor, most: int = 4, near: float = 0.0, far: float = 1e10
) -> Tensor:
    count = len(origins)
    nears, fars = torch.full((count,), near), torch.full((count,), far)
    return DiscTree(gaussians).crossings(origins, directions, nears, fars, most)


def along_z(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> tuple[Tensor, Tensor]:
    """A ray from a point along -z."""
    return torch.tensor([[x, y, z]]), torch.tensor([[0.0, 0.0, -1.0]])


def by_hand(
    gaussians: GaussianSet, origin: Tensor, direction: Tensor, most: int, near: float, far: float
) -> tuple[list[float], bool]:
    """The crossings of one ray, and whether rounding could change them."""
    assert gaussians.inverse_jacobians is not None
    inverses = gaussians.inverse_jacobians.double()
    start, step = inverses @ (origin - gaussians.means).double()[..., None], inverses @ direction.double()[:, None]
    start, step = start[..., 0], step[..., 0]
    t, fineness = -start[:, 2] / step[:, 2], inverses[:, 2].norm(dim=1)
    off = (start + t[:, None] * step)[:, :2].abs().amax(dim=1)
    unsure = bool(
        (((off - _SUPPORT_RADIUS_PX).abs() < 1e-3) | ((t - near).abs() < 1e-3) | ((t - far).abs() < 1e-3)).any()
    )
    met = [i for i in range(len(t)) if off[i] <= _SUPPORT_RADIUS_PX and near < t[i] < far]
    met.sort(key=lambda i: float(t[i]))
    groups: list[list[int]] = []
    for before, i in zip([None, *met], met[:_MAX_CANDIDATES], strict=False):
        if before is None:
            groups.append([i])
            continue
        gap = float((t[i] - t[before]) * torch.maximum(fineness[i], fineness[before]))
        unsure |= abs(gap - _MAX_GAP_THICKNESSES) < 1e-2 * _MAX_GAP_THICKNESSES
        if gap <= _MAX_GAP_THICKNESSES:
            groups[-1].append(i)
        else:
            groups.append([i])
    found = []
    for group in groups[:most]:
        ranked = sorted(group, key=lambda i: float(off[i]))
        unsure |= len(ranked) > 1 and float(off[ranked[1]] - off[ranked[0]]) < 1e-4
        found.append(float(t[ranked[0]]))
    return found, unsure


@pytest.mark.parametrize("most", [1, 2, 4, 7])
@pytest.mark.parametrize(("near", "far"), [(0.0, 1e10), (0.8, 1.7)])
def test_as_by_hand(most: int, near: float, far: float) -> None:
    generator = torch.Generator().manual_seed(most)
    means = 2 * torch.rand(150, 3, generator=generator) - 1
    axes, _ = torch.linalg.qr(torch.randn(150, 3, 3, generator=generator))
    sheared = axes @ torch.diag(torch.tensor([0.3, 0.2, 0.01])) + 0.02 * torch.randn(150, 3, 3, generator=generator)
    gaussians = discs(means, sheared)
    origins = 1.2 * torch.randn(200, 3, generator=generator)
    directions = torch.nn.functional.normalize(0.3 * torch.randn(200, 3, generator=generator) - origins, dim=1)
    found = cast(gaussians, origins, directions, most, near, far)
    checked, most_found = 0, 0
    for origin, direction, row in zip(origins, directions, found, strict=True):
        expected, unsure = by_hand(gaussians, origin, direction, most, near, far)
        if unsure:
            continue
        padded = torch.tensor(expected + [math.inf] * (most - len(expected)))
        torch.testing.assert_close(row, padded, rtol=1e-4, atol=1e-4)
        checked, most_found = checked + 1, max(most_found, len(expected))
    assert checked > 100 and most_found >= min(most, 3)


def test_ascending_and_filled_with_infinity() -> None:
    found = cast(together(wall(-3), wall(-1), wall(-2)), *along_z(0.03, 0.01))
    torch.testing.assert_close(found, torch.tensor([[1.0, 2.0, 3.0, math.inf]]))


@pytest.mark.parametrize("most", [1, 2, 3])
def test_only_the_nearest_are_kept(most: int) -> None:
    """What lies behind them changes nothing, however near to a disc's middle it is met."""
    # Each wall is met far from its discs' middles, and the last one's second disc right at its own.
    means = torch.tensor([[0.04, 0.0, -4.0], [0.0, 0.0, -4.01]])
    behind = discs(means, FACING.expand(2, 3, 3))
    walls = (discs(wall(z, side=1).means + torch.tensor([0.06, 0.0, 0.0]), FACING[None]) for z in (-1, -2, -3))
    found = cast(together(*walls, behind), *along_z(), most=most)
    torch.testing.assert_close(found, torch.tensor([[1.0, 2.0, 3.0]])[:, :most])


def test_overlapping_discs_of_a_surface_are_one_place() -> None:
    generator = torch.Generator().manual_seed(0)
    bumpy = wall(-1, side=9)
    means = bumpy.means + 0.02 * torch.rand(81, 3, generator=generator) * torch.tensor([0.0, 0.0, 1.0])
    origins = torch.cat([0.6 * torch.rand(50, 2, generator=generator) - 0.3, torch.zeros(50, 1)], dim=1)
    found = cast(discs(means, FACING.expand(81, 3, 3)), origins, along_z()[1].expand(50, 3))
    assert found[:, 0].isfinite().all() and found[:, 1:].isinf().all()
    assert (found[:, 0] > 0.97).all() and (found[:, 0] <= 1).all()


def test_of_overlapping_discs_the_one_met_at_its_middle_counts() -> None:
    means = torch.tensor([[0.0, 0.0, -1.0], [0.07, 0.0, -0.99]])
    two = discs(means, FACING.expand(2, 3, 3))
    found = cast(two, torch.tensor([[0.01, 0.0, 0.0], [0.06, 0.0, 0.0]]), along_z()[1].expand(2, 3), most=1)
    torch.testing.assert_close(found, torch.tensor([[1.0], [0.99]]))


def test_surfaces_are_told_apart_by_their_thickness() -> None:
    gap = _MAX_GAP_THICKNESSES * 0.025
    near, apart = wall(-1 - 0.8 * gap), wall(-1 - 1.3 * gap)
    assert cast(together(wall(-1), near), *along_z(0.01, 0.02)).isfinite().sum() == 1
    assert cast(together(wall(-1), apart), *along_z(0.01, 0.02)).isfinite().sum() == 2


def test_nears_and_fars_of_each_ray() -> None:
    origins, directions = (values.expand(4, 3) for values in along_z(0.01, 0.02))
    nears, fars = torch.tensor([0.0, 1.5, 0.0, 2.5]), torch.tensor([9.0, 9.0, 1.5, 9.0])
    found = DiscTree(together(wall(-1), wall(-2))).crossings(origins, directions, nears, fars, 2)
    torch.testing.assert_close(
        found, torch.tensor([[1.0, 2.0], [2.0, math.inf], [1.0, math.inf], [math.inf, math.inf]])
    )


def test_behind_the_camera_there_is_nothing() -> None:
    both = together(wall(1), wall(-1))
    torch.testing.assert_close(cast(both, *along_z(0.01, 0.02), most=2), torch.tensor([[1.0, math.inf]]))


def test_both_sides_are_met() -> None:
    origin, direction = along_z(0.01, 0.02, -2.0)
    torch.testing.assert_close(cast(wall(-1), origin, -direction, most=1), torch.tensor([[1.0]]))


def test_rays_along_a_surface_miss_it() -> None:
    """Within its plane, and beside it."""
    direction = torch.tensor([[1.0, 0.0, 0.0]]).expand(3, 3)
    origins = torch.tensor([[-2.0, 0.0, -1.0], [-2.0, 0.03, -1.0001], [-2.0, 0.0, -0.9]])
    assert cast(wall(-1), origins, direction).isinf().all()


def test_an_oblique_ray() -> None:
    direction = torch.nn.functional.normalize(torch.tensor([[1.0, 0.5, -1.0]]), dim=1)
    found = cast(wall(-1, side=40), torch.zeros(1, 3), direction, most=2)
    torch.testing.assert_close(found, torch.tensor([[1.5, math.inf]]))


def test_between_and_beside_discs() -> None:
    lonely = wall(-1, side=1)
    reach = _SUPPORT_RADIUS_PX * 0.1
    origins = torch.tensor([[0.99 * reach, -0.99 * reach, 0.0], [1.01 * reach, 0.0, 0.0], [0.0, -1.01 * reach, 0.0]])
    found = cast(lonely, origins, along_z()[1].expand(3, 3), most=1)
    torch.testing.assert_close(found, torch.tensor([[1.0], [math.inf], [math.inf]]))


def test_one_inverse_jacobian_for_all() -> None:
    gaussians = wall(-1)
    assert gaussians.inverse_jacobians is not None
    shared = GaussianSet(
        gaussians.means, torch.eye(3)[None], gaussians.features, 1.0, inverse_jacobians=gaussians.inverse_jacobians[:1]
    )
    torch.testing.assert_close(cast(shared, *along_z(0.01, 0.02), most=1), torch.tensor([[1.0]]))


def test_no_discs_and_no_rays() -> None:
    assert cast(wall(-1, side=0), *along_z()).isinf().all()
    assert cast(wall(-1), torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0, 4)
