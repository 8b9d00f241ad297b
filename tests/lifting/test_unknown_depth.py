"""Gaps of a depth map, filled from the farther side."""

import torch

from gainer_ns.lifting.unknown_depth import with_unknown_depth


def test_a_gap_beside_an_edge_is_of_what_is_behind() -> None:
    depth = torch.full((30, 40), 3.0)
    depth[:, :20] = 1.0
    depth[5:25, 18:23] = 0.0
    filled = with_unknown_depth(depth)
    assert ((filled[5:25, 18:23] - 3).abs() < 0.05).all()
    assert torch.equal(filled[depth > 0], depth[depth > 0]), "what is known stays"


def test_a_gap_of_a_slanted_plane_is_of_that_plane() -> None:
    plane = 1 / (0.3 + 0.01 * torch.arange(40.0).expand(30, 40))
    depth = plane.clone()
    depth[12:18, 14:20] = 0.0
    torch.testing.assert_close(with_unknown_depth(depth), plane, rtol=0.06, atol=0)


def test_a_large_gap_is_of_what_is_farthest_around_it() -> None:
    """A sky of which nothing is known lies no nearer than the houses, though a tree stands before it."""
    depth = torch.full((30, 40), 3.0)
    depth[10:, 15:20] = 1.0
    depth[:20] = 0.0
    filled = with_unknown_depth(depth)
    assert ((filled[:20] - 3).abs() < 0.05).all()


def test_where_nothing_is_known_nothing_is_filled() -> None:
    assert torch.equal(with_unknown_depth(torch.zeros(5, 5)), torch.zeros(5, 5))


def test_a_part_is_filled_from_itself() -> None:
    depth = torch.full((30, 40), 3.0)
    depth[10:20, 10:20] = 1.0
    part = depth == 1
    depth[14:16, 14:20] = 0.0
    filled = with_unknown_depth(depth, part)
    assert (filled[part] == 1).all() and torch.equal(filled[~part], depth[~part])


def test_what_lies_across_another_part_tells_nothing() -> None:
    """Beside an object a gap is as deep as what is beside it, and not as what lies on the object's other side."""
    depth = torch.full((20, 40), 2.0)
    depth[:, 25:] = 9.0
    part = torch.ones(20, 40, dtype=torch.bool)
    part[:, 15:25] = False
    depth[:, 12:15] = 0.0
    filled = with_unknown_depth(depth, part)
    assert ((filled[:, 12:15] - 2).abs() < 1e-3).all()


def test_nothing_is_told_across_the_frame() -> None:
    """What is nearer tells a gap nothing, though another gap at the opposite border is as near."""
    depth = torch.full((30, 40), 3.0)
    depth[:, 36:] = 1.0
    depth[10:14, 33:36] = depth[10:14, :2] = 0.0
    filled = with_unknown_depth(depth)
    assert ((filled[10:14, 33:36] - 3).abs() < 0.05).all() and ((filled[10:14, :2] - 3).abs() < 0.05).all()


def test_a_gap_that_touches_nothing_known_stays() -> None:
    depth = torch.ones(20, 20)
    part = torch.zeros(20, 20, dtype=torch.bool)
    part[2:4, 2:4], part[15:17, 15:17] = True, True
    depth[2:4, 2:4] = 0.0
    assert torch.equal(with_unknown_depth(depth, part), depth)
