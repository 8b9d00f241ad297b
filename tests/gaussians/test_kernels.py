"""How kernels are launched."""

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from gainer_ns.gaussians.neighbours import NeighbourIndex


def test_who_draws_may_be_interrupted_while_a_kernel_is_compiled() -> None:
    """As nerfstudio's viewer does it; Warp would take such a kernel for one that cannot be built, and never run it."""
    index, points, unused = NeighbourIndex(torch.rand(300, 2), 0.2), torch.rand(50, 2), 29  # neighbours
    interrupted: list[str] = []  # where

    def interrupt(frame: FrameType, event: str, argument: Any) -> Any:
        place = Path(frame.f_code.co_filename).parent.name, frame.f_code.co_name
        if place in (("_src", "_compile"), ("futures", "result")):  # Warp's build, and while it is waited for
            interrupted.append(place[1])
            raise InterruptedError
        return interrupt

    sys.settrace(interrupt)
    try:
        with pytest.raises(InterruptedError):
            index.query(points, unused)
    finally:
        sys.settrace(None)
    assert interrupted == ["result"], "the build itself is out of reach"
    assert index.query(points, unused).valid.any()


def test_a_struct_keeps_what_it_is_made_of() -> None:
    index = NeighbourIndex(torch.rand(300, 2), 0.2)
    points = torch.rand(50, 2)
    expected = index.query(points, 4).indices
    for name in ("_points", "_order", "_cell_start", "_empty_rings"):
        delattr(index, name)
    torch.rand(100_000)
    assert torch.equal(index.query(points, 4).indices, expected)
