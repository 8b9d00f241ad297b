"""What masks of every kind select: each is made here from the same shape, so what must come out is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.io.masks import VOID_COLOUR, mask_bytes, read_mask

SHAPE = np.zeros((8, 12), bool)
SHAPE[2:6, 3:9] = True
OTHER = np.zeros_like(SHAPE)
OTHER[6:, :2] = True
RAMP = np.tile(np.linspace(0, 1, 12, dtype=np.float32), (8, 1))
RED = (128, 0, 0)
"""Colour of label 1 in VOC, DAVIS, labelme and SAM 2."""


def gray(inside: int, outside: int = 0, dtype: type = np.uint8) -> Image.Image:
    return Image.fromarray(np.where(SHAPE, inside, outside).astype(dtype))


def palette(labels: np.ndarray, *, colours: dict[int, tuple[int, int, int]] | None = None) -> Image.Image:
    """Indices with VOC's first colours."""
    image = Image.fromarray(labels.astype(np.uint8), "P")
    table = np.zeros((256, 3), np.uint8)
    for index, colour in ({1: RED, 2: (0, 128, 0), 7: (128, 128, 128), 255: VOID_COLOUR} | (colours or {})).items():
        table[index] = colour
    image.putpalette(table.tobytes())
    return image


def rgb(inside: tuple[int, ...], outside: tuple[int, ...]) -> Image.Image:
    return Image.fromarray(np.where(SHAPE[..., None], inside, outside).astype(np.uint8))


def plane(value: int) -> np.ndarray:
    return np.full(SHAPE.shape, value, np.uint8)


WHOLE: dict[str, Callable[[], Image.Image]] = {
    "palette": lambda: palette(SHAPE * 1),
    "palette, a gray label": lambda: palette(SHAPE * 7),
    "palette, a rim": lambda: palette(SHAPE * 1 + OTHER * 255),
    "palette of two colours": lambda: gray(255).convert("P", palette=Image.Palette.ADAPTIVE, colors=2),
    "palette, colours elsewhere": lambda: gray(255).convert("RGB").convert("P"),
    "palette, 255 in another colour": lambda: palette(SHAPE * 255, colours={255: RED}),
    "palette, white first": lambda: palette(1 - SHAPE, colours={0: (255, 255, 255), 1: (0, 0, 0)}),
    "0 and 1": lambda: gray(1),
    "0 and 1, 16 bits": lambda: gray(1, dtype=np.uint16),
    "0 and 3": lambda: gray(3),
    "black and white": lambda: gray(255),
    "1 bit": lambda: gray(255).convert("1"),
    "0 and 255 of 16 bits": lambda: gray(255, dtype=np.uint16),
    "16 bits": lambda: gray(65535, dtype=np.uint16),
    "colours": lambda: gray(255).convert("RGB"),
    "red on black": lambda: rgb((255, 0, 0), (0, 0, 0)),
    "dark red on black": lambda: rgb(RED, (0, 0, 0)),
    "gray, alpha": lambda: gray(255).convert("LA"),
    "constant alpha": lambda: Image.fromarray(np.dstack([*3 * [SHAPE * np.uint8(255)], plane(90)])),
    "dithered alpha": lambda: Image.fromarray(np.dstack([*3 * [SHAPE * np.uint8(255)], plane(127) + OTHER])),
    "alpha": lambda: Image.fromarray(np.dstack([*3 * [plane(40)], SHAPE * np.uint8(255)])),
    "alpha of 0 and 1": lambda: Image.fromarray(np.dstack([*3 * [plane(40)], SHAPE.astype(np.uint8)])),
    "white under alpha": lambda: Image.fromarray(np.dstack([*4 * [SHAPE * np.uint8(255)]])),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_what_selects_a_shape_selects_all_of_it(tmp_path: Path, kind: str) -> None:
    WHOLE[kind]().save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png")
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask, SHAPE.astype(np.float32))


@pytest.mark.parametrize("name", ["mask.tif", "mask.gif", "mask.bmp"])
def test_palettes_of_other_kinds(tmp_path: Path, name: str) -> None:
    palette(SHAPE * 1).save(tmp_path / name)
    np.testing.assert_array_equal(read_mask(tmp_path / name), SHAPE)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("most", [255, 100])
def test_soft_masks_stay_soft(tmp_path: Path, mode: str, most: int) -> None:
    """A whole ramp, and one that stays faint."""
    ramp = np.tile(np.linspace(0, most, 24).round().astype(np.uint8), (8, 1))
    Image.fromarray(ramp).convert(mode).save(tmp_path / "mask.png")
    np.testing.assert_allclose(read_mask(tmp_path / "mask.png"), ramp / 255, atol=1e-6)


def test_a_palette_of_grays_stays_soft(tmp_path: Path) -> None:
    ramp = (RAMP * 255).round().astype(np.uint8)
    image = Image.fromarray(255 - ramp, "P")
    image.putpalette([255 - value for value in range(256) for _ in range(3)])
    image.save(tmp_path / "mask.png")
    np.testing.assert_allclose(read_mask(tmp_path / "mask.png"), ramp / 255, atol=1e-6)


def test_a_palette_is_turned_as_the_file_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn clockwise shows it upright
    palette(SHAPE * 1 + OTHER * 2).save(tmp_path / "mask.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", 2), np.rot90(OTHER, -1))


def test_a_palette_may_end_before_its_last_label(tmp_path: Path) -> None:
    image = palette(SHAPE * 1 + OTHER * 9)
    image.putpalette([0, 0, 0, *5 * RED])  # of which a sample takes four bits
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", 9), OTHER)


def test_faint_differences_of_alpha_are_no_dither(tmp_path: Path) -> None:
    alpha = np.where(SHAPE, 140, 100).astype(np.uint8)
    Image.fromarray(np.dstack([*3 * [plane(40)], alpha])).save(tmp_path / "mask.png")
    np.testing.assert_allclose(read_mask(tmp_path / "mask.png"), alpha / 255, atol=1e-6)


def test_sixteen_bits_and_alpha_stay_soft(tmp_path: Path) -> None:
    deep = (RAMP * 65535).round().astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_allclose(read_mask(tmp_path / "deep.png"), deep / 65535, atol=1e-6)
    alpha = (RAMP * 255).round().astype(np.uint8)
    Image.fromarray(np.dstack([*3 * [plane(255)], alpha])).save(tmp_path / "alpha.png")
    np.testing.assert_allclose(read_mask(tmp_path / "alpha.png"), alpha / 255, atol=1e-6)


def test_a_jpeg_is_no_map_of_labels(tmp_path: Path) -> None:
    """Its values are blurred: black has very dark grays beside it."""
    gray(255).save(tmp_path / "mask.jpg", quality=95)
    assert np.abs(read_mask(tmp_path / "mask.jpg") - SHAPE).max() < 0.1


def test_dark_grays_of_a_jpeg_are_no_labels(tmp_path: Path) -> None:
    """Beside white, as compression leaves them; blocks of one gray are kept as they are."""
    blocks = np.repeat(np.repeat(np.array([[0, 3, 255]], np.uint8), 8, axis=0), 8, axis=1)
    Image.fromarray(blocks).save(tmp_path / "mask.jpg", quality=95)
    np.testing.assert_allclose(read_mask(tmp_path / "mask.jpg"), blocks / 255, atol=1e-6)


@pytest.mark.parametrize("make", [lambda labels: palette(labels), lambda labels: Image.fromarray(labels)])
def test_of_several_labels_one_is_chosen(tmp_path: Path, make: Callable[[np.ndarray], Image.Image]) -> None:
    path = tmp_path / "mask.png"
    make((SHAPE * 1 + OTHER * 2).astype(np.uint8)).save(path)
    for label, shape in ((1, SHAPE), (2, OTHER), (0, ~(SHAPE | OTHER))):
        np.testing.assert_array_equal(read_mask(path, label), shape)
    with pytest.raises(GainerError, match="holds labels 1 and 2; choose one, such as label: 1"):
        read_mask(path)
    with pytest.raises(GainerError, match="holds no label 5, but 0, 1 and 2"):
        read_mask(path, 5)


def test_labels_of_few_bits_are_counted_as_stored(tmp_path: Path) -> None:
    """Decoded, a 1 of one bit is 255."""
    gray(255).convert("1").save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", 1), SHAPE)


UNCLEAR: dict[str, Callable[[], Image.Image]] = {
    "labels, one as dark as VOC's gray": lambda: gray(38),
    "labels that are gray": lambda: Image.fromarray((SHAPE * 38 + OTHER * 75).astype(np.uint8)),
    "few grays, none white": lambda: Image.fromarray((SHAPE * 150 + OTHER * 200).astype(np.uint8)),
    "a label of 16 bits, or very dark": lambda: gray(300, dtype=np.uint16),
    "a label with a white rim": lambda: Image.fromarray((SHAPE * 1 + OTHER * 255).astype(np.uint8)),
    "painted labels": lambda: Image.fromarray(
        (SHAPE[..., None] * np.array(RED) + OTHER[..., None] * np.array((0, 128, 0))).astype(np.uint8)
    ),
    "one shape under another's alpha": lambda: Image.fromarray(
        np.dstack([*3 * [SHAPE * np.uint8(255)], (RAMP > 0.4) * np.uint8(255)])
    ),
}


@pytest.mark.parametrize("kind", UNCLEAR)
def test_what_is_unclear_is_refused_and_can_be_said(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mask.png"
    image = UNCLEAR[kind]()
    image.save(path)
    with pytest.raises(GainerError, match="label: luma") as refused:
        read_mask(path)
    assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)
    deep = image.mode.startswith("I")
    values = np.asarray(image) / 65535 if deep else np.asarray(image.convert("RGB")) @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(read_mask(path, "luma"), values, atol=1e-6)


def test_alpha_can_be_asked_for(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([*3 * [SHAPE * np.uint8(255)], plane(51)])).save(tmp_path / "mask.png")
    np.testing.assert_allclose(read_mask(tmp_path / "mask.png", "alpha"), 0.2, atol=1e-6)
    gray(255).save(tmp_path / "gray.png")
    with pytest.raises(GainerError, match="has no alpha"):
        read_mask(tmp_path / "gray.png", "alpha")


@pytest.mark.parametrize("values", [(0, 12, 255), (0, 38, 75), (0, 1, 2), (0, 0, 0)])
def test_our_own_masks_are_read_as_they_are(tmp_path: Path, values: tuple[int, ...]) -> None:
    mask = np.tile(np.array(values, np.float32) / 255, (4, 2))
    (tmp_path / "mask.png").write_bytes(mask_bytes(mask))
    np.testing.assert_allclose(read_mask(tmp_path / "mask.png"), mask, atol=1e-6)


def test_our_own_masks_of_16_bits_are_read_as_they_are(tmp_path: Path) -> None:
    """To half a step."""
    mask = np.linspace(0, 1, 999, dtype=np.float32).reshape(27, 37)
    (tmp_path / "mask.png").write_bytes(mask_bytes(mask))
    assert np.abs(read_mask(tmp_path / "mask.png").astype(np.float64) - mask).max() < 0.501 / 65535
