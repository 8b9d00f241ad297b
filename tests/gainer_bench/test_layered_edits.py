"""Edits as layers: each layer's map is undone by its inverse, and agrees with what GaINeR's own operations do."""

import numpy as np
import pytest
import torch

from gainer_bench.known_edits import pixel_centres
from gainer_bench.layered_edits import arm_edit, layered_edits, truth_of
from gainer_ns.editing.script import Edit

BOX = (10.0, 8.0, 70.0, 52.0)
EDITS = {**layered_edits(BOX), "arm": arm_edit(80, 60)[0]}


@pytest.mark.parametrize("name", list(EDITS))
def test_each_point_belongs_to_one_layer_and_comes_back(name: str) -> None:
    points = pixel_centres(80, 60) + [0.013, 0.007]
    held = [layer.holds(points) for layer in EDITS[name].layers]
    assert np.array_equal(np.sum(held, axis=0), np.ones((60, 80)))
    for own, layer in zip(held, EDITS[name].layers, strict=True):
        near = own & (np.abs(points - layer.back(layer.forward(points))).max(axis=-1) < 1e-9)
        # Beyond the middle of its arc a bent arm is turned over: no point of the arm itself lies there.
        share = np.abs(points[..., 1] - 22.4) < 3 if name == "arm" else np.ones_like(own)
        assert np.array_equal(near & share, own & share), "the inverse undoes it"


@pytest.mark.parametrize("name", [name for name, edit in EDITS.items() if edit.script])
def test_the_script_moves_points_as_the_layers_do(name: str) -> None:
    (words,) = EDITS[name].script or ()
    edit = Edit.model_validate(words)
    points = torch.from_numpy(pixel_centres(80, 60).reshape(-1, 2) + [0.013, 0.007])
    moves = np.ones(len(points), bool) if edit.select.all else (edit.select.depth(points) > 0).numpy()
    if name == "arm":
        moves &= np.abs(points.numpy()[:, 1] - 22.4) < 2.4
    there = points
    for operation in edit.operations:
        there, _ = operation.moved(there, amount=1.0, box=edit.select.bounds(80, 60))
    expected = EDITS[name].moved(points.numpy())
    assert moves.sum() > 200
    np.testing.assert_allclose(there.numpy()[moves], expected[moves], atol=1e-6)


def test_the_truth_is_what_layers_say() -> None:
    """Of a picture of two colours that is folded: the front colour over the back one, nothing beyond the fold."""
    full = np.zeros((240, 320, 4), np.float32)
    full[32:208, 40:280, 3] = 1
    full[32:208, 40:180, 0], full[32:208, 180:280, 1] = 1, 1
    truth, front = truth_of(full, layered_edits(BOX)["fold"], (0.0, 0.0, 80.0, 60.0), 4)
    fold = 10 + 0.57 * 60
    assert np.abs(truth[10:50, 30:43, 1] - 1).max() < 1e-6 and (front[10:50, 30:43] == 2).all()
    assert truth[10:50, 45:].max() == 0 and (front[10:50, 45:] == 0).all()
    assert np.abs(truth[10:50, 11:18, 0] - 1).max() < 1e-6, "the back is not covered as far as that"
    assert truth[30, int(fold), 3] == pytest.approx(fold % 1, abs=0.13)


def test_an_arm_lies_before_its_body() -> None:
    edit, shows = arm_edit(80, 60)
    full = np.repeat(shows(pixel_centres(320, 240) / 4)[..., None], 4, axis=-1).astype(np.float32)
    _, front = truth_of(full, edit, (0.0, 0.0, 80.0, 60.0), 4)
    assert (front == 3)[:, 13:31].sum() > 50, "beyond the arc it has come back over the body"
    assert (front == 1)[:, 13:31].sum() > 400
