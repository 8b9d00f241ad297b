"""What of a photo is lifted, and what is made up behind it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.frames import PinholeCamera
from gainer_ns.lifting.rgbd_layers import split_into_layers
from gainer_ns.preparation.prepared import Prepared


def prepared(depth: Tensor, mask: Tensor | None = None) -> Prepared:
    numbers = None if mask is None else mask.float().numpy()
    return Prepared(
        depth.float().numpy(), numbers, 60.0, "metres", "a test", None if mask is None else "a test", "a test"
    )


@pytest.fixture
def floor(camera: PinholeCamera, plane_depth: Any) -> Tensor:
    """A plane that runs away from the camera."""
    return plane_depth(camera, (0.2, 0.7, 1.0), 2.0).float()


@pytest.fixture
def mask() -> Tensor:
    result = torch.zeros(36, 48)
    result[14:22, 18:30] = 1
    return result


@pytest.fixture
def photo(camera: PinholeCamera, colours_of: Any) -> Tensor:
    return colours_of(camera)


def test_without_a_mask_all_is_lifted(photo: Tensor, floor: Tensor) -> None:
    gap = floor.clone()
    gap[3, 4] = 0
    for background in ("none", "inpaint"):
        (layer,) = split_into_layers(photo, prepared(gap), background=background)
        torch.testing.assert_close(layer.depth, floor, rtol=1e-4, atol=0)  # a gap is filled, a plane stays one
        assert torch.equal(layer.colours, photo) and layer.opacity is None and layer.seen.all()
    gap[:10] = 0  # a sky
    (layer,) = split_into_layers(photo, prepared(gap))
    assert layer.seen.all() and torch.equal(layer.depth[gap > 0], gap[gap > 0])


def test_a_mask_lifts_the_object_alone(photo: Tensor, floor: Tensor, mask: Tensor) -> None:
    gap = floor.clone()
    gap[15, 20] = 0
    (layer,) = split_into_layers(photo, prepared(gap, mask))
    inside = mask > 0
    torch.testing.assert_close(layer.depth, torch.where(inside, floor, 0.0), rtol=1e-4, atol=0)
    assert torch.equal(layer.seen, inside)
    assert layer.opacity is not None and torch.equal(layer.opacity, mask)


def test_a_soft_edge_takes_the_depth_of_what_is_solid(photo: Tensor, mask: Tensor) -> None:
    depth = torch.where(mask > 0, 1.0, 5.0)
    soft = mask.clone()
    soft[14:22, 30], soft[14:22, 17] = 0.3, 0.49
    (layer,) = split_into_layers(photo, prepared(depth, soft))
    assert (layer.depth[soft > 0] == 1.0).all() and (layer.depth[soft == 0] == 0).all()
    depth[14:22, 30] = 0  # where it is unknown as well
    (layer,) = split_into_layers(photo, prepared(depth, soft))
    assert (layer.depth[soft > 0] == 1.0).all()


def test_the_background_goes_on_behind_the_object(photo: Tensor, floor: Tensor, mask: Tensor) -> None:
    depth = torch.where(mask > 0, 0.5, floor)
    depth[0, 0] = 0
    front, behind = split_into_layers(photo, prepared(depth, mask), background="inpaint")
    assert torch.equal(front.depth, torch.where(mask > 0, 0.5, 0.0))
    floor[0, 0] = behind.depth[0, 0]  # the gap in the corner is as deep as what is beside it
    torch.testing.assert_close(behind.depth, floor, rtol=1e-4, atol=0)  # a plane stays one
    assert behind.opacity is None and torch.equal(~behind.seen, mask > 0)
    torch.testing.assert_close(behind.colours[behind.seen], photo[behind.seen], rtol=0, atol=1e-6)


def test_nothing_of_the_object_is_left_in_the_background(photo: Tensor, floor: Tensor, mask: Tensor) -> None:
    photo[mask > 0] = torch.tensor([1.0, 0.0, 1.0])
    even = torch.where((mask > 0)[..., None], photo, torch.tensor([0.2, 0.6, 0.3]))
    _, behind = split_into_layers(even, prepared(floor, mask), background="inpaint")
    torch.testing.assert_close(behind.colours, torch.tensor([0.2, 0.6, 0.3]).expand(36, 48, 3), rtol=0, atol=0.02)


def test_an_object_at_the_frame(photo: Tensor) -> None:
    mask, depth = torch.zeros(36, 48), torch.full((36, 48), 3.0)
    mask[20:, :] = 1
    depth[20:] = 1
    _, behind = split_into_layers(photo, prepared(depth, mask), background="inpaint")
    torch.testing.assert_close(behind.depth, torch.full((36, 48), 3.0), rtol=1e-4, atol=0)


def test_a_hole_that_touches_nothing_known(photo: Tensor, mask: Tensor) -> None:
    depth = torch.where(mask > 0, 1.0, 0.0)
    depth[:, :3] = 4.0
    _, behind = split_into_layers(photo, prepared(depth, mask), background="inpaint")
    assert behind.depth.isfinite().all()
    torch.testing.assert_close(behind.depth[mask > 0], torch.full_like(behind.depth[mask > 0], 4.0), rtol=1e-3, atol=0)


@pytest.mark.parametrize("what", ["everything", "no depth around it"])
def test_without_a_background_there_is_one_sheet(photo: Tensor, floor: Tensor, mask: Tensor, what: str) -> None:
    mask = torch.ones(36, 48) if what == "everything" else mask
    depth = floor if what == "everything" else floor * mask
    (layer,) = split_into_layers(photo, prepared(depth, mask), background="inpaint")
    assert torch.equal(layer.depth, depth)


def test_what_is_given_is_left_as_it_was(photo: Tensor, floor: Tensor, mask: Tensor) -> None:
    given, colours = prepared(floor, mask), photo.clone()
    before = given.depth.copy()
    split_into_layers(photo, given, background="inpaint")
    assert np.array_equal(given.depth, before) and torch.equal(photo, colours)


class _AllRed(torch.nn.Module):
    """Stands for LaMa: the same call, and red whatever it is shown."""

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return torch.zeros_like(image) + torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)


def test_a_network_makes_up_what_the_object_hides(photo: Tensor, floor: Tensor, mask: Tensor, tmp_path: Path) -> None:
    torch.jit.trace(_AllRed(), (torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8))).save(str(tmp_path / "lama.pt"))
    _, behind = split_into_layers(photo, prepared(floor, mask), background="inpaint", inpaint=str(tmp_path / "lama.pt"))
    made_up = behind.colours[mask > 0]
    torch.testing.assert_close(made_up, torch.tensor([1.0, 0.0, 0.0]).expand_as(made_up), rtol=0, atol=0.01)
    with pytest.raises(GainerError, match=r"gone\.pt: is no file"):
        split_into_layers(photo, prepared(floor, mask), background="inpaint", inpaint="gone.pt")
