"""What is laid over the picture."""

import torch

from gainer_ns.viewer.overlays import thinned


def test_few_points_stay_and_many_are_thinned_evenly() -> None:
    few = torch.rand(50, 2) * 100
    assert thinned(few, 50).tolist() == list(range(50))
    y, x = torch.meshgrid(torch.arange(90) + 0.5, torch.arange(120) + 0.5, indexing="ij")
    many = torch.stack([x, y], dim=-1).view(-1, 2)
    kept = many[thinned(many, 500)]
    assert 300 < len(kept) <= 500
    apart = torch.cdist(kept, kept).fill_diagonal_(torch.inf).amin(dim=1)
    assert float(apart.min()) == float(apart.max()), "as even as they were"
    assert len(thinned(many, 10**6, spacing=8.5)) == 14 * 10, "a square of 9 pixels each"


def test_points_close_together_leave_others_be() -> None:
    corner, rest = torch.rand(5000, 2), torch.rand(300, 2) * 100
    assert len(thinned(torch.cat([corner, rest]), 1000)) > 250
