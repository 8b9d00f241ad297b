"""Baked pictures to files and back, and files that are not what they should be."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gainer_ns.errors import GainerError
from gainer_ns.fitting.bands import PictureBands
from gainer_ns.fitting.trainer import fit_layer
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.placement import lattice_means
from gainer_ns.recipes import RECIPES
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import Bits, load_picture, picture_bytes, save_picture
from gainer_ns.storage.quantisation import QuantisedFeatures, quantised

MakePicture = Callable[..., BakedPicture]
all_bits = pytest.mark.parametrize("bits", [32, 16, 8])


def psnr(one: BakedPicture, other: BakedPicture) -> float:
    """Between two pictures at the pixels and between them, in dB."""
    (rgb, alpha), (other_rgb, other_alpha) = one.raster(1.5), other.raster(1.5)
    torch.testing.assert_close(other_alpha, alpha, rtol=0, atol=2e-3)  # half a level of 8 bits
    return -10 * math.log10(max(float((rgb * alpha - other_rgb * alpha).double().square().mean()), 1e-30))


def through_file(picture: BakedPicture, folder: Path, bits: Bits) -> BakedPicture:
    save_picture(picture, folder / "picture.safetensors", bits)
    return load_picture(folder / "picture.safetensors")


def mask() -> Tensor:
    inside = torch.zeros(9, 12, dtype=torch.bool)
    inside[2:7, 3:11] = True
    inside[4, 5:7] = False
    return inside


def ellipses(picture: BakedPicture, elongation: float) -> BakedPicture:
    """The picture with long Gaussians in all directions."""
    plane, count = picture.plane, len(picture.gaussians)
    angle = torch.rand(count) * math.pi
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=-1).view(-1, 2, 2).double()
    axes = torch.diag_embed(torch.tensor([[elongation, 0.64]], dtype=torch.float64).expand(count, 2) * plane.pixel_size)
    covariances = turn @ axes.square() @ turn.mT
    return picture.with_gaussians(replace(picture.gaussians, covariances=covariances.float()))


@all_bits
@pytest.mark.parametrize(
    "kind", ["lattice", "jittered", "alpha", "soft alpha", "linear", "learned", "few neighbours", "sloped"]
)
def test_round_trip(kind: str, bits: Bits, picture: MakePicture, tmp_path: Path) -> None:
    options: dict[str, dict[str, Any]] = {
        "jittered": {"jitter": 0.3},
        "alpha": {"opacity": mask()},
        "soft alpha": {"opacity": torch.linspace(0, 1, 12).expand(9, 12)},
        "linear": {"hidden_layers": 0},
        "few neighbours": {"num_neighbours": 4},
    }
    source = picture(**options.get(kind, {}))
    if kind == "learned":
        source = ellipses(source, 3.0)
    if kind == "sloped":
        slopes = 3 * torch.randn(*source.gaussians.features.shape, 2)
        source = source.with_gaussians(replace(source.gaussians, slopes=slopes))
    source = replace(source, bit_depth=16 if kind == "jittered" else 8)
    loaded = through_file(source, tmp_path, bits)
    assert psnr(loaded, source) > {32: 120, 16: 60, 8: 50}[bits]
    assert loaded.plane == source.plane and loaded.bit_depth == source.bit_depth
    layer, before = loaded.only_layer, source.only_layer
    assert layer.num_neighbours == before.num_neighbours and layer.gaussians.radius == before.gaussians.radius
    assert layer.half_extent == before.half_extent and loaded.has_alpha == ("alpha" in kind)
    if bits == 8:
        away = (
            torch.cdist(loaded.gaussians.means.double(), source.gaussians.means.double()).amin(dim=1)
            / source.plane.pixel_size
        )
        assert away.amax() < (1 / 32 if kind == "jittered" else 1e-3), "which may be in another order"
    else:
        assert torch.equal(loaded.gaussians.means, source.gaussians.means)
    assert loaded.gaussians.inverse_jacobians is None and not layer.decoder.training
    if bits == 32:
        assert torch.equal(loaded.gaussians.features, source.gaussians.features)
        if source.gaussians.opacities is not None and loaded.gaussians.opacities is not None:
            assert torch.equal(loaded.gaussians.opacities, source.gaussians.opacities)
        torch.testing.assert_close(loaded.gaussians.covariances, source.gaussians.covariances, rtol=1e-6, atol=0)


@all_bits
@pytest.mark.parametrize("cut_out", [False, True])
def test_every_value_of_a_closed_form_comes_back(bits: Bits, cut_out: bool, photo: Path, tmp_path: Path) -> None:
    """Its pixels are stored, or with 32 bits its numbers where these are no fit of any: opacities lie in between."""
    levels = torch.from_numpy(np.array(Image.open(photo).convert("RGB")))
    height, width = levels.shape[:2]
    opacity = torch.linspace(-0.5, 1.5, width).clamp(0, 1).expand(height, width) if cut_out else None
    layer, _ = fit_layer(levels / 255, opacity, *RECIPES["gainer"])
    source = BakedPicture(ImagePlane(width, height), (layer,), 8)
    loaded = through_file(source, tmp_path, bits)
    if bits == 32 or not cut_out:
        assert torch.equal(loaded.gaussians.features, layer.gaussians.features)
    shows = source.raster()[1][..., 0] > 0
    rgb = loaded.raster()[0]
    assert torch.equal((rgb.clamp(0, 1) * 255).round()[shows].byte(), levels[shows])


@all_bits
@pytest.mark.parametrize("elongation", [10.0, 100.0, 1000.0])
def test_long_gaussians(elongation: float, bits: Bits, picture: MakePicture, tmp_path: Path) -> None:
    """Rounded to half floats, the entries of such a covariance would be those of a line, or of nothing at all."""
    source = ellipses(picture(12, 9), elongation)
    before = torch.linalg.inv(source.gaussians.covariances.double())
    assert torch.linalg.eigvalsh(source.gaussians.covariances.double()).min() > 0
    loaded = through_file(source, tmp_path, bits).gaussians
    assert torch.linalg.eigvalsh(loaded.covariances.double()).min() > 0
    after = torch.linalg.inv(loaded.covariances.double())
    error = torch.linalg.matrix_norm(after - before) / torch.linalg.matrix_norm(before)
    rounding = 6e-2 if bits == 8 else 2e-2  # 256 levels of a size, or half floats
    assert error.max() < (rounding if elongation < 1000 else 0.3)


@all_bits
def test_size(bits: Bits, picture: MakePicture) -> None:
    lattice_set, moved = picture(60, 50), picture(60, 50, jitter=0.2)
    values = 3000 * 8 * bits // 8
    overhead = 4 * (8 * 16 + 16 * 16 + 3 * 16 + 3 * 8) + 3000
    assert values < len(picture_bytes(lattice_set, bits)) < values + overhead, "a lattice is not stored"
    of_means = len(picture_bytes(moved, bits)) - len(picture_bytes(lattice_set, bits))
    low, high = (-values, 3000 * 3) if bits == 8 else (3000 * 8, 3000 * 8 + 300)  # 8 bits are deflated
    assert low < of_means < high


@all_bits
def test_large_features_are_stored_or_refused(bits: Bits, picture: MakePicture, tmp_path: Path) -> None:
    """Half floats end at 65504."""
    source = picture(hidden_layers=0)
    source.gaussians.features[3, 2] = 1e6
    if bits == 16:
        with pytest.raises(GainerError, match="store it in 32 bits"):
            save_picture(source, tmp_path / "picture.safetensors", bits)
        assert not list(tmp_path.iterdir())
    else:
        assert bool(through_file(source, tmp_path, bits).gaussians.features.isfinite().all())


@all_bits
def test_flat_gaussians_are_refused_when_stored(bits: Bits, picture: MakePicture, tmp_path: Path) -> None:
    source = picture()
    flat = source.with_gaussians(replace(source.gaussians, covariances=torch.tensor([[[1.0, 1.0], [1.0, 1.0]]])))
    with pytest.raises(GainerError, match="not positive definite"):
        save_picture(flat, tmp_path / "picture.safetensors", bits)


@all_bits
def test_same_bytes_for_the_same_picture(bits: Bits, picture: MakePicture) -> None:
    source = picture()
    assert len({picture_bytes(source, bits) for _ in range(8)}) == 1


def test_saved_whole_or_not_at_all(picture: MakePicture, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "picture.safetensors"
    save_picture(picture(), path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    before = path.read_bytes()
    with pytest.raises(GainerError, match="cannot be written"):
        save_picture(picture(), path / "below a file.safetensors")
    assert path.read_bytes() == before


def refused(path: Path, message: str = "") -> str:
    with pytest.raises(GainerError, match=message) as error:
        load_picture(path)
    text = str(error.value)
    assert "\n" not in text and text.startswith(str(path)) and len(text) < 600
    return text


def test_files_that_are_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "missing.safetensors", "no such file")
    refused(tmp_path, "no such file")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), bytes_=st.binary(max_size=200))
def test_random_bytes(data: st.DataObject, bytes_: bytes, tmp_path: Path) -> None:
    path = tmp_path / "noise.safetensors"
    if data.draw(st.booleans()):  # a header of the right length, with anything in it
        bytes_ = len(bytes_).to_bytes(8, "little") + bytes_
    path.write_bytes(bytes_)
    refused(path)


@pytest.mark.parametrize("bits", [32, 8])
def test_cut_short(bits: Bits, picture: MakePicture, tmp_path: Path) -> None:
    whole = picture_bytes(picture(), bits)
    path = tmp_path / "short.safetensors"
    for length in [0, 1, 7, 8, 9, 100, *range(200, len(whole), 211), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_flipped_bytes(changes: list[tuple[int, int]], picture: MakePicture, tmp_path: Path) -> None:
    """Anywhere in the file: it loads as a picture that can be drawn, or is refused in one line."""
    torch.manual_seed(0)
    damaged = bytearray(picture_bytes(picture(4, 3, num_neighbours=4), 16))
    for position, value in changes:
        damaged[position % min(len(damaged), 1500)] = value  # mostly in the header
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damaged)
    try:
        loaded = load_picture(path)
    except GainerError:
        refused(path)
    else:
        assert loaded.only_layer.num_neighbours <= 256 and loaded.at(torch.zeros(1, 2)).rgb.shape == (1, 3)


@pytest.fixture
def changed(picture: MakePicture, changed_file: Callable[..., Any]) -> Callable[..., Any]:
    return lambda bits=32, **options: changed_file(picture(**options), bits)


def test_unchanged_files_load(changed: Callable[..., Any]) -> None:
    for bits in (32, 16, 8):
        load_picture(changed(bits).write())


@pytest.mark.parametrize("version", [0, 1, 6, 99, "", "1\n2", None])
def test_other_versions(version: Any, changed: Callable[..., Any]) -> None:
    file = changed()
    file.header["version"] = version
    refused(file.write(), "version")


def test_other_formats(changed: Callable[..., Any], tmp_path: Path) -> None:
    file = changed()
    file.header["format"] = "pt"
    refused(file.write(), "not a picture of gainer")
    plain = tmp_path / "model.safetensors"
    plain.write_bytes(save({"weight": torch.zeros(3)}))
    refused(plain, "not a picture of gainer")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("width", value) for value in (0, -12, 1e400, 10**18, "wide", None, math.nan)],
        *[("num_neighbours", value) for value in (0, -1, 10**9, 1e400, "many", None)],
        *[("radius", value) for value in (0, -1.0, math.nan, None, "far")],
        *[("hidden_layers", value) for value in (-1, 0, 1, 3, 10**9, None, 1e400)],
        *[("hidden_dim", value) for value in (-1, 0, 17, 10**5, 10**12, None)],
        *[("lattice", [12, value]) for value in (0, -9, 8, 18, 1e12, math.nan, math.inf, None, "dense")],
        *[("lattice", value) for value in (None, 108, [108], [], [12, 9, 1], [-12, -9], "lattice", {})],
        *[("half_extent", value) for value in ([0, 1], [0.5], [0.5, -0.1], [math.nan, 1], [1, math.inf], 3, "far", [])],
        *[("decoder", value) for value in (-1, 1, 10**9, None, "first", math.nan)],
        *[("layers", value) for value in ([], None, {}, 3, [None], [[]], [{}], "layers")],
        *[("decoders", value) for value in ([], None, {}, 3, [None], [[]], [{}], "decoders")],
        *[("bit_depth", value) for value in (0, 12, None)],
        *[("bits", value) for value in (8, None, 7)],
    ],
)
def test_headers_that_make_no_sense(key: str, value: Any, changed: Callable[..., Any]) -> None:
    file = changed()
    file.set(key, value)
    refused(file.write(), "damaged")


@pytest.mark.parametrize("header", [[], {}, None, "header", 3])
def test_headers_of_another_kind(header: Any, changed: Callable[..., Any]) -> None:
    file = changed()
    file.header = header
    refused(file.write(), "not a picture of gainer")


class Largest(TorchDispatchMode):
    """Keeps account of the largest tensor that is made, in elements."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor) and tensor.device.type != "meta":
                self.elements = max(self.elements, tensor.numel())
        return out


def test_counts_without_the_numbers(changed: Callable[..., Any]) -> None:
    """A header alone cannot make the program ask for memory."""
    with Largest() as largest:
        for width, height in ((2**31, 1), (2**30, 2**30), (2**31 - 1, 3), (1, 2**31)):
            for masked in (False, True):
                file = changed()
                file.header |= {"width": width, "height": height}
                if masked:
                    file.tensors["0.lattice_mask"] = torch.full((14,), 255, dtype=torch.uint8)
                for size in ([12, 9], [width, height], [2**31, 2**31], [108 * 2**20, 1]):
                    file.set("lattice", size)
                    refused(file.write(), "damaged")
        for key, value in (("hidden_dim", 10**6), ("hidden_layers", 10**7), ("num_neighbours", 10**9)):
            file = changed()
            file.set(key, value)
            refused(file.write(), "damaged")
    assert 800 < largest.elements < 10_000


SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "0.features": ((108,), (108, 8, 2), (107, 8), (108, 7), (108, 0), (0, 8), ()),
    "0.means": ((108, 3), (107, 2), (108,)),
    "0.covariances": ((2, 2), (107, 2, 2), (1, 3, 3)),
    "0.opacities": ((107,), (108, 1), (), (0,)),
    "0.inverse_jacobians": ((107,), (108, 1), (), (0,)),
    "decoder.0.linear.weight": ((4, 8), (3,)),
    "decoder.0.linear.bias": ((4,),),
    "decoder.0.more": ((4,),),
}


@pytest.mark.parametrize("name", SHAPES)
def test_tensors_of_another_shape(name: str, changed: Callable[..., Any]) -> None:
    for shape in SHAPES[name]:
        file = changed(jitter=0.2)
        file.tensors[name] = torch.ones(shape)
        refused(file.write(), "damaged")


def test_three_dimensions(changed: Callable[..., Any]) -> None:
    """A picture is flat."""
    file = changed(jitter=0.2)
    file.tensors["0.means"], file.tensors["0.covariances"] = torch.zeros(108, 3), torch.eye(3)[None]
    refused(file.write(), "damaged")


@pytest.mark.parametrize(
    "name",
    ["0.features", "0.means", "0.covariances", "0.opacities", "decoder.0.linear.weight", "decoder.0.linear.bias"],
)
def test_numbers_that_are_no_fits(name: str, changed: Callable[..., Any]) -> None:
    """Not finite, or so large that no fit or edit makes them."""
    for value, message in ((math.nan, "not finite"), (math.inf, "not finite"), (1e38, "which no fit or edit makes")):
        file = changed(jitter=0.2)
        if name == "0.opacities":
            file.tensors[name] = torch.ones(108)
            load_picture(file.write())
            message = "" if value == 1e38 else message
        file.tensors[name].view(-1)[-1] = value
        refused(file.write(), message)


def test_covariances_that_are_none(changed: Callable[..., Any]) -> None:
    for covariance in ([[0.0, 0.0], [0.0, 0.0]], [[1.0, 2.0], [2.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0]]):
        file = changed()
        file.tensors["0.covariances"] = torch.tensor([covariance])
        refused(file.write(), "damaged")


@pytest.mark.parametrize(
    "name", ["0.features", "0.covariances", "decoder.0.linear.weight", "decoder.0.mlp.layers.0.weight"]
)
def test_tensors_that_are_missing(name: str, changed: Callable[..., Any]) -> None:
    file = changed()
    del file.tensors[name]
    refused(file.write(), "damaged")


@pytest.mark.parametrize("name", ["0.levels", "0.level_low", "0.level_step"])
def test_levels_of_another_shape(name: str, changed: Callable[..., Any]) -> None:
    file = changed(8)
    for shape in ((108, 1), (1,), (9,), (), (108, 8, 1)):
        values = torch.zeros(shape, dtype=file.tensors[name].dtype)
        if shape != file.tensors[name].shape:
            file.tensors[name] = values
            refused(file.write(), "damaged")


def test_levels_are_refitted_to_the_pixels_that_show(picture: MakePicture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a transparent pixel would decode to is nobody's business."""
    fitted: list[Tensor] = []

    def record(bands: PictureBands, *args: Any, **options: Any) -> QuantisedFeatures:
        fitted.append(bands.pixels)
        return quantised(bands, *args, **options)

    monkeypatch.setattr("gainer_ns.storage.layers.quantised", record)
    picture_bytes(picture(opacity=mask(), num_neighbours=4), 8)
    picture_bytes(picture(), 8)
    assert torch.equal(fitted[0], mask().flatten().nonzero()[:, 0]) and torch.equal(fitted[1], torch.arange(108))


def test_unread_gaussians_keep_their_colour(picture: MakePicture, tmp_path: Path) -> None:
    """What an edit moved out of the frame is stored in 8 bits too, though no pixel shows it."""
    source = picture(12, 9, jitter=0.2, hidden_layers=0)
    away = source.gaussians.means + torch.tensor([5.0, 0.0])
    gaussians = GaussianSet(
        torch.cat([source.gaussians.means, away]),
        source.gaussians.covariances,
        torch.cat([source.gaussians.features] * 2),
        source.gaussians.radius,
    )
    loaded = through_file(source.with_gaussians(gaussians), tmp_path, 8)
    back = GaussianSet(
        loaded.gaussians.means[108:] - torch.tensor([5.0, 0.0]),
        loaded.gaussians.covariances,
        loaded.gaussians.features[108:],
        loaded.gaussians.radius,
    )
    assert psnr(loaded.with_gaussians(back), source) > 40


def deformed(picture: BakedPicture, bend: float = 0.6) -> BakedPicture:
    """The picture bent, so that every Gaussian has a Jacobian of its own."""
    means = picture.gaussians.means
    x, y = means.unbind(-1)
    moved = torch.stack([x, 0.7 * y + bend * x.square()], dim=-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    jacobians = torch.stack([one, zero, 2 * bend * x, 0.7 * one], dim=-1).view(-1, 2, 2)
    return picture.with_gaussians(picture.gaussians.transformed(moved, jacobians))


@all_bits
def test_deformed_layers(bits: Bits, picture: MakePicture, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Levels are refitted to pixels, which deformed Gaussians no longer meet: 8 bits are 16 there, and it says so."""
    for source in (deformed(picture(24, 18)), deformed(picture(24, 18, opacity=mask().repeat(2, 2)))):
        loaded = through_file(source, tmp_path, bits)
        inverses = loaded.gaussians.inverse_jacobians
        assert psnr(loaded, source) > (120 if bits == 32 else 60)
        assert inverses is not None and source.gaussians.inverse_jacobians is not None
        torch.testing.assert_close(inverses, source.gaussians.inverse_jacobians, rtol=0, atol=0 if bits == 32 else 1e-3)
        if bits == 8:
            assert picture_bytes(source, 8) == picture_bytes(source, 16)
    assert ("16 bits a channel instead of 8" in caplog.text) == (bits == 8)


@all_bits
def test_several_layers(bits: Bits, picture: MakePicture, tmp_path: Path) -> None:
    """Each with its own numbers; a decoder that layers share is stored once, and still shared afterwards."""
    back, front = picture(24, 18), deformed(picture(24, 18, opacity=mask().repeat(2, 2), num_neighbours=9))
    shared = replace(back.only_layer, half_extent=None, num_neighbours=4)
    source = replace(back, layers=(back.only_layer, front.only_layer, shared), bit_depth=16)
    empty = front.gaussians[torch.zeros(0, dtype=torch.long)]
    source = replace(source, layers=(*source.layers[:2], front.only_layer.with_gaussians(empty)))
    loaded = through_file(source, tmp_path, bits)
    assert psnr(loaded, source) > {32: 120, 16: 60, 8: 50}[bits]
    assert loaded.bit_depth == 16 and [len(layer.gaussians) for layer in loaded.layers] == [
        432,
        len(front.gaussians),
        0,
    ]
    layers, stored = ([one for one in made.layers if isinstance(one, Layer)] for made in (loaded, source))
    assert layers[1].decoder is layers[2].decoder is not layers[0].decoder
    with safe_open(tmp_path / "picture.safetensors", framework="pt") as file:
        assert not any(name.startswith("decoder.2") for name in file.keys())  # noqa: SIM118 (not a mapping)
    for found, expected in zip(layers, stored, strict=True):
        assert (found.num_neighbours, found.half_extent) == (expected.num_neighbours, expected.half_extent)
        assert found.gaussians.radius == expected.gaussians.radius
    frameless = replace(back, layers=(shared,))
    assert through_file(frameless, tmp_path, bits).only_layer.half_extent is None


@pytest.mark.parametrize("bits", [16, 8])
def test_alpha_is_exact_where_it_was_fitted(bits: Bits, picture: MakePicture, tmp_path: Path) -> None:
    """Any opacities, even noise: none of the 256 levels changes in a file of few bits."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (36, 48), generator=generator) / 255
    edges = (torch.rand(36, 48, generator=generator) < 0.5).float()
    for opacity in (noise, edges, ((torch.arange(48) * 5.4).round() / 255).expand(36, 48)):
        source = picture(48, 36, opacity=opacity)
        levels = (through_file(source, tmp_path, bits).raster()[1][..., 0] * 255).round()
        assert torch.equal(levels, (opacity * 255).round())


@pytest.mark.parametrize("kind", ["whole", "masked", "dense", "sparse", "row", "column", "one", "strip"])
def test_means_on_a_lattice_are_not_stored(kind: str, picture: MakePicture, tmp_path: Path) -> None:
    options: dict[str, tuple[int, int, float]] = {"dense": (30, 20, 2.7), "sparse": (90, 61, 0.23), "row": (50, 1, 1.0)}
    options |= {"column": (1, 50, 1.0), "one": (1, 1, 1.0), "strip": (300, 7, 0.5)}
    width, height, density = options.get(kind, (30, 20, 1.0))
    inside = torch.ones(height, width, dtype=torch.bool)
    if kind in ("masked", "dense", "sparse"):
        inside[: height // 3, width // 4 :] = False
        inside[-height // 4 :, : width // 2] = False
    source = picture(width, height)
    means = lattice_means(source.plane, density, inside=inside)
    old = source.gaussians
    source = source.with_gaussians(GaussianSet(means, old.covariances, torch.randn(len(means), 8), old.radius))
    loaded = through_file(source, tmp_path, 32)
    assert torch.equal(loaded.gaussians.means, means)
    with safe_open(tmp_path / "picture.safetensors", framework="pt") as file:
        names = set(file.keys())
    assert "0.means" not in names and ("0.lattice_mask" in names) == (kind in ("masked", "dense", "sparse"))


def test_other_means_are_stored(picture: MakePicture, tmp_path: Path) -> None:
    """Whatever is not exactly a lattice, row by row."""
    source = picture(30, 20)
    means = source.gaussians.means
    moved = means.clone()
    moved[17] += 1e-4
    order = torch.randperm(len(means))
    some = torch.rand(600) < 0.01
    for other in (moved, means[order], means.flip(0), means + 0.01, means * 1.01, torch.rand_like(means), means[some]):
        gaussians = GaussianSet(other, source.gaussians.covariances, source.gaussians.features[: len(other)], 0.3)
        assert torch.equal(through_file(source.with_gaussians(gaussians), tmp_path, 32).gaussians.means, other)
    gaussians = GaussianSet(means[:1].expand(3, 2), source.gaussians.covariances, source.gaussians.features[:3], 0.3)
    assert torch.equal(through_file(source.with_gaussians(gaussians), tmp_path, 32).gaussians.means, gaussians.means)


@pytest.mark.parametrize("matrix", [[[0, 0], [0, 0]], [[1, 2], [2, 4]], [[math.nan, 0], [0, 1]], [[1e-9, 0], [0, 1]]])
def test_flat_deformations(matrix: list[list[float]], changed: Callable[..., Any], picture: MakePicture) -> None:
    file = changed()
    file.tensors["0.inverse_jacobians"] = torch.tensor([matrix], dtype=torch.float32)
    refused(file.write(), "damaged")
    source = picture()
    flat = replace(source.gaussians, inverse_jacobians=file.tensors["0.inverse_jacobians"])
    with pytest.raises(GainerError, match="undo the edit"):
        picture_bytes(source.with_gaussians(flat))


def test_masks_of_another_kind(changed: Callable[..., Any]) -> None:
    for mask_bytes in ([255] * 13, [255] * 15, [255] * 12 + [0, 240], [255] * 13 + [255]):
        file = changed()
        file.tensors["0.lattice_mask"] = torch.tensor(mask_bytes, dtype=torch.uint8)
        if len(mask_bytes) == 14 and mask_bytes[12]:
            load_picture(file.write())  # the bits beyond the last node say nothing
        else:
            refused(file.write(), "damaged")
    file = changed()
    file.tensors["0.lattice_mask"] = torch.ones(14)
    refused(file.write(), "damaged")


@pytest.fixture
def compact(picture: MakePicture, changed_file: Callable[..., Any]) -> Callable[[], Any]:
    """A file of 8 bits with all that the compact method learns."""
    source = ellipses(picture(12, 9, jitter=0.2), 3.0)
    slopes = torch.randn(len(source.gaussians), 2, 2) * 3
    learned = source.with_gaussians(replace(source.gaussians, slopes=slopes))
    return lambda: changed_file(learned, 8)


def test_what_is_learned_takes_few_bytes(compact: Callable[[], Any]) -> None:
    file = compact()
    load_picture(file.write())
    per_gaussian = {
        name.removeprefix("0."): value.nbytes / 108 for name, value in file.tensors.items() if len(value) == 108
    }
    assert per_gaussian == {"levels": 8, "mean_steps": 8, "shape_levels": 3, "slope_levels": 4}


@pytest.mark.parametrize("of", ["mean_", "shape_", "slope_level_"])
@pytest.mark.parametrize(("part", "value"), [("low", math.nan), ("low", math.inf), ("step", math.nan), ("step", 1e37)])
def test_levels_of_what_is_learned_that_lead_nowhere(
    of: str, part: str, value: float, compact: Callable[[], Any]
) -> None:
    file = compact()
    file.tensors[f"0.{of}{part}"][0] = value
    refused(file.write())


@pytest.mark.parametrize(
    "name", ["mean_steps", "mean_low", "shape_levels", "shape_step", "slope_levels", "slope_level_bend"]
)
@pytest.mark.parametrize("shape", [(108, 1), (107, 2), (5,), (), (0,), (108, 4, 2)])
def test_what_is_learned_of_another_shape(name: str, shape: tuple[int, ...], compact: Callable[[], Any]) -> None:
    file = compact()
    file.tensors[f"0.{name}"] = torch.zeros(shape, dtype=file.tensors[f"0.{name}"].dtype)
    refused(file.write(), "damaged")


@pytest.mark.parametrize("name", ["mean_low", "shape_levels", "slope_level_step", "slope_levels"])
def test_what_is_learned_and_missing(name: str, compact: Callable[[], Any]) -> None:
    file = compact()
    if name == "slope_levels":  # without them there are no slopes, and nobody asks for the rest
        for of in ("level_low", "level_step", "level_bend"):
            del file.tensors[f"0.slope_{of}"]
    else:
        del file.tensors[f"0.{name}"]
    refused(file.write(), "damaged")
