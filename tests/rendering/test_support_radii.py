"""Layers whose material has broken: nothing is shown over gaps, and everything where it held together."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import load_picture, picture_bytes, save_picture

MakePicture = Callable[..., BakedPicture]


def limited(layer: Layer, reach: float, fade: float) -> Layer:
    return replace(layer, support_radii=torch.full((len(layer.gaussians),), reach), fade=fade)


def moved(layer: Layer, means: Tensor, jacobians: Tensor) -> Layer:
    return replace(layer, gaussians=layer.gaussians.transformed(means, jacobians), half_extent=None)


def parted(layer: Layer, gap: float) -> Layer:
    """The right half moved to the right."""
    means = layer.gaussians.means
    return moved(layer, means + gap * (means[:, :1] > 0) * torch.tensor([[1.0, 0.0]]), torch.eye(2)[None])


def somewhere(count: int = 4000) -> Tensor:
    return (torch.rand(count, 2) - 0.5) * torch.tensor([1.3, 1.0])


@pytest.mark.parametrize("cut_out", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_an_intact_lattice_is_as_without(cut_out: bool, turned: bool, picture: MakePicture) -> None:
    """To the bit, at any place within it."""
    opacity = torch.zeros(18, 24)
    opacity[4:12, 4:20] = 1
    source = picture(24, 18, opacity=opacity if cut_out else None)
    layer, points = source.only_layer, somewhere()
    if turned:
        jacobian = torch.tensor([[1.2, -1.6], [1.6, 1.2]])  # turned and enlarged
        layer = moved(layer, layer.gaussians.means @ jacobian.T, jacobian[None])
        points = points if cut_out else 0.9 * source.plane.plane_from_pixel(24 * torch.rand(4000, 2)).float()
        points = points @ jacobian.T
        if not cut_out:  # those that the lattice does not surround are beyond its reach
            points = points[(layer.index.query(points, 1).squared_distances[:, 0] < (0.72 / 24) ** 2)]
    reached = limited(layer, 0.75 * source.plane.pixel_size, 0.5 * source.plane.pixel_size)
    if cut_out:  # its margin ends in nothing, some way beyond the last that shows
        points = points[layer.at(points).alpha[:, 0] > 0]
    assert len(points) > 500
    for found, expected in zip(reached.at(points), layer.at(points), strict=True):
        assert torch.equal(found, expected)


def test_what_is_seen_near_and_beyond_the_reach(picture: MakePicture) -> None:
    """Beside the distances to all Gaussians: 1 up to the reach, and a straight slope to 0 over the fade."""
    source = picture(24, 18)
    pixel = source.plane.pixel_size
    layer = parted(source.only_layer, 6 * pixel)
    points = somewhere()
    drawn = limited(layer, 0.75 * pixel, 1.5 * pixel).at(points)
    nearest = torch.cdist(points, layer.gaussians.means).amin(dim=1, keepdim=True)
    expected = ((2.25 * pixel - nearest) / (1.5 * pixel)).clamp(0, 1)
    torch.testing.assert_close(drawn.alpha, expected, rtol=0, atol=1e-4)
    gone, plain = drawn.alpha[:, 0] == 0, layer.at(points)
    in_gap = (points[:, 0] - 3 * pixel).abs() < 1 * pixel
    assert bool(gone[in_gap & (points[:, 1].abs() < 0.3)].all()) and int(gone.sum()) > 100
    assert bool((plain.alpha[in_gap & (points[:, 1].abs() < 0.3)] == 1).all()), "smeared over the gap"
    assert not drawn.rgb[gone].any(), "colours of nothing are not decoded"
    torch.testing.assert_close(drawn.rgb[~gone], plain.rgb[~gone], rtol=0, atol=1e-5)


def test_without_a_fade_it_ends_at_once(picture: MakePicture) -> None:
    source = picture(24, 18)
    pixel = source.plane.pixel_size
    alpha = limited(parted(source.only_layer, 6 * pixel), 0.8 * pixel, 0.0).at(somewhere()).alpha
    assert set(alpha.unique().tolist()) == {0.0, 1.0}


def test_reaches_are_measured_before_the_deformation(picture: MakePicture) -> None:
    """What is stretched by three has no gaps, and reaches three times as far."""
    source = picture(24, 18)
    pixel = source.plane.pixel_size
    stretch = torch.diag(torch.tensor([3.0, 1.0]))
    layer = limited(
        moved(source.only_layer, source.gaussians.means @ stretch.T, stretch[None]), 0.75 * pixel, 0.5 * pixel
    )
    inside = 0.95 * source.plane.plane_from_pixel(torch.rand(3000, 2) * torch.tensor([24.0, 18.0])).float() @ stretch.T
    assert bool((layer.at(inside).alpha == 1).all())
    edge = float(layer.gaussians.means[:, 0].max())
    beside = torch.tensor([[edge + 3 * 0.7 * pixel, 0.5 * pixel], [edge + 3 * 1.3 * pixel, 0.5 * pixel]])
    alpha = replace(layer, gaussians=layer.gaussians).at(beside).alpha[:, 0]
    assert alpha.tolist() == [1.0, 0.0]


def test_each_gaussian_has_its_own_reach(picture: MakePicture) -> None:
    source = picture(24, 18)
    pixel = source.plane.pixel_size
    layer = parted(source.only_layer, 8 * pixel)
    left = layer.gaussians.means[:, 0] < 0
    layer = replace(layer, support_radii=torch.where(left, 3 * pixel, 0.75 * pixel), fade=0.25 * pixel)
    beside = torch.tensor([[2.0, 0.5], [7.0, 0.5]]) * pixel  # 2.5 from the left half, and 1.5 from the right
    assert layer.at(beside).alpha[:, 0].tolist() == [1.0, 0.0]
    assert layer.to("cpu").at(beside).alpha[:, 0].tolist() == [1.0, 0.0]


def test_what_lies_behind_a_gap_shows(picture: MakePicture) -> None:
    red, blue = (
        picture(24, 18, colours=torch.tensor([colour]), hidden_layers=0) for colour in ([1.0, 0, 0], [0, 0, 1.0])
    )
    pixel = red.plane.pixel_size
    both = replace(red, layers=(blue.only_layer, limited(parted(red.only_layer, 6 * pixel), 0.75 * pixel, 0.5 * pixel)))
    rgb, alpha = both.raster()
    assert bool((alpha == 1).all())
    torch.testing.assert_close(rgb[:, 14:16], torch.tensor([0, 0, 1.0]).expand(18, 2, 3), rtol=0, atol=1e-3)
    torch.testing.assert_close(rgb[:, :12], torch.tensor([1.0, 0, 0]).expand(18, 12, 3), rtol=0, atol=1e-3)


def test_reaches_that_do_not_fit(picture: MakePicture) -> None:
    layer = picture().only_layer
    with pytest.raises(ValueError, match="support_radii"):
        replace(layer, support_radii=torch.ones(3))


@pytest.mark.parametrize("bits", [32, 16])
def test_stored_and_read(bits: int, picture: MakePicture, tmp_path: Path) -> None:
    source = picture(24, 18)
    pixel = source.plane.pixel_size
    layer = limited(parted(source.only_layer, 6 * pixel), 0.75 * pixel, 0.5 * pixel)
    save_picture(replace(source, layers=(layer,)), tmp_path / "some.safetensors", bits)  # pyright: ignore[reportArgumentType]
    found = load_picture(tmp_path / "some.safetensors").only_layer
    assert found.support_radii is not None and layer.support_radii is not None
    assert torch.equal(found.support_radii, layer.support_radii) and found.fade == layer.fade
    points = somewhere()
    torch.testing.assert_close(found.at(points).alpha, layer.at(points).alpha, rtol=0, atol=1e-3)
    plain = load_picture_of(source, tmp_path)
    assert plain.support_radii is None and plain.fade == 0


def load_picture_of(picture: BakedPicture, folder: Path) -> Layer:
    save_picture(picture, folder / "plain.safetensors")
    return load_picture(folder / "plain.safetensors").only_layer


@pytest.mark.parametrize("fade", ["-1.0", "NaN", "Infinity", '"far"'])
def test_a_fade_that_makes_no_sense(fade: str, picture: MakePicture, tmp_path: Path) -> None:
    layer = limited(picture().only_layer, 0.5, 0.125)
    whole = picture_bytes(replace(picture(), layers=(layer,)))
    size = int.from_bytes(whole[:8], "little")
    head = whole[8 : 8 + size].replace(b'\\"fade\\": 0.125', b'\\"fade\\": ' + fade.replace('"', '\\"').encode())
    assert len(head) != size or head != whole[8 : 8 + size]
    (tmp_path / "odd.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + whole[8 + size :])
    with pytest.raises(GainerError, match="damaged"):
        load_picture(tmp_path / "odd.safetensors")
