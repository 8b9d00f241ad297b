"""Error maps: the shade of a known error."""

import builtins
import sys
from typing import Any

import numpy as np
import pytest
import torch

from gainer_ns.error_maps import coloured_error_map, error_map
from gainer_ns.errors import GainerError


def test_shades_are_those_of_the_formula() -> None:
    target = np.zeros((1, 4, 3))
    rendered = np.zeros((1, 4, 3))
    rendered[0, 1] = [3e-5, 0, 0]  # mean 1e-5
    rendered[0, 2] = -0.5
    rendered[0, 3] = 1.0
    shades = error_map(rendered, target)
    assert shades.shape == (1, 4, 3)
    assert np.allclose(shades[0, :, 0], [0, 0.1, 0.5**0.2, 1])
    assert np.array_equal(shades[..., 0], shades[..., 1]) and np.array_equal(shades[..., 0], shades[..., 2])
    assert np.allclose(error_map(rendered, target, gamma=1.0, maximum=0.5)[0, :, 0], [0, 2e-5, 1, 1])


def test_what_is_not_a_number_is_white_and_a_mask_is_black() -> None:
    rendered = torch.tensor([[[0.0] * 3, [float("nan"), 0, 0], [float("inf")] * 3, [1.0] * 3]])
    mask = np.array([[True, True, True, False]])
    assert error_map(rendered, torch.zeros(1, 4, 3), mask=mask)[0, :, 0].tolist() == [0, 1, 1, 0]


def test_colours_are_those_of_the_colormap() -> None:
    target = np.zeros((2, 3, 3))
    rendered = target.copy()
    rendered[1, 2] = 1.0
    grey = coloured_error_map(rendered, target, colormap="gray")
    assert grey.dtype == np.uint8 and grey.shape == (2, 3, 3)
    assert grey[0, 0].tolist() == [0, 0, 0] and grey[1, 2].tolist() == [255, 255, 255]
    inferno = coloured_error_map(rendered, target)
    assert inferno[0, 0].tolist() == [0, 0, 3] and inferno[1, 2].tolist() == [252, 254, 164]


def test_mistakes_are_said() -> None:
    picture = np.zeros((2, 3, 3))
    with pytest.raises(GainerError, match="positive"):
        error_map(picture, picture, maximum=0.0)
    with pytest.raises(GainerError, match="no colormap 'rust'"):
        coloured_error_map(picture, picture, colormap="rust")
    with pytest.raises((GainerError, TypeError)):
        error_map(picture, picture[:1])
    with pytest.raises((GainerError, TypeError)):
        error_map(picture, picture, mask=np.ones((3, 2), bool))


def test_matplotlib_is_asked_for_only_by_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    usual = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> object:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return usual(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    picture = np.zeros((2, 3, 3))
    assert error_map(picture, picture).max() == 0
    with pytest.raises(GainerError, match="pip install matplotlib"):
        coloured_error_map(picture, picture)
