"""Regions that are offered for a click, from small to large."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from gainer_ns.errors import GainerError
from gainer_ns.preparation.offers import by_size
from gainer_ns.preparation.regions import RegionProposer


def scene(width: int = 240, height: int = 160) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A red button on a blue bag before a textured wall, and where these are."""
    rng = np.random.default_rng(3)
    picture = np.full((height, width, 3), (0.75, 0.7, 0.6), np.float32)
    bag, button = (np.zeros((height, width), np.uint8) for _ in range(2))
    cv2.ellipse(bag, (width // 2, height // 2), (width // 4, height // 3), 0, 0, 360, (1,), -1)
    cv2.circle(button, (width // 2, height // 2), height // 10, (1,), -1)
    picture[bag > 0] = (0.2, 0.3, 0.7)
    picture[button > 0] = (0.85, 0.15, 0.1)
    picture += cv2.GaussianBlur(rng.normal(0, 0.06, picture.shape).astype(np.float32), (0, 0), 1.0)
    return picture.clip(0, 1), {"bag": bag > 0, "button": button > 0}


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    inside = mask >= 0.5
    return float((inside & truth).sum() / (inside | truth).sum())


def test_the_object_under_the_click_comes_first_and_what_holds_it_next() -> None:
    picture, truth = scene()
    propose = RegionProposer()
    masks, first = propose(picture, (120.0, 80.0))
    assert overlap(masks[first](), truth["button"]) > 0.85
    assert max(overlap(make(), truth["bag"]) for make in masks[first + 1 :]) > 0.9
    masks, first = propose(picture, (80.0, 80.0))
    best = max(overlap(make(), truth["bag"] & ~truth["button"]) for make in masks)
    whole = max(overlap(make(), truth["bag"]) for make in masks)
    assert max(best, whole) > 0.9


def test_offers_grow_and_hold_the_click() -> None:
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.random((90, 130, 3)).astype(np.float32), (0, 0), 6.0)
    picture = (picture - picture.min()) / (picture.max() - picture.min())
    for x, y in ((3.0, 2.0), (64.0, 40.0), (129.5, 89.5)):
        masks, first = RegionProposer()(picture, (x, y))
        made = [make() for make in masks]
        assert 0 <= first < len(made) and all(mask.shape == (90, 130) for mask in made)
        areas = [float((mask >= 0.5).sum()) for mask in made]
        assert areas == sorted(areas)
        assert all(mask[max(0, int(y) - 3) : int(y) + 4, max(0, int(x) - 3) : int(x) + 4].max() >= 0.5 for mask in made)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (8, 8), (64, 64)])
def test_pictures_without_any_edge_are_one_region(shape: tuple[int, int]) -> None:
    masks, first = RegionProposer()(np.full((*shape, 3), 0.4, np.float32), (0.5, 0.5))
    assert (masks[first]() >= 0.5).all()


def test_clicks_beside_the_picture_are_refused() -> None:
    with pytest.raises(GainerError, match="outside"):
        RegionProposer()(np.zeros((8, 8, 3), np.float32), (9.0, 1.0))


def test_the_second_click_costs_little() -> None:
    picture, _ = scene(1200, 850)
    propose = RegionProposer()
    propose(picture, (600.0, 425.0))
    start = time.process_time()
    masks, first = propose(picture, (400.0, 425.0))
    masks[first]()
    assert time.process_time() - start < 1.0


def test_what_networks_offer_is_put_by_size() -> None:
    masks = np.zeros((3, 4, 4), bool)
    masks[0, :3], masks[2, :1] = True, True
    offers = by_size(masks, 0)
    assert [float(make().sum()) for make in offers.masks] == [4, 12] and offers.first == 1
