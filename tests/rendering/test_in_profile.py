"""A picture told by another profile: colours are converted where it is drawn, straight, and never its opacity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.io.colour_profiles import ColourProfile, converted
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import load_picture, save_picture

Profiles = Callable[[str], bytes]
PLANE = ImagePlane(24, 16)


def clear_picture(profile: ColourProfile | None) -> BakedPicture:
    """Colours of all kinds, the opacity of which falls from left to right."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.arange(PLANE.pixels)
    decoder = Decoder(8, hidden_layers=0).eval()
    colours = 0.35 + 0.3 * torch.rand(PLANE.pixels, 3, generator=generator)
    gaussians = GaussianSet(
        PLANE.pixel_centres(pixels).float(),
        (0.6 * PLANE.pixel_size) ** 2 * torch.eye(2)[None],
        decoder.features_for(colours),
        4 * PLANE.pixel_size,
        1 - (pixels % PLANE.width) / PLANE.width,
    )
    return BakedPicture(PLANE, (Layer(gaussians, decoder, 9, PLANE.half_extent),), 16, profile)


@pytest.mark.parametrize(("own", "other"), [("p3", None), (None, "adobe"), ("adobe", "p3")])
def test_colours_are_converted_straight_and_opacity_is_not(
    own: str | None, other: str | None, matrix_profile: Profiles
) -> None:
    source, target = (None if kind is None else ColourProfile(matrix_profile(kind)) for kind in (own, other))
    picture = clear_picture(source)
    told = picture.in_profile(target)
    assert told.profile == target and picture.in_profile(source) is picture
    (rgb, alpha), (told_rgb, told_alpha) = picture.raster(), told.raster()
    assert torch.equal(alpha, told_alpha) and 0 < alpha.min() < 0.1
    np.testing.assert_allclose(told_rgb.numpy(), converted(rgb.numpy(), source, target), atol=1e-5)
    assert float((told_rgb - rgb).abs().mean()) > 0.002
    again = told.in_profile(source)
    assert again.only_layer.conversion is None and torch.equal(again.raster()[0], rgb)


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize(("own", "other"), [("p3", None), (None, "adobe")])
def test_files_say_what_a_layer_was_told_in(
    own: str | None, other: str | None, bits: int, tmp_path: Path, matrix_profile: Profiles
) -> None:
    source, target = (None if kind is None else ColourProfile(matrix_profile(kind)) for kind in (own, other))
    above = clear_picture(source).in_profile(target)
    below = replace(clear_picture(target).only_layer, decoder=above.only_layer.decoder)
    picture = BakedPicture(PLANE, (below, above.only_layer), 8, target)
    save_picture(picture, tmp_path / "a.safetensors", bits)  # pyright: ignore[reportArgumentType]
    loaded = load_picture(tmp_path / "a.safetensors")
    assert loaded.profile == target
    assert [layer.conversion for layer in loaded.layers if isinstance(layer, Layer)] == [
        None,
        above.only_layer.conversion,
    ]
    np.testing.assert_allclose(
        loaded.raster()[0].numpy(), picture.raster()[0].numpy(), atol=0.01 if bits == 8 else 2e-3
    )


def test_what_leads_out_only_is_refused_before_it_is_drawn(table_profile: Profiles) -> None:
    out_only = ColourProfile(table_profile("RGB"))
    with pytest.raises(GainerError, match="convert the picture to sRGB"):
        clear_picture(None).in_profile(out_only)
    assert clear_picture(out_only).in_profile(None).raster()[0].isfinite().all()
