"""The compact method, from ns-train to files and edits."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gainer_ns as gn
from gainer_bench.between_pixels import edit_quality
from gainer_bench.known_edits import KnownEdit, known_edits
from gainer_ns.cli.main import entrypoint
from gainer_ns.editing.script import Script, read_script
from gainer_ns.editing.stage import Stage
from gainer_ns.errors import GainerError
from gainer_ns.fitting.loop import FitLoop
from gainer_ns.image.loading import load_baked
from gainer_ns.io.image_io import read_picture
from gainer_ns.metrics import psnr
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import load_picture, save_picture

Fit = Callable[..., Path]


def _shorter(config: Any) -> None:
    config.pipeline.model.finish_steps = 12
    config.pipeline.model.gaussians_per_pixel = 0.25


@pytest.fixture(scope="module")
def run(fit: Fit, photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(photo, tmp_path_factory.mktemp("compact"), "gainer-compact", _shorter)


@pytest.fixture(scope="module")
def picture(run: Path) -> BakedPicture:
    return load_baked(run, "cpu")


def quality(picture: BakedPicture, photo: Path) -> float:
    return psnr(picture.raster()[0], read_picture(photo).colours())


def test_few_gaussians_show_the_picture(picture: BakedPicture, photo: Path) -> None:
    assert len(picture.gaussians) == round(0.25 * 96 * 64)
    assert picture.gaussians.slopes is not None and len(picture.gaussians.covariances) == len(picture.gaussians)
    assert quality(picture, photo) > 33


def test_the_checkpoint_is_of_the_picture_that_was_measured(picture: BakedPicture, run: Path, photo: Path) -> None:
    """Neighbours are searched for the last time after the last step."""
    again = load_baked(run, "cpu")
    assert torch.equal(again.raster()[0], picture.raster()[0])


@pytest.mark.parametrize(("bits", "least"), [(32, 90.0), (16, 50.0), (8, 40.0)])
def test_files(bits: Any, least: float, picture: BakedPicture, photo: Path, tmp_path: Path) -> None:
    save_picture(picture, tmp_path / "p.safetensors", bits)
    loaded = load_picture(tmp_path / "p.safetensors")
    assert psnr(loaded.raster()[0], picture.raster()[0].numpy()) > least
    assert quality(loaded, photo) > quality(picture, photo) - 0.3
    assert loaded.gaussians.slopes is not None


def test_slopes_turn_with_an_edit(picture: BakedPicture) -> None:
    """A quarter turn about the centre shows what turning the picture shows."""
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    turned = picture.with_gaussians(picture.gaussians.transformed(picture.gaussians.means @ turn.T, turn[None]))
    points = 0.6 * (torch.rand(3000, 2) - 0.5)
    before, after = picture.at(points), turned.at(points @ turn.T)
    inside = (before.alpha[:, 0] > 0) & (after.alpha[:, 0] > 0)
    assert int(inside.sum()) > 500
    assert (before.rgb - after.rgb)[inside].abs().median() < 1e-3


@pytest.mark.parametrize("command", ["edit", "render"])
def test_commands(command: str, run: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("edits:\n  - select: {box: [20, 10, 60, 50]}\n    rotate: {degrees: 30}\n")
    words = {"edit": ("--script", script), "render": ("--scale", 1.5, "--fraction", 0.5)}[command]
    output = tmp_path / "out.png"
    entrypoint([str(word) for word in (command, "--load-config", run, "--output", output, *words)])
    drawn = np.asarray(Image.open(output))
    assert drawn.shape[:2] == ((96, 144) if command == "render" else (64, 96))
    assert drawn[..., :3].std() > 20


@pytest.mark.parametrize("fraction", [0.25, 0.5])
def test_a_part_of_it_is_a_coarse_picture(fraction: float, picture: BakedPicture, photo: Path) -> None:
    coarse = picture.coarse(fraction)
    assert len(coarse.gaussians) == round(fraction * len(picture.gaussians))
    assert 15 < quality(coarse, photo) < quality(picture, photo)
    assert bool((coarse.raster()[1] == 1).all()), "no holes"


def test_pictures_with_alpha(fit: Fit, photo: Path, tmp_path: Path) -> None:
    colours = np.asarray(Image.open(photo))
    row, column = np.indices(colours.shape[:2])
    alpha = np.where(np.hypot(row - 32, column - 48) < 25, 255, 0).astype(np.uint8)
    Image.fromarray(np.dstack([colours, alpha])).save(tmp_path / "cut.png")
    cut = load_baked(fit(tmp_path / "cut.png", tmp_path, "gainer-compact", _shorter), "cpu")
    save_picture(cut, tmp_path / "cut.safetensors", 8)
    for picture, least in ((cut, 30), (load_picture(tmp_path / "cut.safetensors"), 29)):
        rgb, opacity = picture.raster()
        assert (opacity[..., 0] - torch.from_numpy(alpha / 255.0)).abs().max() < 1e-3
        assert psnr(rgb, colours / 255.0, mask=alpha > 0) > least
    turn = {"edits": [{"rotate": {"degrees": 90, "center": [48, 32]}}]}
    turned = Stage(Script.model_validate(turn), cut).at(1.0).raster()[1][..., 0]
    distance = np.hypot(row - 31.5, column - 47.5)
    assert bool((turned[torch.from_numpy(distance > 28)] == 0).all()), "nothing beyond the outline"
    assert bool((turned[torch.from_numpy(distance < 22)] == 1).all()), "no holes"


def test_a_limit_of_time_ends_it(fit: Fit, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock by which a step takes 10 ms, on any machine: after five of them."""

    def spent(loop: FitLoop, on: str, since: float) -> None:
        loop.seconds[on] = loop.seconds.get(on, 0.0) + 0.01

    def for_a_moment(config: Any) -> None:
        config.pipeline.model.fit_seconds = 0.05

    monkeypatch.setattr(FitLoop, "_spent", spent)
    limited = load_baked(fit(photo, tmp_path, "gainer-compact", for_a_moment), "cpu")
    assert quality(limited, photo) > 28


def test_what_is_counted_is_time() -> None:
    counted = SimpleNamespace(seconds={"adam": 1.0})
    FitLoop._spent(counted, "adam", time.monotonic() - 5)  # type: ignore[arg-type]
    assert 6 <= counted.seconds["adam"] < 600


def test_adam_steps_are_refused(fit: Fit, photo: Path, tmp_path: Path) -> None:
    def learning(config: Any) -> None:
        config.pipeline.model.adam_steps = 3

    with pytest.raises(GainerError, match="take finish-steps alone"):
        fit(photo, tmp_path, "gainer-compact", learning)


def test_what_lies_between_the_pixels_is_fitted_too(run: Path, fit: Fit, photo: Path, tmp_path: Path) -> None:
    """Fitted at its pixels alone, a picture is better there, and worse wherever an edit shows it."""

    def at_pixels(config: Any) -> None:
        _shorter(config)
        config.pipeline.model.between_pixels = 0.0

    colours, turn = read_picture(photo).colours(), {"rotate 15": known_edits(96, 64)["rotate 15"]}
    between, alone = (load_baked(path, "cpu") for path in (run, fit(photo, tmp_path, "gainer-compact", at_pixels)))
    edited = [edit_quality(picture, colours, edits=turn)["rotate 15"] for picture in (between, alone)]
    assert edited[0] > edited[1] + 1
    assert quality(alone, photo) > quality(between, photo)


@pytest.mark.parametrize(
    ("method", "share", "message"), [("gainer", 0.5, "learned means"), ("gainer-compact", 1.5, "from 0 to 1")]
)
def test_shares_between_pixels_that_make_no_sense(
    method: str, share: float, message: str, fit: Fit, photo: Path, tmp_path: Path
) -> None:
    def asked(config: Any) -> None:
        config.pipeline.model.between_pixels = share

    with pytest.raises(GainerError, match=message):
        fit(photo, tmp_path, method, asked)


def test_borders_and_cuts_are_straight(picture: BakedPicture) -> None:
    """However few Gaussians there are, and however they were learned to lie."""
    edit = {"select": {"box": [20, 14, 70, 50]}, "mode": "piece", "rotate": {"degrees": 20}}
    turned, cut = KnownEdit.rotation(96, 64, 20.0), Stage(Script.model_validate({"edits": [edit]}), picture)
    whole = Stage(turned.script(), picture).at(1.0).raster()[1][..., 0]
    x, y = np.meshgrid(np.arange(96) + 0.5, np.arange(64) + 0.5)
    back = turned.back(np.stack([x, y], axis=-1))
    depth = np.minimum(back, [96, 64] - back).min(axis=-1)  # how far inside the frame each pixel was
    assert bool((whole[torch.from_numpy(depth > 1.5)] == 1).all())
    assert bool((whole[torch.from_numpy(depth < -1.5)] == 0).all())
    left = cut.at(1.0).layers[0]
    alpha = replace(picture, layers=(left,)).raster()[1][..., 0].numpy()
    inside = np.minimum(np.minimum(x - 20, 70 - x), np.minimum(y - 14, 50 - y))
    assert (alpha[inside > 4] == 0).all()
    assert (alpha[inside < -4] == 1).all()
    straight = (np.abs(x - 45) < 12) & (np.abs(inside) > 1.5)  # away from the corners
    assert (alpha == (inside < 0))[straight].mean() > 0.99


@pytest.mark.parametrize(("bits", "least"), [(32, 90.0), (16, 45.0)])
def test_files_of_edited_pictures(bits: Any, least: float, picture: BakedPicture, tmp_path: Path) -> None:
    edit = {"select": {"box": [20, 14, 70, 50]}, "rotate": {"degrees": 20}}
    edited = Stage(Script.model_validate({"edits": [edit]}), picture).at(1.0)
    save_picture(edited, tmp_path / "edited.safetensors", bits)
    (rgb, alpha), loaded = edited.raster(), load_picture(tmp_path / "edited.safetensors").raster()
    assert psnr(loaded[0] * loaded[1], (rgb * alpha).numpy()) > least
    assert psnr(loaded[1], alpha.numpy()) > least - 15


def test_what_has_moved_is_read_of_a_table(picture: BakedPicture, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Near what its neighbours tell, and hardly further from the photo's spline; one at rest makes none."""
    picture = replace(picture, layers=(layer := replace(picture.only_layer),))  # whatever else was drawn of it
    still = picture.raster()[0]
    assert not layer._tables
    turn = {"edits": [{"rotate": {"degrees": 15}}]}
    fitted = gn.fit(photo)._drawn
    assert isinstance(fitted, BakedPicture)
    drawn, spline = (Stage(read_script(turn, 96, 64), one, {}).at(1.0) for one in (picture, fitted))
    (tabled, alpha), (source, _) = drawn.raster(), spline.raster()
    assert len(layer._tables) == 1 and torch.equal(picture.raster()[0], still)
    with monkeypatch.context() as patch:
        patch.setattr(Layer, "has_table", lambda *_: False)
        exact, own = drawn.raster()
    inside = ((alpha == 1) & (own == 1)).numpy()[..., 0]
    assert psnr(tabled, exact.numpy(), mask=inside) > 43
    found, least = (psnr(one, source.numpy(), mask=inside) for one in (tabled, exact))
    assert found > least - 1 and psnr(alpha, own.numpy()) > 60
