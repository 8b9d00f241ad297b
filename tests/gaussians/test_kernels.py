"""How kernels are launched."""

import os
import subprocess
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


def test_without_a_cache_for_kernels_a_run_makes_its_own(tmp_path: Path) -> None:
    """Where no home can be written, as in containers; what is said names the cache and the remedy."""
    (tmp_path / "file").touch()
    environment = {
        name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", "WARP_CACHE_PATH")
    }
    environment |= {"TMPDIR": str(tmp_path), "HOME": str(tmp_path / "file" / "below")}
    code = (
        "import torch\n"
        "from gainer_ns.gaussians.neighbours import NeighbourIndex\n"
        "assert NeighbourIndex(torch.rand(9, 2), 0.2).query(torch.rand(3, 2), 2).indices.shape == (3, 2)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stderr.startswith(str(tmp_path / "file" / "below")) and run.stderr.count("\n") == 1
    assert "WARP_CACHE_PATH" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "its own is taken away in the end"
