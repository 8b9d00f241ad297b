"""Refuses numbers that no option can be, before a run begins: wherever they would be used, nobody knows the option."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from nerfstudio.engine.trainer import TrainerConfig

from gainer_ns.errors import GainerError
from gainer_ns.fields.hash_grid import MAX_FEATURES
from gainer_ns.fields.knn_encoding import MAX_NEIGHBOURS

USUAL = 0, 10**9
"""From where to where numbers go, both included."""
BOUNDS: dict[str, tuple[float, float]] = {
    "betas": (0, 1 - 1e-9),
    "feature_dim": (1, MAX_FEATURES),
    "features": (1, MAX_FEATURES),
    "finest": (0, 1000),
    "frequencies": (1, 2**16),
    "gaussians_per_pixel": (0, 1000),
    "hidden_dim": (1, 2**16),
    "hidden_layers": (0, 1000),
    "hidden_omega": (1e-6, 1e6),
    "kernels_per_pixel": (0, 1000),
    "neighbours": (1, MAX_NEIGHBOURS),
    "num_gaussians": (1, 10**9),
    "num_neighbours": (1, MAX_NEIGHBOURS),
    "omega": (1e-6, 1e6),
    "pixels_per_step": (1, 10**9),
    "principal_point": (-1e6, 1e6),
    "seed": (0, 2**32 - 1),
    "sigma": (1e-3, 1e3),
    "steps_between_searches": (1, 10**9),
    "train_num_rays_per_batch": (1, 10**9),
}
"""The same where it differs, by the last word of an option."""
ELSEWHERE = {"box", "click", "exclude", "mask_label", "sources"}
"""What has a check of its own, that knows the picture; or is none of the user's options."""


def check_bounds(config: TrainerConfig) -> None:
    """Refuses options of a run that are no number, endless, or out of bounds.

    Of nerfstudio's own options only those of the optimizers and the machine are looked at: others have no meaning here.

    Raises:
        GainerError: If one is.
    """
    for part, everything in (("pipeline", False), ("optimizers", True), ("machine", True)):
        for words, value in _numbers(getattr(config, part), (part,), everything):
            low, high = BOUNDS.get(words[-1], USUAL)
            if not (low <= value <= high and math.isfinite(value)):
                option = ".".join(words).replace("_", "-")
                raise GainerError(f"--{option} {value:g}: choose a number from {low:g} to {high:g}")


def _numbers(found: Any, words: tuple[str, ...], everything: bool) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yields all numbers in a configuration, with the words of their options; by default those of this package."""
    if is_dataclass(found) and not isinstance(found, type):
        for field in fields(found):
            value = getattr(found, field.name)
            if field.name not in ELSEWHERE and (everything or is_dataclass(value) or _is_ours(found, field.name)):
                yield from _numbers(value, (*words, field.name), everything)
    elif isinstance(found, dict):
        for word, value in found.items():
            yield from _numbers(value, (*words, word), everything)
    elif isinstance(found, tuple):
        for value in found:
            yield from _numbers(value, words, everything)
    elif isinstance(found, int | float) and not isinstance(found, bool):
        yield words, found


def _is_ours(config: Any, name: str) -> bool:
    return any(
        kind.__module__.startswith("gainer_") and name in vars(kind).get("__annotations__", ())
        for kind in type(config).__mro__
    )
