"""Fits in closed form, stored as their pixels."""

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

import gainer_ns as gn
from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import load_picture, picture_bytes, save_picture
from gainer_ns.storage.pixels import PIXELS_TENSOR, layer_from_pixels, pixels_tensors

PICTURES = ("rgb", "rgba", "rgb16", "rgba16")


def fitted(kind: str, size: tuple[int, int] = (23, 17)) -> BakedPicture:
    """The fit of noise, of which an ellipse shows where there is alpha."""
    width, height = size
    noise = np.random.default_rng(3)
    largest, dtype = (65535, np.uint16) if kind.endswith("16") else (255, np.uint8)
    samples = noise.integers(0, largest + 1, (height, width, 4)).astype(dtype)
    x, y = np.meshgrid(np.linspace(-1.2, 1.2, width), np.linspace(-1.2, 1.2, height))
    samples[..., 3] = np.clip((1 - np.hypot(x, y)) * 3, 0, 1) * largest
    return gn.fit(samples if "a" in kind else samples[..., :3])._drawn  # pyright: ignore


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("bits", [32, 8])
def test_fits_come_back_in_every_bit(kind: str, bits: Any, tmp_path: Path) -> None:
    source = fitted(kind)
    save_picture(source, tmp_path / "picture.safetensors", bits)
    one, two = source.only_layer, load_picture(tmp_path / "picture.safetensors").only_layer
    for name in ("means", "covariances", "features", "opacities", "radius"):
        first, second = getattr(one.gaussians, name), getattr(two.gaussians, name)
        assert first is second or (torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second)
    assert one.half_extent == two.half_extent and one.num_neighbours == two.num_neighbours


def test_a_file_is_hardly_larger_than_its_picture(photo: Path, tmp_path: Path) -> None:
    png = tmp_path / "photo.png"
    Image.open(photo).convert("RGB").save(png, optimize=True)
    gn.fit(png).save(tmp_path / "photo.safetensors")
    assert (tmp_path / "photo.safetensors").stat().st_size < 1.06 * png.stat().st_size + 1000


@pytest.mark.parametrize(
    "change",
    [
        lambda g: replace(g, features=g.features + 1e-3 * torch.rand_like(g.features)),
        lambda g: replace(g, features=1.5 * g.features),
        lambda g: replace(g, means=g.means + 1e-4),
        lambda g: replace(g, covariances=1.01 * g.covariances),
        lambda g: replace(g, radius=1.5 * g.radius),
    ],
)
@pytest.mark.parametrize("kind", PICTURES[:2])
def test_other_layers_are_no_fits(kind: str, change: Callable[[Any], Any]) -> None:
    source = fitted(kind)
    layer = source.only_layer
    assert pixels_tensors(layer, source.plane, 8, exactly=True) is not None
    other = replace(layer, gaussians=change(layer.gaussians))
    assert pixels_tensors(other, source.plane, 8, exactly=True) is None
    assert pixels_tensors(layer, ImagePlane(17, 23), 8, exactly=True) is None


def test_what_is_whiter_than_white_is_kept_by_numbers(tmp_path: Path) -> None:
    """Also with few bits, which forgive rounding: a sample has no room for it."""
    source = fitted("rgb")
    gaussians = source.gaussians
    bright = source.with_gaussians(replace(gaussians, features=gaussians.features + 0.4))
    save_picture(bright, tmp_path / "bright.safetensors", 8)
    loaded = load_picture(tmp_path / "bright.safetensors")
    centres = source.plane.pixel_centres(torch.arange(source.plane.pixels))
    torch.testing.assert_close(loaded.at(centres).rgb, bright.at(centres).rgb, rtol=0, atol=0.02)


@pytest.mark.parametrize("key", ["sigma", "num_neighbours"])
@pytest.mark.parametrize("value", [None, "far", -1, 0, 1e9, float("nan")])
def test_numbers_that_make_no_sense(key: str, value: Any, changed_file: Callable[..., Any]) -> None:
    file = changed_file(fitted("rgb"))
    file.header["layers"][0][key] = value
    with pytest.raises(GainerError, match="damaged"):
        load_picture(file.write())


@pytest.mark.parametrize("size", [(17, 23), (23, 18), (2**15, 2**13)])
def test_pixels_of_another_size(size: tuple[int, int], changed_file: Callable[..., Any]) -> None:
    file = changed_file(fitted("rgba"))
    file.header["width"], file.header["height"] = size
    with pytest.raises(GainerError, match="damaged"):
        load_picture(file.write())


def test_bytes_that_are_no_pixels() -> None:
    found = pixels_tensors(fitted("rgb").only_layer, ImagePlane(23, 17), 8, exactly=True)
    assert found is not None
    header, pixels = found[0], found[1][PIXELS_TENSOR]
    for wrong in (pixels.float(), pixels[None], pixels[:-30], pixels[:0]):
        with pytest.raises((ValueError, OSError)):
            layer_from_pixels(header, wrong, ImagePlane(23, 17))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    bits=st.sampled_from([32, 8]),
)
def test_flipped_bytes_of_an_edited_picture(
    changes: list[tuple[int, int]], bits: Any, edited: Callable[..., BakedPicture], tmp_path: Path
) -> None:
    """Anywhere in the file: it loads as a picture that can be drawn, or is refused in one line."""
    source = edited(fitted("rgba", (12, 9)), {"select": {"box": [3, 2, 8, 7]}, "move": {"by": [1, 1]}, "mode": "piece"})
    damaged = bytearray(picture_bytes(source, bits))
    for position, value in changes:
        damaged[position % len(damaged)] = value
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damaged)
    try:
        loaded = load_picture(path)
    except GainerError:
        with pytest.raises(GainerError, match=r"^[^\n]*$"):
            load_picture(path)
    else:
        assert loaded.at(torch.zeros(1, 2)).rgb.shape == (1, 3)
