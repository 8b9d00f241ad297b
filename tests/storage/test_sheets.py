"""Edited pictures to files and back, and files of them that are not what they should be."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.motion.liquid_field import LiquidField
from gainer_ns.motion.rest_map import RestMap
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.sheet import Sheet
from gainer_ns.storage.means import Bits
from gainer_ns.storage.picture_files import load_picture, picture_bytes, save_picture
from gainer_ns.storage.sheets import MAX_POSES

MakePicture = Callable[..., BakedPicture]
Edit = Callable[..., BakedPicture]
TURN = {"rotate": {"degrees": 20.0}}
PART = {"select": {"box": [3, 4, 14, 13]}, "move": {"by": [6.5, 3]}, "mode": "piece"}
CUT = {"cut": {"line": [[10, 0], [14, 18]], "gap": 3}}
WAVE = {"wave": {"amplitude": 1.5, "period": 12}}


def with_depths(picture: BakedPicture) -> BakedPicture:
    """The picture with an order of depth that is another for each patch."""
    (sheet,) = picture.layers
    assert isinstance(sheet, Sheet) and isinstance(sheet.rest_map, RestMap)
    rows, columns, _ = sheet.rest_map.grid.nodes.shape
    ordered = replace(sheet.rest_map, depths=torch.rand(rows - 3, columns - 3), limits=None)
    return replace(picture, layers=(replace(sheet, rest_map=ordered),))


KINDS: dict[str, Callable[[MakePicture, Edit], BakedPicture]] = {
    "turned": lambda make, edited: edited(make(24, 18), TURN),
    "by its lattice": lambda make, edited: edited(make(24, 18, num_neighbours=21), TURN),
    "a part moved": lambda make, edited: edited(make(24, 18), PART),
    "cut": lambda make, edited: edited(make(24, 18), CUT),
    "a clear one": lambda make, edited: edited(make(24, 18, opacity=torch.linspace(0, 1, 24).expand(18, 24)), PART),
    "laid over": lambda make, edited: edited(make(24, 18), WAVE, other=make(16, 20)),
    "edited and laid over": lambda make, edited: edited(make(24, 18), WAVE, other=edited(make(16, 20), PART)),
    "edited again": lambda make, edited: edited(edited(make(24, 18), PART), TURN, CUT),
    "by depths": lambda make, edited: with_depths(edited(make(24, 18), WAVE)),
}
all_kinds = pytest.mark.parametrize("kind", KINDS)


def through_file(picture: BakedPicture, folder: Path, bits: Bits = 32) -> BakedPicture:
    save_picture(picture, folder / "edited.safetensors", bits)
    return load_picture(folder / "edited.safetensors")


def rests(picture: BakedPicture) -> list[Layer]:
    """What the picture's layers read, each as often as it is read."""
    found = []
    for layer in picture.layers:
        while isinstance(layer, Sheet):
            layer = layer.rest
        found.append(layer)
    return found


def names(path: Path) -> set[str]:
    with safe_open(path, framework="pt") as file:
        return set(file.keys())


@all_kinds
def test_every_bit_comes_back(kind: str, picture: MakePicture, edited: Edit, tmp_path: Path) -> None:
    source = KINDS[kind](picture, edited)
    loaded = through_file(source, tmp_path)
    for scale in (1.0, 1.5, 0.4):
        for found, expected in zip(loaded.raster(scale), source.raster(scale), strict=True):
            assert torch.equal(found, expected)
    assert bool(source.raster()[1].any()) and (loaded.plane, loaded.has_alpha) == (source.plane, source.has_alpha)
    for found, expected in zip(loaded.layers, source.layers, strict=True):
        assert type(found) is type(expected) and found.is_moved == expected.is_moved
        for name in ("means", "covariances", "opacities"):
            one, other = getattr(found.gaussians, name), getattr(expected.gaussians, name)
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("bits", "least"), [(16, 60.0), (8, 50.0)])
@all_kinds
def test_fewer_bits(
    kind: str,
    bits: Bits,
    least: float,
    picture: MakePicture,
    edited: Edit,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Layers at rest are refitted as those of pictures that were never edited: none keeps 16 bits instead of 8."""
    source = KINDS[kind](picture, edited)
    loaded = through_file(source, tmp_path, bits)
    assert not caplog.records
    (rgb, alpha), (was_rgb, was_alpha) = loaded.raster(1.5), source.raster(1.5)
    torch.testing.assert_close(alpha, was_alpha, rtol=0, atol=2e-3)
    assert -10 * math.log10(float((rgb * alpha - was_rgb * was_alpha).double().square().mean())) > least
    assert len(picture_bytes(source, bits)) < len(picture_bytes(source))


def test_what_sheets_share_is_stored_once(picture: MakePicture, edited: Edit, tmp_path: Path) -> None:
    source = edited(picture(24, 18), PART, CUT)
    assert len(source.layers) > 2 and len({id(layer) for layer in rests(source)}) == 1
    loaded = through_file(source, tmp_path)
    assert not any(name.startswith(("1.", "decoder.1.")) for name in names(tmp_path / "edited.safetensors"))
    for one in (loaded, loaded.to("cpu"), loaded.to("meta")):
        assert len({id(layer) for layer in rests(one)}) == 1
    assert len({layer.device.type for layer in rests(loaded.to("meta"))} - {"meta"}) == 0


def test_what_was_converted_for_each_sheet_is_stored_once(
    picture: MakePicture, edited: Edit, matrix_profile: Callable[[str], bytes], tmp_path: Path
) -> None:
    """The pieces of a picture that was converted to another profile are of the same Gaussians."""
    source = edited(picture(24, 18), PART).in_profile(ColourProfile(matrix_profile("p3")))
    assert len(source.layers) == 2
    loaded = through_file(source, tmp_path)
    assert len({id(layer) for layer in rests(loaded)}) == 1 and loaded.profile == source.profile
    for found, expected in zip(loaded.raster(), source.raster(), strict=True):
        assert torch.equal(found, expected)


def test_layers_keep_their_own_planes(picture: MakePicture, edited: Edit, tmp_path: Path) -> None:
    loaded = through_file(edited(picture(24, 18), TURN, other=picture(16, 20)), tmp_path)
    below, above = loaded.layers
    assert isinstance(below, Sheet) and isinstance(above, Sheet)
    assert (above.plane.width, above.plane.height) == (16, 20) and above.canvas == below.canvas == loaded.plane


def test_a_picture_that_nothing_has_moved_is_stored_as_before(
    picture: MakePicture, edited: Edit, changed_file: Callable[..., Any]
) -> None:
    still = edited(picture(), {"move": {"by": [0, 0]}})
    assert picture_bytes(still) == picture_bytes(replace(still, layers=tuple(rests(still))))
    assert changed_file(still).header["version"] == 3


def test_same_bytes_for_the_same_picture(picture: MakePicture, edited: Edit) -> None:
    source = edited(picture(24, 18), PART)
    assert len({picture_bytes(source) for _ in range(4)}) == 1


def again_and_again(turned: BakedPicture, times: int) -> BakedPicture:
    (sheet,) = turned.layers
    for _ in range(times - 1):
        sheet = replace(sheet, rest=sheet)  # pyright: ignore[reportCallIssue]
    return replace(turned, layers=(sheet,))


def test_edits_of_edits_end_somewhere(picture: MakePicture, edited: Edit, tmp_path: Path) -> None:
    deep = again_and_again(edited(picture(6, 4), TURN), MAX_POSES)
    assert torch.equal(through_file(deep, tmp_path).raster()[1], deep.raster()[1])
    with pytest.raises(GainerError, match="into one script"):
        picture_bytes(again_and_again(edited(picture(6, 4), TURN), MAX_POSES + 1))


def test_what_has_broken_apart_is_refused(picture: MakePicture) -> None:
    source, points = picture(), torch.rand(5, 2)
    broken = LiquidField(points, points, torch.ones(5), torch.rand(5, 3), 0.1, lambda at: (at, at[..., None]))
    sheet = Sheet(source.only_layer, source.plane, source.plane, broken)
    with pytest.raises(GainerError, match=r"broken apart.*\.png") as refused:
        picture_bytes(replace(source, layers=(sheet,)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e9])
def test_motion_that_leads_nowhere_is_refused(value: float, picture: MakePicture, edited: Edit) -> None:
    source = edited(picture(), TURN)
    sheet = source.layers[0]
    assert isinstance(sheet, Sheet) and isinstance(sheet.rest_map, RestMap)
    sheet.rest_map.grid.nodes[2, 3, 1] = value
    with pytest.raises(GainerError, match="undo the edit"):
        picture_bytes(source)


def test_moved_gaussians_are_kept_beside_sheets(picture: MakePicture, edited: Edit, tmp_path: Path) -> None:
    """What was moved one by one, and then edited."""
    source = picture(24, 18)
    angle = Tensor([[0.8, -0.6], [0.6, 0.8]])
    turned: GaussianSet = source.gaussians.transformed(source.gaussians.means @ angle.T, angle[None])
    both = edited(source.with_gaussians(turned), PART)
    loaded = through_file(both, tmp_path)
    assert torch.equal(loaded.raster()[0], both.raster()[0]) and torch.equal(loaded.raster()[1], both.raster()[1])
