"""A checkpoint is numbers: code that is pickled in one is never run."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import gainer_bench.methods as bench_methods
from gainer_ns import methods
from gainer_ns.errors import GainerError
from gainer_ns.loading import load_shown
from gainer_ns.preparation.sam import _read_weights


class Touching:
    """Once unpickled with all that pickles may do, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.marker,)


@pytest.fixture
def evil(tmp_path: Path) -> dict[str, Any]:
    """What a checkpoint of any kind may hold, and code beside it."""
    numbers = {"_model.means": torch.zeros(3, 2), "image_encoder.pos_embed": torch.zeros(1)}
    return numbers | {"pipeline": numbers, "step": 1, "more": Touching(tmp_path / "marker")}


def test_the_code_would_run(evil: dict[str, Any], tmp_path: Path) -> None:
    """Without this, the others would show nothing."""
    torch.save(evil, tmp_path / "evil.ckpt")
    torch.load(tmp_path / "evil.ckpt", weights_only=False)
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("method", ["gainer", "gainer_compact", "gainer_lift", "siren"])
def test_runs(method: str, evil: dict[str, Any], tmp_path: Path) -> None:
    """Of every kind of model, whoever reads its checkpoint."""
    config = copy.deepcopy((vars(methods) | vars(bench_methods))[method].config)
    (tmp_path / "config.yml").write_text(yaml.dump(config), encoding="utf8")
    (tmp_path / "nerfstudio_models").mkdir()
    torch.save(evil, tmp_path / "nerfstudio_models" / "step-000000001.ckpt")
    with pytest.raises(GainerError):
        load_shown(tmp_path / "config.yml", "cpu")
    assert not (tmp_path / "marker").exists()


def test_weights_of_networks(evil: dict[str, Any], tmp_path: Path) -> None:
    torch.save(evil, tmp_path / "sam.pth")
    with pytest.raises(GainerError, match="no SAM checkpoint"):
        _read_weights(tmp_path / "sam.pth")
    assert not (tmp_path / "marker").exists()
