"""Files of pictures whose Gaussians are levels: small, without loss, and refused where they are damaged."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gainer_ns.errors import GainerError
from gainer_ns.gaussians.levels import curve_order, gaussians_of, numbers_of, rounded, steps_of
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.layers import LEVELS_TENSOR
from gainer_ns.storage.picture_files import load_picture, picture_bytes, save_picture

MakePicture = Callable[..., BakedPicture]
NAME = f"0.{LEVELS_TENSOR}"
EXPONENTS = [-9, -9, -12, -8, -12, -20, -20, -20, -17, -17, -17, -17]


@pytest.fixture
def levelled(picture: MakePicture) -> BakedPicture:
    source = picture(12, 9, jitter=0.2)
    generator, gaussians = torch.Generator().manual_seed(0), source.gaussians
    shapes = 0.3 * torch.randn(len(gaussians), 2, 2, generator=generator)
    covariances = source.plane.pixel_size**2 * (shapes @ shapes.mT + 0.3 * torch.eye(2))
    slopes = torch.randn(len(gaussians), 2, 2, generator=generator)
    learned = replace(gaussians, covariances=covariances, slopes=slopes)
    steps = steps_of([*EXPONENTS[:5], *[-20] * (gaussians.features.shape[1]), *[-17] * 4])
    levels = rounded(numbers_of(learned, source.plane), steps, 1e9)
    levels = levels[curve_order(levels)]
    found = gaussians_of(levels * steps, gaussians.radius, source.plane, gaussians.features.shape[1])
    return source.with_gaussians(found)


@pytest.mark.parametrize("bits", [32, 16, 8])
def test_nothing_is_lost(bits: Any, levelled: BakedPicture, tmp_path: Path) -> None:
    save_picture(levelled, path := tmp_path / "a.safetensors", bits)
    again = load_picture(path)
    within = 1e-2 if bits == 8 else 1e-4  # of 8 bits, decoders are half floats
    assert float((again.raster(1.5)[0] - levelled.raster(1.5)[0]).abs().max()) < within
    assert picture_bytes(load_picture(path), bits) == path.read_bytes()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("count", 10**12),
        ("count", 107),
        ("exponents", [0] * 3),
        ("exponents", [10**6] * 30),
        ("exponents", None),
        ("sizes", [[1 << 40]]),
        ("sizes", []),
        ("low", [1]),
        ("channels", 0),
        ("channels", 99),
        ("radius", float("inf")),
    ],
)
def test_headers_that_do_not_fit(
    key: str, value: Any, levelled: BakedPicture, changed_file: Callable[..., Any]
) -> None:
    file = changed_file(levelled)
    file.set(key, value)
    with pytest.raises(GainerError, match=r"damaged|no fit or edit") as refusal:
        load_picture(file.write())
    assert "\n" not in str(refusal.value)


def test_opacities_of_gaussians_are_kept(levelled: BakedPicture, tmp_path: Path) -> None:
    gaussians = levelled.gaussians
    half = levelled.with_gaussians(replace(gaussians, opacities=torch.full((len(gaussians),), 0.5)))
    save_picture(half, path := tmp_path / "a.safetensors", 32)
    assert torch.allclose(load_picture(path).raster()[1], half.raster()[1], atol=1e-5)


def test_bytes_that_changed(levelled: BakedPicture, changed_file: Callable[..., Any]) -> None:
    """Whatever byte is another, the file is refused, or is another picture."""
    file = changed_file(levelled)
    whole = file.tensors[NAME]
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        file.tensors[NAME] = whole.clone()
        file.tensors[NAME][place] ^= 0x55
        with contextlib.suppress(GainerError):
            load_picture(file.write())
    for changed in (whole[:-1], whole.float(), whole[None], whole[:0]):
        file.tensors[NAME] = changed
        with pytest.raises(GainerError, match="damaged"):
            load_picture(file.write())
