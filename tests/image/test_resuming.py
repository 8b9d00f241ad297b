"""A fit that was stopped and taken up again ends as one that was not: equal in every bit, for every method."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.pipelines.base_pipeline import VanillaPipeline
from PIL import Image

from gainer_ns.fitting import bands
from gainer_ns.fitting.loop import FitLoop
from gainer_ns.image.trainer import PictureTrainer

Fit = Callable[..., Path]
Edit = Callable[[Any], None]


@pytest.fixture(scope="session")
def small(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 40 x 28 pixels, and a depth of it. Not to be written to."""
    folder = tmp_path_factory.mktemp("small")
    Image.open(photo).crop((10, 20, 50, 48)).save(folder / "small.png")
    np.save(folder / "depth.npy", np.linspace(1, 2, 28 * 40, dtype=np.float32).reshape(28, 40))
    return folder / "small.png"


def gainer(config: Any) -> None:
    """Adam on few Gaussians whose covariances are learned, then a finish of two steps."""
    model = config.pipeline.model
    model.gaussians_per_pixel, model.adam_steps, model.finish_steps, model.target_psnr = 0.4, 9, 4, 200.0


def finish_alone(config: Any) -> None:
    """An MLP on a Gaussian a pixel, which takes three Gauss-Newton steps, whatever it has reached."""
    model = config.pipeline.model
    model.hidden_layers, model.target_psnr, model.finish_steps = 2, 200.0, 3


def closed_form(config: Any) -> None:
    """The exact method as it is."""


def compact(config: Any) -> None:
    """Levenberg steps, whose damping changes."""
    config.pipeline.model.finish_steps, config.pipeline.model.gaussians_per_pixel = 8, 0.3


def paper(config: Any) -> None:
    config.pipeline.model.adam_steps, config.pipeline.model.num_gaussians = 12, 500


def lift(config: Any) -> None:
    data = config.pipeline.datamanager
    data.depth_path, data.focal_length = config.data.with_name("depth.npy"), 50.0
    config.pipeline.model.target_psnr = 200.0


def baseline(config: Any) -> None:
    config.pipeline.model.steps = 12
    if config.pipeline.model.pixels_per_step is not None:
        config.pipeline.model.pixels_per_step = 100


RECIPES: dict[tuple[str, Edit], tuple[int, ...]] = {
    ("gainer", gainer): (3, 8, 9),
    ("gainer", finish_alone): (1,),
    ("gainer-compact", compact): (1, 3, 6),
    ("gainer-paper", paper): (5,),
    ("gainer-lift", lift): (1, 2),
    ("ingp", baseline): (4,),
    ("gaussian-image", baseline): (4,),
}
"""Methods, and the steps after which they are stopped."""


def checkpoint(config: Path, step: int | None = None) -> dict[str, Any]:
    """What a run has saved last, or after a step, but for what tells the time."""
    folder = config.parent / "nerfstudio_models"
    paths = sorted(folder.glob("*.ckpt"))
    state = torch.load(paths[-1] if step is None else folder / f"step-{step:09d}.ckpt")
    fit = state["fit"]
    fit["history"] = [(number, psnr) for number, _, psnr in fit["history"]]
    del fit["seconds"]
    if fit.pop("next_psnr", None) is not None:  # baselines measure by the clock
        del fit["history"], fit["gain"]
    return state


def assert_equal(one: Any, other: Any, where: str = "") -> None:
    """Equal in every bit, however nested."""
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for number, (first, second) in enumerate(zip(one, other, strict=True)):
            assert_equal(first, second, f"{where}[{number}]")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, where


def resuming(run: Path, recipe: Edit, step: int | None = None) -> Edit:
    def edit(config: Any) -> None:
        recipe(config)
        config.load_dir, config.load_step = run.parent / "nerfstudio_models", step

    return edit


@pytest.mark.parametrize(("method", "recipe"), RECIPES, ids=lambda value: getattr(value, "__name__", value))
def test_after_any_step(fit: Fit, small: Path, tmp_path: Path, method: str, recipe: Edit) -> None:
    def keeping_all(config: Any) -> None:
        recipe(config)
        config.steps_per_save, config.save_only_latest_checkpoint = 1, False

    whole = fit(small, tmp_path, method, keeping_all)
    expected = checkpoint(whole)
    for step in RECIPES[method, recipe]:
        assert step < expected["step"], "the fit ends before it is stopped"
        resumed = fit(small, tmp_path, method, resuming(whole, recipe, step))
        assert_equal(checkpoint(resumed), expected, f"stopped after step {step}: ")


def test_the_number_of_steps_is_that_of_the_whole_run(fit: Fit, small: Path, tmp_path: Path, capsys: Any) -> None:
    def of_so_many(steps: int, before: Edit = gainer) -> Edit:
        def edit(config: Any) -> None:
            before(config)
            config.max_num_iterations = steps

        return edit

    expected = checkpoint(fit(small, tmp_path, "gainer", of_so_many(6)))
    half = fit(small, tmp_path, "gainer", of_so_many(4))
    assert checkpoint(half)["step"] == 3
    assert "Stopped by --max-num-iterations after step 3; raise it" in " ".join(capsys.readouterr().out.split())
    assert_equal(checkpoint(fit(small, tmp_path, "gainer", of_so_many(6, resuming(half, gainer)))), expected)
    again = fit(small, tmp_path, "gainer", of_so_many(4, resuming(half, gainer)))
    assert_equal(checkpoint(again), checkpoint(half))


@pytest.mark.parametrize("recipe", [gainer, closed_form])
def test_what_is_finished_stays_as_it_is(fit: Fit, small: Path, tmp_path: Path, recipe: Edit) -> None:
    """Checkpoints are named after the last step that was taken, and a fit that ended takes no other."""
    whole = fit(small, tmp_path, "gainer", recipe)
    resumed = fit(small, tmp_path, "gainer", resuming(whole, recipe))
    assert_equal(checkpoint(resumed), checkpoint(whole))
    (name,) = (path.name for path in (resumed.parent / "nerfstudio_models").iterdir())
    assert name == f"step-{checkpoint(whole)['step']:09d}.ckpt"


def test_what_is_finished_goes_on_where_more_steps_are_asked_for(fit: Fit, small: Path, tmp_path: Path) -> None:
    whole = fit(small, tmp_path, "gainer", gainer)

    def farther(config: Any) -> None:
        resuming(whole, gainer)(config)
        config.pipeline.model.adam_steps = checkpoint(whole)["step"] + 4

    assert checkpoint(fit(small, tmp_path, "gainer", farther))["step"] > checkpoint(whole)["step"]


def test_checkpoints_from_before_fits_were_kept(fit: Fit, small: Path, tmp_path: Path) -> None:
    def keeping_all(config: Any) -> None:
        compact(config)
        config.pipeline.model.finish_steps, config.steps_per_save = 12, 5

    whole = fit(small, tmp_path, "gainer-compact", keeping_all)
    (path,) = (whole.parent / "nerfstudio_models").iterdir()
    state = torch.load(path)
    del state["fit"]
    state["step"] = 7
    torch.save(state, path)
    resumed = checkpoint(fit(small, tmp_path, "gainer-compact", resuming(whole, keeping_all)))
    assert resumed["step"] == 11 and resumed["fit"]["psnr"] > 15


def test_a_limit_of_time_goes_on(fit: Fit, small: Path, tmp_path: Path) -> None:
    """What was spent of it stays spent, and whether Adam's share is over stays said."""

    def limited(config: Any) -> None:
        gainer(config)
        config.pipeline.model.fit_seconds, config.steps_per_save = 0.5, 1

    def at_its_end(config: Any) -> None:
        resuming(whole, limited)(config)

    whole = fit(small, tmp_path, "gainer", limited)
    (path,) = (whole.parent / "nerfstudio_models").iterdir()
    before = torch.load(path)
    assert sum(before["fit"]["seconds"].values()) > 0.4 and before["fit"]["adam_steps"] < before["step"] + 1
    after = torch.load(next((fit(small, tmp_path, "gainer", at_its_end).parent / "nerfstudio_models").iterdir()))
    assert after["step"] == before["step"] and after["fit"]["seconds"] == before["fit"]["seconds"]


@pytest.fixture
def banded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of four rows, with a halo of two: the small picture has seven."""
    monkeypatch.setattr(bands, "BAND_PIXELS", 160)
    monkeypatch.setattr(bands, "HALO_ROWS", 2)


class Killed(Exception):
    """The process ends here, and nothing that follows is done."""


@pytest.mark.usefixtures("banded")
@pytest.mark.parametrize("saves", [1, 3, 7, 8, 9, 12])
def test_bands_that_are_done_are_kept(
    fit: Fit, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saves: int
) -> None:
    """Killed between any two bands, the first ones included, when a checkpoint had been written just before."""
    expected = checkpoint(fit(small, tmp_path / "whole", "gainer", finish_alone))
    save, done = PictureTrainer.save_checkpoint, []

    def then_killed(self: PictureTrainer, step: int) -> None:
        save(self, step)
        done.append(step)
        if len(done) == saves:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("gainer_ns.fitting.loop.SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        patch.setattr(PictureTrainer, "save_checkpoint", then_killed)
        with pytest.raises(Killed):
            fit(small, tmp_path / "killed", "gainer", finish_alone)
    (killed,) = (tmp_path / "killed").rglob("config.yml")
    kept = checkpoint(killed)
    so_far = kept["fit"]["so_far"]
    assert (so_far is None) == (saves == 9), "the ninth comes after a step, whose seven bands had one each"
    assert so_far is None or so_far[0] == (saves - 1 if saves < 9 else saves - 9)
    assert kept["step"] == (-1 if saves < 9 else 0)
    assert_equal(checkpoint(fit(small, tmp_path, "gainer", resuming(killed, finish_alone))), expected)


@pytest.mark.usefixtures("banded")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("band", "step"), [(2, -1), (9, 0), (16, 0)], ids=["first step", "drawing", "second step"])
def test_signals_are_answered_between_bands(
    fit: Fit, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, band: int, step: int
) -> None:
    expected = checkpoint(fit(small, tmp_path / "whole", "gainer", finish_alone))
    make, made = bands.PictureBands._band, []

    def signalled(self: bands.PictureBands, top: int, bottom: int) -> bands.Band:
        made.append(top)
        if len(made) == band:
            os.kill(os.getpid(), number)
        return make(self, top, bottom)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(bands.PictureBands, "_band", signalled)
        with pytest.raises(SystemExit) as caught:
            fit(small, tmp_path / "stopped", "gainer", finish_alone)
    assert caught.value.code == 128 + number and signal.getsignal(number) == before
    (stopped,) = (tmp_path / "stopped").rglob("config.yml")
    assert checkpoint(stopped)["step"] == step
    assert_equal(checkpoint(fit(small, tmp_path, "gainer", resuming(stopped, finish_alone))), expected)


@pytest.mark.parametrize(("method", "recipe"), [("gainer-compact", compact), ("gainer-lift", lift)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_answered_after_the_step(
    fit: Fit,
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    recipe: Edit,
    number: signal.Signals,
) -> None:
    expected = checkpoint(fit(small, tmp_path / "whole", method, recipe))
    take_step = VanillaPipeline.get_train_loss_dict

    def signalled(self: VanillaPipeline, step: int) -> Any:
        if step == 1:
            os.kill(os.getpid(), number)
        return take_step(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(VanillaPipeline, "get_train_loss_dict", signalled)
        with pytest.raises(SystemExit) as caught:
            fit(small, tmp_path / "stopped", method, recipe)
    assert caught.value.code == 128 + number
    (stopped,) = (tmp_path / "stopped").rglob("config.yml")
    assert checkpoint(stopped)["step"] == 1
    assert_equal(checkpoint(fit(small, tmp_path, method, resuming(stopped, recipe))), expected)


def test_a_second_signal_is_answered_at_once(
    fit: Fit, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = FitLoop.begin_step

    def signalled(self: FitLoop, step: int) -> None:
        begin(self, step)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("went on")

    monkeypatch.setattr(FitLoop, "begin_step", signalled)
    with pytest.raises(SystemExit) as caught:
        fit(small, tmp_path, "gainer", gainer)
    assert caught.value.code == 130
    assert not list(tmp_path.rglob("*.ckpt"))
