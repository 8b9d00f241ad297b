"""What is wrong with a run is said in one line before anything is written."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from nerfstudio.pipelines.base_pipeline import VanillaPipeline
from nerfstudio.plugins.types import MethodSpecification
from nerfstudio.scripts import train

import gainer_bench.methods as bench_methods
from gainer_ns import methods
from gainer_ns.errors import GainerError
from gainer_ns.image import dataparser, trainer
from gainer_ns.image.model import GainerModel
from gainer_ns.image.run_checks import _numbers, check_bounds

HERE = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}

PLACES: dict[str, tuple[Any, str]] = {
    "the picture": (dataparser, "_read"),
    "the model": (GainerModel, "populate_modules"),
    "a step": (VanillaPipeline, "get_train_loss_dict"),
    "a checkpoint": (trainer.torch, "save"),
}
"""Where a run takes memory."""


@pytest.fixture
def refusal(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs ns-train in this process, expects it to refuse, and returns what it says: one line, and nothing is left."""

    def run(*words: str) -> str:
        out = tmp_path / "out"
        monkeypatch.setattr(sys, "argv", ["ns-train", "gainer", "--data", str(photo), "--output-dir", str(out), *words])
        with pytest.raises((GainerError, SystemExit)) as stopped:
            train.entrypoint()
        said = str(stopped.value)
        assert said and "\n" not in said, said
        assert capfd.readouterr().err == ""
        assert not list(out.rglob("config.yml"))
        return said

    return run


@pytest.mark.parametrize("place", PLACES)
def test_memory_that_runs_out(
    exhaustion: Callable[[], None],
    fit: Callable[..., Path],
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    owner, name = PLACES[place]
    monkeypatch.setattr(owner, name, lambda *_, **__: exhaustion())
    with pytest.raises(GainerError, match=r"^memory ran out; .*--pipeline\.datamanager\.dataparser\.downscale-factor"):
        fit(photo, tmp_path)


@pytest.mark.parametrize(
    "option", ["--machine.num-devices 2", "--machine.num-devices 0", "--machine.num-machines 2"], ids=str
)
def test_more_devices_than_a_picture_takes(refusal: Callable[..., str], option: str) -> None:
    assert refusal(*option.split()).startswith(f"{option}: a picture is fitted on one device")


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("gainer", {"gaussians_per_pixel": 0.0}),
        ("gainer", {"between_pixels": 0.5}),
        ("gainer-compact", {"adam_steps": 2}),
        ("gainer-compact", {"between_pixels": 1.5}),
        ("mirage", {}),
    ],
)
def test_fits_that_cannot_begin(
    fit: Callable[..., Path], photo: Path, tmp_path: Path, method: str, options: dict[str, Any]
) -> None:
    if not options and torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")

    def edit(config: Any) -> None:
        vars(config.pipeline.model).update(options)

    with pytest.raises(GainerError):
        fit(photo, tmp_path, method, edit)
    assert not list(tmp_path.rglob("config.yml"))


@pytest.mark.parametrize("device", [name for name, is_here in HERE.items() if not is_here])
def test_devices_that_are_not_there(refusal: Callable[..., str], device: str) -> None:
    assert refusal("--machine.device-type", device).startswith(f"--machine.device-type {device}: torch ")


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("nowhere.yml", None, "there is no such file"),
        ("photo.yml", b"\x89PNG\r\n\x1a\n", "is a picture"),
        ("notes.yml", b"some: notes", "not a configuration of ns-train"),
        ("broken.yml", b"{", "not a configuration of ns-train"),
        ("odd.yml", b"\xff\xfe", "not a configuration of ns-train"),
        ("deep.yml", b"[" * 5000, "not a configuration of ns-train"),
    ],
)
def test_configurations_that_cannot_be_loaded(
    refusal: Callable[..., str], tmp_path: Path, name: str, data: bytes | None, complaint: str
) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    said = refusal("--load-config", str(path))
    assert said.startswith(f"{path}: ") and complaint in said


@pytest.mark.parametrize("option", ["--load-dir", "--load-checkpoint"])
def test_checkpoints_that_cannot_be_loaded(refusal: Callable[..., str], tmp_path: Path, option: str) -> None:
    assert refusal(option, str(tmp_path / "nowhere")).startswith(f"{tmp_path / 'nowhere'}: ")


CONFIGS: dict[str, Any] = {
    str(kind.config.method_name): kind.config
    for kind in (vars(methods) | vars(bench_methods)).values()
    if isinstance(kind, MethodSpecification)
}


def set_option(config: Any, words: Sequence[str], value: Any) -> None:
    """As the command line sets it: objects that several options share in the methods are of their own there."""
    for word in words[:-1]:
        if isinstance(config, dict):
            config[word] = copy.copy(config[word])
            config = config[word]
        else:
            setattr(config, word, copy.copy(getattr(config, word)))
            config = getattr(config, word)
    setattr(config, words[-1], value)


@pytest.mark.parametrize("method", CONFIGS)
def test_every_number_has_bounds(method: str) -> None:
    check_bounds(CONFIGS[method])
    parts = [("pipeline", False), ("optimizers", True)]
    options = {words for part, every in parts for words, _ in _numbers(getattr(CONFIGS[method], part), (part,), every)}
    assert len(options) > 10
    for words in options:
        option = "--" + ".".join(words).replace("_", "-")
        before: Any = CONFIGS[method]
        for word in words:
            before = before[word] if isinstance(before, dict) else getattr(before, word)
        for value in (math.nan, math.inf, -math.inf, -1e7, 1e30):
            bad = (value,) * len(before) if isinstance(before, tuple) else value
            config = copy.deepcopy(CONFIGS[method])
            set_option(config, words, bad)
            with pytest.raises(GainerError) as caught:
                check_bounds(config)
            assert str(caught.value).startswith(f"{option} ") and "choose a number from" in str(caught.value)


@pytest.mark.parametrize(
    ("method", "option", "value"),
    [
        ("gainer", "pipeline.model.hidden_dim", 0),
        ("gainer", "pipeline.model.feature_dim", 0),
        ("gainer", "pipeline.model.encoding.sigma", 1e-30),
        ("gainer", "machine.seed", -1),
        ("gainer-compact", "optimizers.features.scheduler.warmup_steps", -1),
        ("gainer-compact", "optimizers.features.optimizer.betas", (1.0, 0.9)),
        ("gainer-lift", "pipeline.model.encoding.feature_dim", 0),
        ("gainer-lift", "pipeline.datamanager.principal_point", (math.nan, 3.0)),
        ("gainer-lift", "pipeline.datamanager.train_num_rays_per_batch", 0),
        ("bench-siren", "pipeline.model.function.hidden_omega", 0.0),
        ("bench-wire", "pipeline.model.function.hidden_dim", 0),
        ("finer", "pipeline.model.function.bias_range", -1.0),
        ("neurbf", "pipeline.model.function.neighbours", 0),
        ("bench-gaussian-image", "pipeline.model.function.num_gaussians", -1),
    ],
)
def test_nothing_is_written_then(
    fit: Callable[..., Path], photo: Path, tmp_path: Path, method: str, option: str, value: Any
) -> None:
    """Each of them once ended in an error of whatever divided by it, drew so many, or inverted it."""

    def edit(config: Any) -> None:
        set_option(config, option.split("."), value)

    with pytest.raises(GainerError, match=f"^--{option.replace('_', '-')} .*: choose a number from "):
        fit(photo, tmp_path / "out", method, edit)
    assert not (tmp_path / "out").exists()
