"""Previews: the picture and the scene that they simulate."""

import numpy as np
import pytest
import torch

from gainer_ns.fitting.trainer import fit_layer
from gainer_ns.frames import ImagePlane
from gainer_ns.physics.preview import preview_scale, preview_scene, reduced
from gainer_ns.physics.simulation import scene_for
from gainer_ns.recipes import GAINER
from gainer_ns.rendering.plane import BakedPicture


def cut_out(width: int, height: int) -> BakedPicture:
    """Stripes in a disc."""
    y, x = np.mgrid[:height, :width] + 0.5
    colours = 0.5 + 0.4 * np.sin(np.stack([x / 9, y / 7, (x + y) / 11], axis=2))
    alpha = np.clip(0.4 * height - np.hypot(x - width / 2, y - height / 2) + 0.5, 0, 1)
    parts = (torch.from_numpy(values).float() for values in (colours, alpha))
    return BakedPicture(ImagePlane(width, height), (fit_layer(*parts, *GAINER)[0],), 8, None)


def test_a_reduced_picture_looks_as_the_picture_does_at_that_size() -> None:
    picture = cut_out(90, 60)
    small = reduced(picture, 0.5)
    assert (small.plane.width, small.plane.height) == (45, 30)
    (rgb, alpha), (own, own_alpha) = picture.raster(0.5), small.raster()
    assert torch.allclose(own_alpha, alpha, atol=0.004)
    assert torch.allclose(own * own_alpha, rgb * alpha, atol=0.004)


@pytest.mark.parametrize(("size", "expected"), [((90, 60), 0.5), ((2400, 60), 0.2)])
def test_large_pictures_are_reduced_more(size: tuple[int, int], expected: float) -> None:
    assert preview_scale(cut_out(*size)) == pytest.approx(expected)


def test_grains_keep_their_share_of_the_picture() -> None:
    picture = cut_out(90, 60)
    words = {"bodies": [{"material": "sand"}], "cells": 64}
    scene = preview_scene(scene_for({**words, "grain": "3px"}, picture), 0.5)
    assert (scene.grain, scene.cells) == ("1.5px", None)
    assert preview_scene(scene_for({**words, "grain": "0.5%"}, picture), 0.5).grain == "0.5%"
