"""Baselines as nerfstudio methods: fitted, stored, drawn and evaluated by the same commands as GaINeR."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.scripts.eval import ComputePSNR
from PIL import Image

from gainer_bench import methods
from gainer_bench.baselines.coordinate_networks import SirenConfig
from gainer_bench.baselines.gaussian_image import GaussianImage, GaussianImageConfig
from gainer_bench.baselines.gaussian_image_kernels import CUT
from gainer_bench.baselines.loading import load_baseline
from gainer_bench.baselines.model import FunctionPicture
from gainer_bench.between_pixels import can_be_edited, drawn_moved, edit_quality
from gainer_bench.fit_measurement import parameter_count, stored_picture
from gainer_bench.known_edits import KnownEdit, known_edits
from gainer_ns.cli.main import entrypoint
from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.image.loading import load_baked

ON_CPU = ("siren", "wire", "finer", "gauss", "fourier", "ingp", "neurbf", "gaussian-image")


def short(config: Any) -> None:
    config.pipeline.model.steps = 40
    config.pipeline.model.pixels_per_step = None if config.method_name == "bench-gaussian-image" else 512
    if hasattr(config.pipeline.model.function, "hidden_dim"):
        config.pipeline.model.function.hidden_dim = 32


@pytest.fixture(scope="module")
def sums(fit: Callable[..., Path], photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config.yml of a GaussianImage fit."""
    return fit(photo, tmp_path_factory.mktemp("sums"), "gaussian-image", short)


@pytest.mark.parametrize("method", ON_CPU)
def test_fitted_loaded_drawn_and_evaluated(method: str, fit: Callable[..., Path], photo: Path, tmp_path: Path) -> None:
    config = fit(photo, tmp_path, method, short)
    ComputePSNR(config, tmp_path / "metrics.json").main()
    psnr = json.loads((tmp_path / "metrics.json").read_text())["results"]["psnr"]
    entrypoint(["render", "--load-config", str(config), "--output", str(tmp_path / "drawn.png")])
    drawn, source = (np.asarray(Image.open(path)) / 255 for path in (tmp_path / "drawn.png", photo))
    assert drawn.shape == source.shape
    assert -10 * np.log10(((drawn - source) ** 2).mean()) == pytest.approx(psnr, abs=0.1)
    assert psnr > (25 if method == "gaussian-image" else 8)


def test_larger_than_the_picture_and_beyond_its_frame(sums: Path) -> None:
    picture = load_baseline(sums)
    rgb, alpha = picture.raster(2.0, (-4.0, -4.0, 20.0, 12.0))
    assert rgb.shape == (32, 48, 3)
    assert float(alpha[:8].max()) == 0 == float(alpha[:, :8].max()) and float(alpha[8:, 8:].min()) == 1


def test_what_moves_gaussians_refuses_it_in_one_line(sums: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("edits: [{move: {by: [1, 0]}}]\n")
    with pytest.raises(GainerError, match="not made of Gaussians"):
        load_baked(sums)
    words = ["edit", "--load-config", str(sums), "--script", str(script), "--output", str(tmp_path / "out.png")]
    with pytest.raises(SystemExit, match="not made of Gaussians") as caught:
        entrypoint(words)
    assert "\n" not in str(caught.value) and not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("steps", "follows", "seconds", "lowered"),
    [(30_000, True, 1.0, True), (30_000, False, 1.0, False), (40, False, 0.4, True)],
    ids=["by the clock", "the beginning of a longer fit", "to its own end"],
)
def test_a_limit_of_time_ends_the_fit(
    steps: int,
    follows: bool,
    seconds: float,
    lowered: bool,
    fit: Callable[..., Path],
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rates fall with the time, or, where they do not follow the clock, are those of as many steps of the whole fit."""
    from gainer_bench.baselines.fit import FunctionFit

    def spent(fit: FunctionFit, on: str, since: float) -> None:  # by a clock by which every step takes 10 ms
        fit.seconds[on] = fit.seconds.get(on, 0.0) + 0.01

    fits: list[Any] = []
    outcome = FunctionFit.outcome
    monkeypatch.setattr(FunctionFit, "_spent", spent)
    monkeypatch.setattr(FunctionFit, "outcome", lambda self: (fits.append(self), outcome(self))[1])

    def limited(config: Any) -> None:
        short(config)
        config.pipeline.model.steps, config.pipeline.model.fit_seconds = steps, 1.0
        config.pipeline.model.rates_follow_clock = follows

    fit(photo, tmp_path, "siren", limited)
    (done,) = fits
    assert sum(done.seconds.values()) == pytest.approx(seconds, abs=0.015)
    (rate,) = (group["lr"] for group in done._trainer.optimizers.optimizers["function"].param_groups)
    first = methods.siren.config.optimizers["function"]["optimizer"].lr
    assert 0 <= rate < 0.05 * first if lowered else 0.95 * first < rate <= first


def test_a_stored_picture_is_as_large_as_its_parameters(sums: Path) -> None:
    picture = load_baseline(sums)
    exact, half = stored_picture(picture, 32), stored_picture(picture, 16)
    numbers = parameter_count(picture)
    assert numbers == 8 * round(0.18 * 96 * 64)
    assert 4 * numbers < exact[0] < 4 * numbers + 2000 and 2 * numbers < half[0] < 2 * numbers + 2000
    drawn = [each.raster()[0] for each in (picture, exact[1], half[1])]
    assert bool((drawn[0] == drawn[1]).all()) and 0 < float((drawn[0] - drawn[2]).abs().max()) < 0.1


def test_moved_gaussians_turn_the_picture() -> None:
    """But for pixels where a Gaussian is cut off: rounding decides of either way whether they are within."""
    plane = ImagePlane(96, 64)
    function = GaussianImage(GaussianImageConfig(), plane, seed=2)
    function.colours.data *= 0.1  # so that sums of theirs are colours
    pixels = plane.pixel_from_plane(plane.pixel_centres(torch.arange(plane.pixels))).double()
    offsets = pixels[:, None] - function.places.detach().double()
    first, below, second = function.factors.detach().double().unbind(-1)
    across = offsets[..., 0] / first
    squared = across.square() + ((offsets[..., 1] - below * across) / second).square()
    clear = ((squared - CUT).abs() > 1e-2).all(dim=1).view(64, 96)
    assert float(clear.float().mean()) > 0.5
    picture = FunctionPicture(plane, function)
    assert can_be_edited(picture)
    turned = drawn_moved(picture, KnownEdit.rotation(96, 64, 90.0), (16.0, -16.0, 80.0, 80.0))
    before = picture.raster()[0]
    assert turned.shape == (96, 64, 3)
    error = (turned - before.transpose(0, 1).flip(0))[clear.transpose(0, 1).flip(0)].abs()
    # Moving adds 1e-6 of a covariance's trace (1.5 at most) to its axes (0.04 at least): of the exponent d / 2 that is
    # 4e-5, of the weight 4e-5 (d / 2) e^(-d/2) <= 1.5e-5, and colours of 0.1 lie ten deep at most.
    assert float(error.max()) < 1e-4, "counter-clockwise"
    assert float((turned - before.transpose(0, 1).flip(1)).abs().mean()) > 0.01, "not the other way round"


def test_edits_of_a_sum_of_gaussians_are_measured(sums: Path, photo: Path) -> None:
    edits = {name: edit for name, edit in known_edits(96, 64).items() if name in ("rotate 90", "stretch 2")}
    scores = edit_quality(load_baseline(sums), np.asarray(Image.open(photo)) / 255, edits=edits)
    assert scores["rotate 90"] > 25 and scores["stretch 2"] > 18


def test_functions_without_gaussians_cannot_be_moved() -> None:
    plane = ImagePlane(16, 12)
    picture = FunctionPicture(plane, SirenConfig(hidden_dim=8).setup(plane=plane, seed=0))
    assert not can_be_edited(picture)
    with pytest.raises(GainerError, match="not made of Gaussians"):
        edit_quality(picture, np.zeros((12, 16, 3)), edits={"turn": KnownEdit.rotation(16, 12, 90.0)}, border=1)


def test_all_at_once_is_what_block_by_block_is() -> None:
    plane = ImagePlane(40, 30)
    function = GaussianImageConfig().setup(plane=plane, seed=1)
    assert isinstance(function, GaussianImage)
    picture = FunctionPicture(plane, function)
    points = plane.pixel_centres(torch.arange(plane.pixels))
    blocks = torch.cat([picture.at(block).rgb for block in points.split(77)])
    assert torch.allclose(picture.at(points).rgb, blocks, atol=2e-3)
    assert picture.block_points >= plane.pixels
    assert replace(picture, bit_depth=16).raster()[0].shape == (30, 40, 3)
