"""Whatever moves, selects or layers Gaussians takes all that they hold along."""

from dataclasses import fields, replace

import pytest
import torch

from gainer_ns.fields.decoder import Decoder
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.small_matrices import product
from gainer_ns.rendering.layer import Layer

TENSORS = [field.name for field in fields(GaussianSet) if field.name != "radius"]
SHEAR = torch.tensor([[[1.25, 0.5], [-0.25, 0.75]]])


def full(count: int = 7) -> GaussianSet:
    """Gaussians that have everything, each its own."""
    shapes = torch.randn(count, 2, 2)
    return GaussianSet(
        torch.rand(count, 2) - 0.5,
        product(shapes, shapes.mT) + 0.1 * torch.eye(2),
        torch.randn(count, 8),
        0.7,
        torch.rand(count),
        torch.eye(2) + 0.1 * torch.randn(count, 2, 2),
        torch.randn(count, 3, 2),
    )


def test_the_full_set_has_everything() -> None:
    assert all(getattr(full(), name) is not None for name in TENSORS)


@pytest.mark.parametrize("chosen", [[4, 0, 2], [True, False, True, True, False, False, True]], ids=["indices", "mask"])
@pytest.mark.parametrize("name", TENSORS)
def test_some_of_them(name: str, chosen: list[int]) -> None:
    gaussians, which = full(), torch.tensor(chosen)
    assert torch.equal(getattr(gaussians[which], name), getattr(gaussians, name)[which])


@pytest.mark.parametrize("name", TENSORS)
def test_on_another_device(name: str) -> None:
    assert getattr(full().to("meta"), name).device.type == "meta"


@pytest.mark.parametrize("name", [name for name in TENSORS if name != "means"])
def test_what_is_told_of_another_number_is_refused(name: str) -> None:
    gaussians = full()
    with pytest.raises(ValueError, match=name.replace("_jacobians", " Jacobians").replace("_", " ")):
        replace(gaussians, **{name: getattr(gaussians, name)[:-1]})


def test_a_deformation_turns_all_that_points_somewhere() -> None:
    """A step that was deformed too leads to the same feature, and to the same place before."""
    gaussians, steps = full(), 0.1 * torch.randn(7, 2)
    moved, turned = gaussians.transformed(gaussians.means @ SHEAR[0].T, SHEAR), steps @ SHEAR[0].T
    for name in ("slopes", "inverse_jacobians"):
        before, after = (
            torch.einsum("n...i,ni->n...", getattr(one, name), way)
            for one, way in ((gaussians, steps), (moved, turned))
        )
        torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5, msg=name)


def test_coarse_layers_leave_slopes_out() -> None:
    """They hold for their own surroundings only."""
    layer = Layer(replace(full(), inverse_jacobians=None), Decoder(8, hidden_layers=0).eval(), 4)
    coarse = layer.coarse(0.5).gaussians
    assert len(coarse) == 4 and coarse.slopes is None and coarse.opacities is not None
