"""A photo is prepared once for all who ask, and again when anything that it depends on has changed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gainer_ns.lifting import dataparser
from gainer_ns.lifting.datamanager import LiftDataManagerConfig


@pytest.fixture
def config(tmp_path: Path) -> LiftDataManagerConfig:
    colours = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(colours).save(tmp_path / "photo.png")
    np.save(tmp_path / "depth.npy", np.linspace(1, 2, 12 * 16, dtype=np.float32).reshape(12, 16))
    config = LiftDataManagerConfig(depth_path=tmp_path / "depth.npy", focal_length=20.0)
    config.data = tmp_path / "photo.png"
    return config


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What has been prepared so far."""
    done: list[Any] = []
    prepare = dataparser.prepare

    def counted(*arguments: Any, **words: Any) -> Any:
        done.append(arguments)
        return prepare(*arguments, **words)

    monkeypatch.setattr(dataparser, "prepare", counted)
    return done


def _nested(config: LiftDataManagerConfig) -> None:
    config.depth.far = 7.0


def _plain(config: LiftDataManagerConfig) -> None:
    config.focal_length = 25.0


def _file(config: LiftDataManagerConfig) -> None:
    assert config.depth_path is not None
    np.save(config.depth_path, np.full((12, 16), 3, np.float32))
    os.utime(config.depth_path, ns=(1, 1))


@pytest.mark.parametrize("change", [_nested, _plain, _file])
def test_once_and_again_after_a_change(
    change: Callable[[LiftDataManagerConfig], None], config: LiftDataManagerConfig, prepared: list[Any]
) -> None:
    first = config.noted().photo()
    assert config.noted().photo() is first and len(prepared) == 1
    change(config)
    second = config.noted().photo()
    assert second is not first and len(prepared) == 2
    assert config.noted().photo() is second and len(prepared) == 2
