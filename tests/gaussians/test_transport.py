"""Whatever moves, selects, joins, stores or layers Gaussians takes all that they hold along."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from gainer_ns.editing.borders import concatenated, unframed
from gainer_ns.editing.limits import Limit, limited
from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
from gainer_ns.gaussians.placement import lattice_means
from gainer_ns.gaussians.small_matrices import product
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import Bits, load_picture, save_picture

PLANE = ImagePlane(16, 8)
TENSORS = [field.name for field in fields(GaussianSet) if field.name != "radius"]
SHEAR = torch.tensor([[[1.25, 0.5], [-0.25, 0.75]]])


def with_border(layer: Layer, plane: ImagePlane) -> Layer:
    """The same layer, ending where its picture's frame ends by its opacities instead of by the frame."""
    layer, border = unframed(layer, plane)
    return layer if border is None else layer.with_gaussians(limited(layer.gaussians, border.limit))


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
        torch.randn(count, 2),
    )


def edge(points: Tensor) -> Tensor:
    """An opacity that rises across the plane."""
    return 0.5 + points @ torch.tensor([0.75, 0.5])


def rising() -> BakedPicture:
    """A picture whose Gaussians each say by a slope how the opacity rises: wherever it is read, it is :func:`edge`."""
    means = lattice_means(PLANE)
    decoder = Decoder(8, hidden_layers=0).eval()
    slopes = torch.tensor([0.75, 0.5]).expand(len(means), 2).contiguous()
    size = PLANE.pixel_size
    gaussians = GaussianSet(means, isotropic(0.64 * size, 2), torch.randn(len(means), 8), 10 * size, edge(means))
    gaussians = replace(gaussians, opacity_slopes=slopes)
    return BakedPicture(PLANE, (Layer(gaussians, decoder, 4, PLANE.half_extent),))


def points() -> Tensor:
    """Of the plane, within the frame."""
    return (torch.rand(400, 2) - 0.5) * torch.tensor([1.0, 0.5])


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


@pytest.mark.parametrize("name", TENSORS)
def test_two_sets_as_one(name: str) -> None:
    one, other = full(4), full(3)
    assert torch.equal(getattr(concatenated(one, other), name), torch.cat([getattr(one, name), getattr(other, name)]))


@pytest.mark.parametrize("name", [name for name in TENSORS if name != "means"])
def test_what_is_told_of_another_number_is_refused(name: str) -> None:
    gaussians = full()
    with pytest.raises(ValueError, match=name.replace("_jacobians", " Jacobians").replace("_", " ")):
        replace(gaussians, **{name: getattr(gaussians, name)[:-1]})


def test_a_deformation_turns_all_that_points_somewhere() -> None:
    """A step that was deformed too leads to the same opacity and feature, and to the same place before."""
    gaussians, steps = full(), 0.1 * torch.randn(7, 2)
    moved, turned = gaussians.transformed(gaussians.means @ SHEAR[0].T, SHEAR), steps @ SHEAR[0].T
    for name in ("opacity_slopes", "slopes", "inverse_jacobians"):
        before, after = (
            torch.einsum("n...i,ni->n...", getattr(one, name), way)
            for one, way in ((gaussians, steps), (moved, turned))
        )
        torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5, msg=name)


def test_a_layer_reads_opacities_by_their_slopes() -> None:
    """All Gaussians tell the same plane: so does their mean, at any point and with any weights."""
    read = rising().at(where := points()).alpha[:, 0]
    torch.testing.assert_close(read, edge(where), rtol=0, atol=1e-5)


def test_beside_slopes_of_features_too() -> None:
    picture = rising()
    sloped = picture.with_gaussians(replace(picture.gaussians, slopes=torch.randn(len(picture.gaussians), 2, 2)))
    torch.testing.assert_close(sloped.at(where := points()).alpha[:, 0], edge(where), rtol=0, atol=1e-5)


def test_a_deformed_layer_reads_them_too() -> None:
    (layer,) = rising().layers
    moved = layer.gaussians.transformed(layer.gaussians.means @ SHEAR[0].T, SHEAR)
    read = replace(layer, gaussians=moved, half_extent=None).at((where := points()) @ SHEAR[0].T).alpha[:, 0]
    inside = read > 0  # beyond the outermost Gaussians nothing is
    assert int(inside.sum()) > 300
    torch.testing.assert_close(read[inside], edge(where)[inside], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("bits", "within"), [(32, 1e-5), (16, 2e-3), (8, 2e-3)])
def test_a_file_keeps_them(bits: Bits, within: float, tmp_path: Path) -> None:
    """In half floats to 11 binary digits: of opacities up to 1, and of slopes along the few pixels they are read."""
    picture = rising()
    save_picture(picture, tmp_path / "p.safetensors", bits)
    loaded = load_picture(tmp_path / "p.safetensors")
    kept, were = loaded.gaussians.opacity_slopes, picture.gaussians.opacity_slopes
    assert kept is not None and were is not None
    torch.testing.assert_close(kept, were, rtol=2.0**-11 if bits < 32 else 1e-7, atol=0)
    torch.testing.assert_close(loaded.at(where := points()).alpha[:, 0], edge(where), rtol=0, atol=within)


def test_a_file_whose_slopes_are_not_finite_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    save_picture(rising(), path)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["header"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    tensors["0.opacity_slopes"][3, 1] = torch.nan
    save_file(tensors, path, {"header": json.dumps(header)})
    with pytest.raises(GainerError, match="not finite"):
        load_picture(path)


def test_coarse_layers_leave_all_slopes_out() -> None:
    """They hold for their own surroundings only."""
    picture = rising()
    sloped = replace(picture.gaussians, slopes=torch.randn(len(picture.gaussians), 2, 2))
    coarse = picture.with_gaussians(sloped).coarse(0.25).gaussians
    assert coarse.slopes is None and coarse.opacity_slopes is None and coarse.opacities is not None


def test_the_lower_limit_brings_its_slope() -> None:
    gaussians, values = full(), torch.tensor([-1.0, 2, -1, 2, -1, 2, -1])
    limit = Limit(values, torch.randn(7, 2))
    assert limit.slopes is not None and gaussians.opacity_slopes is not None
    found = limited(gaussians, limit).opacity_slopes
    lower = (values < 0)[:, None]
    assert found is not None and torch.equal(found, torch.where(lower, limit.slopes, gaussians.opacity_slopes))
    flat = limited(gaussians, Limit(values)).opacity_slopes
    assert flat is not None and torch.equal(flat, torch.where(lower, 0.0, gaussians.opacity_slopes))
    first = limited(replace(gaussians, opacities=None, opacity_slopes=None), limit).opacity_slopes
    assert first is not None and torch.equal(first, limit.slopes)


def test_the_mirror_image_beyond_a_frame_is_mirrored_in_all() -> None:
    """What a mirrored Gaussian says of a place is what its original says of the mirrored place."""
    gaussians = rising().gaussians
    count = len(gaussians)
    own = {"opacity_slopes": torch.randn(count, 2), "slopes": torch.randn(count, 3, 2)}
    gaussians = replace(gaussians, **own)
    layer, border = unframed(Layer(gaussians, Decoder(8, hidden_layers=0).eval(), 4, PLANE.half_extent), PLANE)
    assert border is not None and border.is_beyond.sum() > 50
    added = layer.gaussians[border.is_beyond]
    originals = gaussians[torch.cdist(added.features, gaussians.features).argmin(dim=1)]
    flips = torch.where((added.means - originals.means).abs() > 1e-6, -1.0, 1.0)
    assert (flips < 0).any(dim=1).all()
    for name in own:
        found, was = getattr(added, name), getattr(originals, name)
        torch.testing.assert_close(found, was * (flips if found.dim() == 2 else flips[:, None]))


def test_a_border_of_learned_shapes_is_read_by_slopes() -> None:
    """A frame is straight, so that Gaussians that tell it by its slope show it exactly, away from its corners."""
    means = lattice_means(PLANE, jitter=0.3)
    size = PLANE.pixel_size
    covariances = isotropic(0.64 * size, 2).expand(len(means), 2, 2).contiguous()
    gaussians = GaussianSet(means, covariances, torch.randn(len(means), 8), 10 * size)
    layer = with_border(Layer(gaussians, Decoder(8, hidden_layers=0).eval(), 4, PLANE.half_extent), PLANE)
    assert layer.gaussians.opacity_slopes is not None
    across = torch.linspace(-0.9, 0.9, 61)
    middle = torch.stack([torch.linspace(-0.2, 0.2, 61), PLANE.half_extent[1] + across * size], dim=1)
    torch.testing.assert_close(layer.at(middle).alpha[:, 0], (0.5 - 1.02 * across).clamp(0, 1), rtol=0, atol=1e-3)
