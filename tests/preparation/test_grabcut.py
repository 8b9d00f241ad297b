import cv2
import numpy as np
import pytest

from gainer_ns.errors import GainerError
from gainer_ns.preparation.grabcut import GrabCutSegmenter
from gainer_ns.preparation.prompts import Prompt


def ellipse(width: int, height: int, centre: tuple[float, float], axes: tuple[float, float]) -> np.ndarray:
    """Antialiased, float [h, w] in [0, 1]."""
    y, x = np.indices((height, width)) + 0.5
    distance = np.hypot((x - centre[0]) / axes[0], (y - centre[1]) / axes[1])
    return np.clip((1 - distance) * min(axes) + 0.5, 0, 1)


def scene(width: int, height: int, *objects: np.ndarray) -> np.ndarray:
    """Mottled orange objects on a mottled blue ground, float32 [h, w, 3]."""
    noise = np.random.default_rng(0).normal(0, 0.05, (height, width, 1))
    colours = np.array([0.2, 0.3, 0.6]) + noise
    for share in objects:
        colours = colours + share[..., None] * (np.array([0.8, 0.5, 0.2]) - np.array([0.2, 0.3, 0.6]))
    return colours.clip(0, 1).astype(np.float32)


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(np.minimum(mask, truth).sum() / np.maximum(mask, truth).sum())


LEFT, RIGHT = ellipse(160, 120, (50, 60), (30, 20)), ellipse(160, 120, (120, 60), (22, 30))


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(box=(12, 30, 88, 90)),
        Prompt(clicks=((50, 60),)),
        Prompt(clicks=((50, 60), (30, 60)), box=(12, 30, 88, 90)),
        Prompt(clicks=((50, 60),), negative_clicks=((120, 60), (50, 100))),
    ],
    ids=["box", "click", "box and clicks", "negative clicks"],
)
def test_one_of_two_objects_is_cut_out_with_its_edge(prompt):
    mask = GrabCutSegmenter()(scene(160, 120, LEFT, RIGHT), prompt)
    assert mask.dtype == np.float32 and mask.shape == (120, 160)
    assert mask.min() == 0 and mask.max() == 1
    assert overlap(mask, LEFT) > 0.95
    assert mask[RIGHT > 0].max() < 0.5


def test_two_clicks_choose_two_objects():
    mask = GrabCutSegmenter()(scene(160, 120, LEFT, RIGHT), Prompt(clicks=((50, 60), (120, 60))))
    assert overlap(mask, LEFT + RIGHT) > 0.95


def test_an_object_at_the_border_reaches_it():
    cut_off = ellipse(160, 120, (60, 120), (40, 60))
    mask = GrabCutSegmenter()(scene(160, 120, cut_off), Prompt(clicks=((60, 90),)))
    assert overlap(mask, cut_off) > 0.95
    assert mask[-1, 60] == 1


def test_a_box_around_everything_still_finds_the_object():
    mask = GrabCutSegmenter()(scene(160, 120, LEFT), Prompt(box=(0, 0, 160, 120)))
    assert overlap(mask, LEFT) > 0.95


def test_what_is_excluded_inside_stays_out_and_other_small_holes_are_filled():
    hole, spot = ellipse(160, 120, (40, 60), (4, 4)), ellipse(160, 120, (60, 60), (1.5, 1.5))
    colours = scene(160, 120, LEFT - hole - spot)
    mask = GrabCutSegmenter()(colours, Prompt(clicks=((50, 65),), negative_clicks=((40, 60),)))
    assert mask[60, 40] == 0
    assert mask[60, 60] > 0.5


def test_a_large_picture_is_masked_at_its_own_size():
    truth = ellipse(1500, 1000, (700, 500), (400, 300))
    mask = GrabCutSegmenter()(scene(1500, 1000, truth), Prompt(box=(250, 150, 1150, 850)))
    assert mask.shape == (1000, 1500)
    assert overlap(mask, truth) > 0.99
    # The edge is as soft as the picture's, not as the reduced copy's.
    soft, crossed = (np.count_nonzero((values > 0.05) & (values < 0.95)) for values in (mask, truth))
    assert soft < 4 * crossed


def test_the_same_prompt_gives_the_same_mask_and_leaves_the_picture_alone():
    colours = scene(160, 120, LEFT, RIGHT)
    before = colours.copy()
    first = GrabCutSegmenter()(colours, Prompt(clicks=((50, 60),)))
    cv2.setRNGSeed(7)
    np.testing.assert_array_equal(GrabCutSegmenter()(colours, Prompt(clicks=((50, 60),))), first)
    np.testing.assert_array_equal(colours, before)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 40), (5, 5), (3000, 2)])
@pytest.mark.parametrize("with_box", [True, False])
def test_small_pictures_have_a_mask_or_a_reason(size, with_box):
    width, height = size
    colours = np.random.default_rng(1).random((height, width, 3)).astype(np.float32)
    prompt = Prompt(box=(0, 0, width, height)) if with_box else Prompt(clicks=((width, height),))
    if size == (1, 1) or (size == (2, 3) and with_box):
        with pytest.raises(GainerError, match="too few pixels on one side"):
            GrabCutSegmenter()(colours, prompt)
    else:
        mask = GrabCutSegmenter()(colours, prompt)
        assert mask.shape == (height, width) and np.isfinite(mask).all()


def test_flat_and_unknown_colours_give_finite_masks():
    colours = np.full((40, 60, 3), 0.5, np.float32)
    colours[5, 5] = np.nan
    assert np.isfinite(GrabCutSegmenter()(colours, Prompt(box=(10, 10, 30, 30)))).all()
