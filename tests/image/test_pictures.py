"""Every kind of picture, from its file through ns-train and back to a file."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from nerfstudio.scripts.eval import ComputePSNR
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.image.loading import load_baked
from gainer_ns.io.image_io import read_picture
from gainer_ns.io.image_writing import write_picture

Fit = Callable[..., Path]
Made = Callable[[np.ndarray, Path], Path]


def _saved(name: str, image: Image.Image, folder: Path, **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def _deep(name: str, samples: np.ndarray, folder: Path) -> Path:
    """16 bits a sample, the lower 8 of them noise; blue comes first."""
    noise = np.random.default_rng(0).integers(0, 256, samples.shape, dtype=np.uint16)
    cv2.imwrite(str(folder / name), samples.astype(np.uint16) * 256 + noise)
    return folder / name


def _rgba(colours: np.ndarray, alpha: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([colours, alpha.astype(np.uint8)]))


def _palette_with_a_transparent_colour(colours: np.ndarray, folder: Path) -> Path:
    return _saved("trns.png", Image.fromarray(colours).quantize(16), folder, transparency=3)


def _turned(colours: np.ndarray, folder: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _saved("turned.jpg", Image.fromarray(colours), folder, exif=exif)


def _ramp(colours: np.ndarray) -> np.ndarray:
    return np.linspace(1, 255, colours.shape[1]) * np.ones(colours.shape[:2])


def _disc(colours: np.ndarray) -> np.ndarray:
    row, column = np.indices(colours.shape[:2])
    return np.where(np.hypot(row - 12, column - 20) < 10, 255, 0)


KINDS: dict[str, Made] = {
    "rgb": lambda c, to: _saved("rgb.png", Image.fromarray(c), to),
    "gray": lambda c, to: _saved("gray.png", Image.fromarray(c).convert("L"), to),
    "one bit": lambda c, to: _saved("bit.png", Image.fromarray(c).convert("1"), to),
    "palette": lambda c, to: _saved("palette.png", Image.fromarray(c).quantize(16), to),
    "transparent palette": _palette_with_a_transparent_colour,
    "cmyk": lambda c, to: _saved("cmyk.jpg", Image.fromarray(c).convert("CMYK"), to),
    "exif": _turned,
    "webp": lambda c, to: _saved("lossless.webp", Image.fromarray(c), to, lossless=True),
    "soft alpha": lambda c, to: _saved("soft.png", _rgba(c, _ramp(c)), to),
    "hard alpha": lambda c, to: _saved("hard.png", _rgba(c, _disc(c)), to),
    "gray and alpha": lambda c, to: _saved("la.png", _rgba(c, _disc(c)).convert("LA"), to),
    "16-bit gray": lambda c, to: _deep("gray16.png", c[..., 0], to),
    "16-bit rgb": lambda c, to: _deep("rgb16.png", c, to),
    "16-bit rgba": lambda c, to: _deep("rgba16.png", np.dstack([c, _ramp(c)]), to),
    "1 x 1": lambda c, to: _saved("one.png", Image.fromarray(c[:1, :1]), to),
    "2 x 2": lambda c, to: _saved("two.png", Image.fromarray(c[:2, :2]), to),
    "row": lambda c, to: _saved("row.png", Image.fromarray(c.reshape(1, -1, 3)[:, :400]), to),
    "column": lambda c, to: _saved("column.png", Image.fromarray(c.reshape(-1, 1, 3)[:400]), to),
    "strip": lambda c, to: _saved("strip.png", Image.fromarray(np.tile(c.reshape(1, -1, 3), (1, 21, 1))), to),
    "one colour": lambda c, to: _saved("flat.png", Image.new("RGB", (20, 12), (255, 127, 0)), to),
    "noise": lambda c, to: _saved(
        "noise.png", Image.fromarray(np.random.default_rng(0).permuted(c.ravel()).reshape(c.shape)), to
    ),
    "chessboard": lambda c, to: _saved(
        "chess.png", Image.fromarray(np.uint8(np.indices((24, 40)).sum(0) % 2 * 255)), to
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_back_exactly(kind: str, fit: Fit, photo: Path, tmp_path: Path) -> None:
    colours = np.asarray(Image.open(photo))[:24, :40]
    path = KINDS[kind](colours, tmp_path)
    source = read_picture(path)
    config = fit(path, tmp_path)
    picture = load_baked(config)
    rgb, alpha = (part.numpy() for part in picture.raster())
    visible = np.ones(rgb.shape[:2], bool) if source.alpha is None else source.alpha > 0
    error = np.square(rgb - source.colours(), dtype=np.float64)[visible].mean()
    assert -10 * np.log10(max(error, 1e-20)) > 77
    np.testing.assert_array_equal(alpha[..., 0] > 0, visible)
    write_picture(tmp_path / "back.png", rgb, bit_depth=picture.bit_depth)
    assert picture.bit_depth == source.bit_depth
    np.testing.assert_array_equal(read_picture(tmp_path / "back.png").rgb[visible], source.rgb[visible])
    ComputePSNR(config, tmp_path / "metrics.json").main()


def _text(folder: Path) -> str:
    (folder / "text.png").write_text("This is not a picture.")
    return "text.png"


def _empty(folder: Path) -> str:
    (folder / "empty.png").touch()
    return "empty.png"


def _folder(folder: Path) -> str:
    (folder / "folder.png").mkdir()
    return "folder.png"


def _truncated(folder: Path) -> str:
    whole = _saved("whole.png", Image.effect_noise((32, 32), 50), folder).read_bytes()
    (folder / "cut.png").write_bytes(whole[:600])
    return "cut.png"


def _clear(folder: Path) -> str:
    return _saved("clear.png", Image.new("RGBA", (9, 9)), folder).name


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (_text, "not a picture of a known kind"),
        (_empty, "is empty"),
        (_folder, "is a folder"),
        (_truncated, "cut short or damaged"),
        (_clear, "every pixel is transparent"),
        (lambda folder: "missing.png", "does not exist"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(
    make: Callable[[Path], str], complaint: str, fit: Fit, tmp_path: Path
) -> None:
    name = make(tmp_path)
    with pytest.raises(GainerError, match=complaint) as caught:
        fit(tmp_path / name, tmp_path / "out")
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
