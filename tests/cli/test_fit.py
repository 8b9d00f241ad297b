"""Pictures in, .safetensors files out, without nerfstudio."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gainer_ns as gn
from gainer_ns.io.image_io import read_picture

Gainer = Callable[..., None]
Refusal = Callable[..., str]


@pytest.fixture
def small(photo: Path, tmp_path: Path) -> Path:
    """A corner of the photo that no other test reads."""
    path = tmp_path / "small.png"
    Image.open(photo).crop((0, 0, 24, 16)).save(path)
    return path


def same(picture: Path, stored: Path) -> bool:
    drawn, source = gn.load(stored, device="cpu").render(dtype="uint16"), read_picture(picture)
    if source.bit_depth == 8:
        drawn = gn.load(stored, device="cpu").render()
    shows = slice(None) if source.alpha is None else source.alpha > 0
    alike = source.alpha is None or np.array_equal(drawn[..., 3], source.alpha)
    return alike and np.array_equal(drawn[..., :3][shows], source.rgb[shows])


def test_a_picture_becomes_a_file(gainer: Gainer, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = small.with_name("made") / "small.SAFETENSORS"
    gainer("fit", small, "--output", output)
    assert same(small, output)
    assert f"Wrote {output}: 24 x 16 pixels, 384 Gaussians, " in capsys.readouterr().out


def test_it_is_the_fit_of_python(gainer: Gainer, small: Path) -> None:
    output, other = small.with_name("a.safetensors"), small.with_name("b.safetensors")
    gainer("fit", small, "--output", output, "--gaussians-per-pixel", 1.5, "--downscale", 2, "--seed", 3)
    gn.fit(small, gaussians_per_pixel=1.5, downscale=2, seed=3).save(other)
    assert output.read_bytes() == other.read_bytes()


def test_a_method_and_a_limit(gainer: Gainer, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gainer("fit", small, "--output", small.with_name("few"), "--method", "gainer-compact", "--seconds", 0.2)
    assert ": 24 x 16 pixels, 69 Gaussians, " in capsys.readouterr().out


def test_many_kinds_at_once(gainer: Gainer, small: Path) -> None:
    rgb, folder = np.asarray(Image.open(small)), small.parent
    alpha = np.linspace(0, 255, rgb[..., 0].size).astype(np.uint8).reshape(rgb.shape[:2])
    kinds = {
        "rgba.png": Image.fromarray(np.dstack((rgb, alpha))),
        "gray.jpg": Image.fromarray(rgb[..., 0]),
        "deep.tif": Image.fromarray(rgb[..., 0].astype(np.uint16) * 257 + 3),
        "palette.gif": Image.open(small).quantize(16),
    }
    for name, image in kinds.items():
        image.save(folder / name)
    gainer("fit", small, *(folder / name for name in kinds), "--output", folder / "fitted")
    for name in ("small.png", *kinds):
        assert same(folder / name, folder / "fitted" / f"{Path(name).stem}.safetensors"), name


@pytest.mark.parametrize(
    ("bad", "words", "said"),
    [
        (b"", [], "is empty"),
        (b"no picture", [], "not a picture of a known kind"),
        (b"%PDF-1.7", [], "is a PDF"),
        (None, [], "does not exist"),
        (b"\x89PNG\r\n\x1a\n", ["--downscale", 0], "--downscale 0"),
    ],
)
def test_nothing_is_fitted_where_a_name_is_wrong(
    bad: bytes | None, words: list[object], said: str, refusal: Refusal, small: Path
) -> None:
    wrong, output = small.with_name("wrong.png"), small.with_name("fitted")
    if bad is not None:
        wrong.write_bytes(bad)
    found = refusal("fit", small, wrong, "--output", output, *words)
    assert said in found and (bool(words) or found.startswith(f"{wrong}: ")) and not output.exists()


def test_a_damaged_picture_is_passed_over(
    refusal: Refusal, small: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut, output = small.with_name("cut.png"), small.with_name("fitted")
    cut.write_bytes(photo.read_bytes()[:4000])
    found = refusal("fit", cut, small, "--output", output)
    assert found.startswith(f"{cut}: is cut short or damaged") and found.endswith("; 1 of 2 pictures were fitted")
    assert same(small, output / "small.safetensors") and [one.name for one in output.iterdir()] == ["small.safetensors"]
    assert f"Passed over {cut}: " in capsys.readouterr().out
    assert refusal("fit", cut, "--output", output).startswith(f"{cut}: is cut short or damaged")


def test_names_that_cannot_be(refusal: Refusal, small: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "Small.jpg"
    other.parent.mkdir()
    Image.open(small).save(other)
    assert "would both become small.safetensors" in refusal("fit", small, other, "--output", tmp_path / "fitted")
    assert "name a folder" in refusal("fit", small, other, "--output", tmp_path / "one.safetensors")
    assert "end the name in .safetensors" in refusal("fit", small, "--output", tmp_path / "one.png")
    assert "is a file" in refusal("fit", small, "--output", other.rename(other.with_suffix("")))
    assert "no picture is named" in refusal("fit", "--output", tmp_path / "one.safetensors")


@pytest.mark.parametrize("link", [None, Path.symlink_to, Path.hardlink_to])
def test_a_picture_is_never_replaced(link: Callable[[Path, Path], None] | None, refusal: Refusal, small: Path) -> None:
    output = small.with_suffix(".safetensors")
    if link is None:
        small = small.rename(output)
    else:
        link(output, small)
    before = small.read_bytes()
    assert "is the picture" in refusal("fit", small, "--output", output)
    assert "is the picture" in refusal("fit", small, "--output", small.parent)
    assert small.read_bytes() == before


def test_it_needs_neither_nerfstudio_nor_a_viewer(small: Path) -> None:
    """Nor what compiles and logs for those who train networks."""
    code = (
        "import sys; from gainer_ns.cli.main import entrypoint; entrypoint(sys.argv[1:])\n"
        "heavy = {'nerfstudio', 'viser', 'gsplat', 'tensorboard', 'torch._dynamo', 'torch._inductor', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    output = small.with_suffix(".safetensors")
    run = subprocess.run([sys.executable, "-c", code, "fit", small, "--output", output], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert same(small, output)


def test_what_is_shown_runs(gainer: Gainer, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the README that fit."""
    monkeypatch.chdir(tmp_path)
    for name in ("photo.png", "shots/a.png", "shots/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(photo, tmp_path / name)
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf8")
    lines = [line.split() for line in readme.splitlines() if line.startswith(".venv/bin/gainer fit ")]
    assert len(lines) >= 2
    for line in lines:
        words = [
            found for word in line[1:] for found in (sorted(map(str, Path().glob(word))) if "*" in word else [word])
        ]
        gainer(*words)
    assert {"a.safetensors", "b.safetensors"} <= {path.name for path in (tmp_path / "fitted").iterdir()}
