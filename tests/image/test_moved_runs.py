"""Runs that were moved, copied or renamed: what lies beside the config.yml that is named counts, and nothing else."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nerfstudio.scripts.eval import ComputePSNR
from nerfstudio.scripts.render import DatasetRender
from nerfstudio.scripts.viewer import run_viewer
from nerfstudio.utils.eval_utils import eval_setup

from gainer_ns.cli.main import entrypoint
from gainer_ns.errors import GainerError


@pytest.fixture
def copy(fitted_run: Path, tmp_path: Path) -> Path:
    """A copy of a run in a folder of another name, whose picture is white, while the original is still there."""
    folder = tmp_path / "a copy" / "of a run"
    shutil.copytree(fitted_run.parent, folder)
    (checkpoint,) = (folder / "nerfstudio_models").glob("*.ckpt")
    state = torch.load(checkpoint, weights_only=True)
    for name, value in state["pipeline"].items():
        if ".decoder." in name:
            value.zero_()
    state["pipeline"]["_model.decoder.linear.bias"].fill_(1.0)
    torch.save(state, checkpoint)
    return folder / "config.yml"


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return lambda *words: monkeypatch.setattr(sys, "argv", [str(word) for word in words])


def spelt(config: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """The path and the words by which it can be named."""
    if way == "relative":
        monkeypatch.chdir(config.parent.parent)
        config = Path(config.parent.name, config.name)
    joined = {"joined": [f"--load-config={config}"], "underscore": ["--load_config", str(config)]}
    return config, joined.get(way, ["--load-config", str(config)])


@pytest.mark.parametrize("way", ["absolute", "relative", "joined", "underscore"])
def test_a_copy_is_loaded_and_not_its_original(
    way: str, copy: Path, command_line: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    named, words = spelt(copy, way, monkeypatch)
    command_line("ns-eval", *words)
    config, pipeline, checkpoint, _ = eval_setup(named)
    assert checkpoint.parent == copy.parent / "nerfstudio_models" and config.get_base_dir() == copy.parent
    assert float(pipeline.model.decoder.linear.bias.min()) == 1


def test_a_moved_run_is_evaluated_and_rendered(
    copy: Path, command_line: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = copy.parent.rename(tmp_path / "moved") / "config.yml"
    monkeypatch.chdir(tmp_path)
    named = moved.relative_to(tmp_path)
    command_line("ns-eval", "--load-config", named, "--output-path", "m.json")
    ComputePSNR(named, Path("m.json")).main()
    assert Path(json.loads(Path("m.json").read_text())["checkpoint"]).parent == moved.parent / "nerfstudio_models"
    command_line("ns-render", "dataset", "--load-config", named, "--output-path", "renders")
    DatasetRender(named, Path("renders"), rendered_output_names=["rgb"], image_format="png").main()
    assert list((tmp_path / "renders").rglob("*.png"))


def test_a_copy_is_viewed_and_not_its_original(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(run_viewer, "_start_viewer", lambda *words: seen.append(words))
    entrypoint(["view", "--load-config", str(copy)])
    ((config, pipeline, _),) = seen
    assert config.get_base_dir() == copy.parent, "edits are kept there"
    assert float(pipeline.model.decoder.linear.bias.min()) == 1


def test_without_its_checkpoints_a_copy_does_not_take_those_of_the_original(
    copy: Path, command_line: Callable[..., None]
) -> None:
    shutil.rmtree(copy.parent / "nerfstudio_models")
    command_line("ns-eval", "--load-config", copy)
    with pytest.raises(GainerError, match="there is no such folder") as caught:
        eval_setup(copy)
    assert str(copy.parent) in str(caught.value) and "\n" not in str(caught.value)


def test_a_command_line_that_names_another_run_is_not_heeded(
    copy: Path, fitted_run: Path, command_line: Callable[..., None], tmp_path: Path
) -> None:
    other = tmp_path / "other.yml"
    other.write_text(copy.read_text().replace("method_name: gainer", "method_name: gainer-paper"))
    for words in (("--load-config",), ("--load-config", other), ("--load-config", tmp_path / "none.yml"), ()):
        command_line("pytest", *words)
        assert eval_setup(fitted_run)[2].parent == fitted_run.parent / "nerfstudio_models"


def test_the_picture_of_a_moved_run_may_be_gone(
    fit: Callable[..., Path], photo: Path, tmp_path: Path, command_line: Callable[..., None]
) -> None:
    shutil.copy(photo, tmp_path / "gone.png")
    run = fit(tmp_path / "gone.png", tmp_path / "runs")
    moved = run.parent.rename(tmp_path / "moved") / "config.yml"
    (tmp_path / "gone.png").unlink()
    command_line("ns-eval", "--load-config", moved)
    with pytest.raises(GainerError, match=r"gone\.png: does not exist") as caught:
        eval_setup(moved)
    assert "\n" not in str(caught.value)
