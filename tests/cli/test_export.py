import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gainer_ns.editing.script import Script
from gainer_ns.editing.stage import Stage
from gainer_ns.fitting.trainer import fit_layer
from gainer_ns.frames import ImagePlane
from gainer_ns.image.loading import load_baked
from gainer_ns.io.image_io import read_picture
from gainer_ns.recipes import RECIPES
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import save_picture

Gainer = Callable[..., None]
Refusal = Callable[..., str]


@pytest.fixture(scope="session")
def learned(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photo as steps fit it, to features that are no function of its pixels: do not write to it."""
    read = read_picture(photo)
    recipe = replace(RECIPES["gainer"].picture, hidden_layers=1, finish_steps=2)
    layer, _ = fit_layer(torch.from_numpy(read.colours()), None, recipe, RECIPES["gainer"].adam)
    path = tmp_path_factory.mktemp("learned") / "learned.safetensors"
    save_picture(BakedPicture(ImagePlane(read.width, read.height), (layer,), 8), path)
    return path


@pytest.fixture(scope="session")
def exported(learned: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The learned photo, exported at each number of bits. Shared by the whole session: do not write to them."""
    from gainer_ns.cli.main import entrypoint

    folder = tmp_path_factory.mktemp("exported")
    files = {bits: folder / f"{bits}.safetensors" for bits in (32, 16, 8)}
    for bits, file in files.items():
        entrypoint(["export", "--load-config", str(learned), "--output", str(file), "--bits", str(bits)])
    return files


@pytest.mark.parametrize(("bits", "least"), [(32, 130.0), (16, 60.0), (8, 60.0)])
def test_the_file_draws_the_picture_of_the_run(
    bits: int, least: float, exported: dict[int, Path], learned: Path
) -> None:
    run, file = load_baked(learned), load_baked(exported[bits])
    for scale in (1.0, 2.0):
        error = (file.raster(scale)[0] - run.raster(scale)[0]).double().square().mean()
        assert -10 * torch.log10(error) > least
    assert file.bit_depth == run.bit_depth and file.only_layer.half_extent == run.only_layer.half_extent


def test_fewer_bits_make_smaller_files(exported: dict[int, Path]) -> None:
    sizes = [exported[bits].stat().st_size for bits in (32, 16, 8)]
    assert sizes[1] < 0.52 * sizes[0] and sizes[2] < 0.54 * sizes[1]


@pytest.mark.parametrize("bits", [32, 8])
def test_a_fit_in_closed_form_is_kept_as_its_pixels(
    bits: int, gainer: Gainer, fitted_run: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "photo.safetensors"
    gainer("export", "--load-config", fitted_run, "--bits", bits, "--output", output)
    assert "6,144 Gaussians, as pixels, losslessly" in capsys.readouterr().out
    assert torch.equal(load_baked(output).gaussians.features, load_baked(fitted_run).gaussians.features)


def test_it_says_what_it_wrote(
    gainer: Gainer, learned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new folder" / "[red]photo.safetensors"
    gainer("export", "--load-config", learned, "--format", "safetensors", "--output", output)
    said = capsys.readouterr().out
    assert f"Wrote {output}: {output.stat().st_size:,} bytes, 6,144 Gaussians, 32 bits a feature channel" in said


def test_a_file_of_a_file_is_the_same(gainer: Gainer, exported: dict[int, Path], tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    gainer("export", "--load-config", exported[32], "--output", again)
    assert again.read_bytes() == exported[32].read_bytes()


def test_neither_source_nor_run_is_needed(
    gainer: Gainer, fit: Callable[..., Path], photo: Path, tmp_path: Path
) -> None:
    source, stored = tmp_path / "source.png", tmp_path / "stored.safetensors"
    pictures = [tmp_path / f"{number}.png" for number in range(3)]
    shutil.copy(photo, source)
    config = fit(source, tmp_path / "runs")
    gainer("export", "--load-config", config, "--output", stored)
    gainer("render", "--load-config", config, "--output", pictures[0], "--scale", 2)
    source.unlink()
    gainer("render", "--load-config", config, "--output", pictures[1], "--scale", 2)
    shutil.rmtree(tmp_path / "runs")
    gainer("render", "--load-config", stored, "--output", pictures[2], "--scale", 2)
    assert pictures[0].read_bytes() == pictures[1].read_bytes() == pictures[2].read_bytes()


@pytest.mark.parametrize("name", ["photo.bin", "photo"])
def test_the_name_tells_the_kind(name: str, refusal: Refusal, fitted_run: Path, tmp_path: Path) -> None:
    assert ".safetensors" in refusal("export", "--load-config", fitted_run, "--output", tmp_path / name)


def test_what_cannot_be_written_is_refused(refusal: Refusal, fitted_run: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "file").touch()
    for output in (tmp_path / "folder.safetensors", tmp_path / "file" / "photo.safetensors"):
        message = refusal("export", "--load-config", fitted_run, "--output", output)
        assert message.startswith(str(output))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.safetensors"]


def test_other_and_damaged_files_are_refused(
    exported: dict[int, Path], refusal: Refusal, photo: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, other)
    assert "not a picture of gainer" in refusal("render", "--load-config", other, "--output", tmp_path / "out.png")
    other.write_bytes(exported[8].read_bytes()[:-1000])
    assert "damaged" in refusal("render", "--load-config", other, "--output", tmp_path / "out.png")
    shutil.copy(photo, other)
    assert "damaged" in refusal("render", "--load-config", other, "--output", tmp_path / "out.png")
    missing = tmp_path / "missing.safetensors"
    assert "no such file" in refusal("render", "--load-config", missing, "--output", tmp_path / "out.png")


@pytest.fixture(scope="session")
def edited(exported: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fitted photo with a part moved over the rest, as a file. Shared by the whole session: do not write to it."""
    part = {"select": {"box": [10, 10, 50, 40]}, "mode": "piece", "move": {"by": [30, 5.5]}}
    edits = [part, {"wave": {"amplitude": 2, "period": 40}}]
    picture = Stage(Script.model_validate({"edits": edits}), load_baked(exported[32])).at(1.0)
    assert len(picture.layers) == 2
    path = tmp_path_factory.mktemp("edited") / "edited.safetensors"
    save_picture(picture, path)
    return path


@pytest.mark.parametrize(("bits", "least"), [(32, 130.0), (16, 50.0), (8, 50.0)])
def test_a_picture_of_several_layers_is_exported_and_drawn(
    bits: int, least: float, edited: Path, gainer: Gainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "again.safetensors"
    gainer("export", "--load-config", edited, "--output", output, "--bits", bits)
    before, after = load_baked(edited), load_baked(output)
    count = sum(map(len, before.rest_layers))
    assert f"{count:,} Gaussians, {bits} bits" in capsys.readouterr().out
    for scale in (1.0, 2.0):
        (was_rgb, was_alpha), (now_rgb, now_alpha) = before.raster(scale), after.raster(scale)
        # Where next to nothing shows, rounding may leave nothing, which has no colour.
        for was, now in ((was_rgb * was_alpha, now_rgb * now_alpha), (was_alpha, now_alpha)):
            assert -10 * torch.log10((was - now).double().square().mean()) > least
    gainer("render", "--load-config", output, "--output", tmp_path / "out.png")
    assert (tmp_path / "out.png").exists()


@pytest.mark.parametrize("kind", ["points", "triangles", "cage", "splat"])
def test_other_kinds_hold_one_layer(kind: str, edited: Path, refusal: Refusal, tmp_path: Path) -> None:
    output = tmp_path / ("cage.obj" if kind == "cage" else f"{kind}.ply")
    message = refusal("export", "--load-config", edited, "--format", kind, "--output", output)
    assert message.startswith(str(edited)) and f"2 layers, and a {kind} file holds one" in message
    assert not list(tmp_path.iterdir())
