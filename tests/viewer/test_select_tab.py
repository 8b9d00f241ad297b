"""Objects that are selected by clicks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gainer_ns.preparation.config import SegmentationConfig
from gainer_ns.preparation.offers import Offers
from gainer_ns.viewer.select_tab import SelectTab


@pytest.fixture
def tab(panel: Any, monkeypatch: pytest.MonkeyPatch) -> SelectTab:
    """Squares of three sizes around each click are offered, the middle one first."""

    def propose(colours: np.ndarray, click: tuple[float, float]) -> Offers:
        def square(half: int) -> np.ndarray:
            mask = np.zeros(colours.shape[:2], np.float32)
            x, y = map(int, click)
            mask[y - half : y + half, x - half : x + half] = 1
            return mask

        return Offers([lambda half=half: square(half) for half in (2, 4, 8)], 1)

    monkeypatch.setattr("gainer_ns.viewer.select_tab.load_proposer", lambda *_: propose)
    return SelectTab(panel, SegmentationConfig())


def covered(panel: Any) -> int:
    return int((panel.picker.field(panel.picker.selection) > 0.5).sum())


def test_a_second_click_takes_the_next_larger(panel: Any, tab: SelectTab) -> None:
    sizes = []
    for click in ((30.0, 30.0), (30.5, 30.0), (30.0, 30.4), (30.0, 30.0)):
        tab.click(click)
        sizes.append(covered(panel))
    assert sizes == [64, 256, 16, 64], "and after the largest the smallest"
    tab.click((60.0, 30.0))
    assert covered(panel) == 128, "clicked elsewhere, it is added"
    tab.click((60.0, 30.0))
    assert covered(panel) == 64 + 256


def test_a_second_click_takes_away_more(panel: Any, tab: SelectTab) -> None:
    panel.picker.polygon(((0, 0), (60, 0), (60, 60), (0, 60)))
    panel.picker.joining = "subtract"
    for size in (64, 256, 16):
        tab.click((30.0, 30.0))
        assert covered(panel) == 3600 - size
