"""Fits whose Gaussians are learned, on a pretended GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from gainer_ns.fitting import levenberg
from gainer_ns.fitting.trainer import fit_layer
from gainer_ns.recipes import RECIPES

STEPS = 2


def fitted(device: torch.device | str) -> float:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(48.0), indexing="ij")
    colours = torch.stack([(x / 5 + y / 9 + shift).sin() for shift in range(3)], dim=-1) * 0.3 + 0.5
    recipe, adam = RECIPES["gainer-compact"]
    return fit_layer(colours, None, replace(recipe, finish_steps=STEPS), adam, device=device)[1].psnr


def test_products_wait_for_nothing(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levenberg, "_GRADIENT_TOLERANCE", 0.0)
    waits = []
    for products in (4, 12):
        monkeypatch.setattr(levenberg, "_MAX_PRODUCTS", products)
        expected = fitted("cpu")
        gpu.waits.clear()
        assert fitted(gpu.device) == pytest.approx(expected, abs=0.05)
        waits.append(sum(gpu.waits.values()))
    assert waits[1] - waits[0] <= 2 * STEPS, "convergence is looked at after every few products"
