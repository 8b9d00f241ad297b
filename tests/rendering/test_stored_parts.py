"""What a file holds of means, shapes and deformations, part by part, to the digits that are promised."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.frames import ImagePlane
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage import picture_files as storage
from gainer_ns.storage.covariances import shapes_from, shapes_tensors
from gainer_ns.storage.layers import layer_tensors
from gainer_ns.storage.means import means_along_curve, means_from, means_tensors

MakePicture = Callable[..., BakedPicture]
PLANE = ImagePlane(10, 8)


def spread(pixels: float) -> torch.Tensor:
    """Scattered means, so many pixels from end to end."""
    ends = torch.tensor([[-0.5, -0.5], [0.5, 0.5]])
    return torch.cat([ends, torch.rand(50, 2) - 0.5]) * pixels * PLANE.pixel_size


@pytest.mark.parametrize("pixels", [1000.0, 10.0, 1e6])
def test_means_along_a_curve_are_off_by_half_a_cell_at_most(pixels: float) -> None:
    """A 32nd of a pixel, or a millionth from end to end; float32 adds its own rounding."""
    means = spread(pixels)
    assert means_tensors(means, PLANE)[0] is None
    tensors, order = means_along_curve(means, PLANE)
    error = (means_from(None, tensors, PLANE, len(means)) - means[order]).abs()
    cell = max(PLANE.pixel_size / 32, pixels * PLANE.pixel_size / (2**20 - 1))
    assert float(error.max()) < 0.51 * cell + 2.0**-22 * float(means.abs().max())


def test_means_that_lead_nowhere() -> None:
    tensors, _ = means_along_curve(means := spread(10.0), PLANE)
    for wrong in (-1, 2**62):
        steps = tensors["mean_steps"].clone()
        steps[3] = wrong
        with pytest.raises(ValueError, match="lead nowhere"):
            means_from(None, tensors | {"mean_steps": steps}, PLANE, len(means))


@pytest.mark.parametrize("lattice", [(2, 40), (80, 1), (5, 16)])
def test_lattices_that_no_density_has(lattice: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="lattice"):
        means_from(lattice, {}, PLANE, 80)
    assert len(means_from((10, 8), {}, PLANE, 80)) == 80


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.int8])
def test_levels_are_bytes(dtype: torch.dtype) -> None:
    turned = torch.tensor([[[2.0, 0.5], [0.5, 1.0]], [[1.0, -0.25], [-0.25, 3.0]]])
    tensors = shapes_tensors(turned, PLANE, 8)
    torch.testing.assert_close(shapes_from(tensors, PLANE), turned, rtol=0.02, atol=0)
    tensors["shape_levels"] = tensors["shape_levels"].to(dtype)
    with pytest.raises(ValueError, match="do not fit"):
        shapes_from(tensors, PLANE)


@pytest.mark.parametrize(("stretch", "dtype"), [(40.0, torch.float16), (1 / 40, torch.float16), (60.0, torch.float32)])
def test_strong_deformations_are_stored_exactly(stretch: float, dtype: torch.dtype, picture: MakePicture) -> None:
    source = picture(6, 4)
    means = source.gaussians.means
    jacobians = torch.eye(2).expand(len(means), 2, 2).clone()
    jacobians[3, 0, 0] = stretch
    moved = source.with_gaussians(source.gaussians.transformed(means, jacobians))
    stored = layer_tensors(moved.only_layer, moved, 16, moved.only_layer.decoder)[1]["inverse_jacobians"]
    assert stored.dtype == dtype
    torch.testing.assert_close(stored[3, 0, 0].float(), torch.tensor(1 / stretch), rtol=2.0**-11, atol=0)


def test_levels_are_refitted_for_the_decoder_that_reads_them(
    picture: MakePicture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Decoder] = []

    def record(layer: Any, whole: Any, bits: Any, decoder: Decoder) -> Any:
        used.append(decoder)
        return layer_tensors(layer, whole, bits, decoder)

    monkeypatch.setattr(storage, "layer_tensors", record)
    storage.save_picture(source := picture(), tmp_path / "p.safetensors", 8)
    loaded, exact = storage.load_picture(tmp_path / "p.safetensors").only_layer.decoder, source.only_layer.decoder
    states = [decoder.state_dict() for decoder in (used[0], loaded, exact)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


@pytest.mark.parametrize(("version", "read"), [(1, False), (2, True), (3, True), (4, True), (9, False)])
def test_versions(version: int, read: bool, picture: MakePicture, tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    storage.save_picture(source := picture(), path)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["header"]) | {"version": version}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    save_file(tensors, path, {"header": json.dumps(header)})
    if read:
        assert torch.equal(storage.load_picture(path).gaussians.features, source.gaussians.features)
    else:
        with pytest.raises(GainerError, match=f"version {version}"):
            storage.load_picture(path)
