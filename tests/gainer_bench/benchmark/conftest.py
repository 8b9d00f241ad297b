"""What the tests of benchmarks share: made-up lines of results."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def result() -> Callable[..., dict[str, Any]]:
    """``result(image, label, psnr, seed=0, **changes)``: the line of a finished run; None leaves a field out."""

    def make(image: str, label: str, psnr: float | str = 30.0, seed: int = 0, **changes: Any) -> dict[str, Any]:
        line = {
            "image": image,
            "method": label.lower(),
            "label": label,
            "seed": seed,
            "key": f"{image}/{label}/{seed}",
            "options": {"pipeline.model.hidden_layers": 3},
            "seconds_allowed": 60.0,
            "steps_allowed": None,
            "width": 96,
            "height": 64,
            "device": "cpu",
            "threads": 2,
            "parameters": 198915,
            "gaussians": None,
            "iterations": 1234,
            "psnr": psnr,
            "psnr_8bit": psnr,
            "exact_share": 0.25,
            "ms_ssim": 0.98,
            "lpips": None,
            "seconds": {"start": 0.4, "fit": 60.25},
            "reached": {"40": None, "50": None},
            "history": [[0, 1.0, 20.0], [10, 10.0, psnr]],
            "peak_mib": 1500.0,
            "gpu_peak_mib": None,
            "stored": {"32": {"bytes": 800_000, "psnr": psnr}, "16": {"bytes": 400_000, "psnr": psnr}},
            "render_seconds": {"new_index": 0.25, "same_index": 0.2},
        }
        return {name: value for name, value in (line | changes).items() if name not in changes or value is not None}

    return make


@pytest.fixture(scope="session")
def failure() -> Callable[..., dict[str, Any]]:
    """``failure(image, label, seed=0, error="...")``, or ``skipped="..."``: the line of a run without results."""

    def make(image: str, label: str, seed: int = 0, **why: str) -> dict[str, Any]:
        names = {"image": image, "method": label.lower(), "label": label, "seed": seed}
        return names | {"key": f"{image}/{label}/{seed}", "options": {}} | why

    return make
