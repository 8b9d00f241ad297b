"""Numbers that no option can be get a line that names the option, whatever the method."""

import copy
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from nerfstudio.plugins.types import MethodSpecification

import gainer_bench.methods as bench_methods
from gainer_ns import methods
from gainer_ns.errors import GainerError
from gainer_ns.image.option_bounds import _numbers, check_bounds

CONFIGS: dict[str, Any] = {
    str(kind.config.method_name): kind.config
    for kind in (vars(methods) | vars(bench_methods)).values()
    if isinstance(kind, MethodSpecification)
}


def set_option(config: Any, words: Sequence[str], value: Any) -> None:
    """As the command line sets it: objects that several options share in the methods are of their own there."""
    for word in words[:-1]:
        if isinstance(config, dict):
            config[word] = copy.copy(config[word])
            config = config[word]
        else:
            setattr(config, word, copy.copy(getattr(config, word)))
            config = getattr(config, word)
    setattr(config, words[-1], value)


@pytest.mark.parametrize("method", CONFIGS)
def test_every_number_has_bounds(method: str) -> None:
    check_bounds(CONFIGS[method])
    parts = [("pipeline", False), ("optimizers", True)]
    options = {words for part, every in parts for words, _ in _numbers(getattr(CONFIGS[method], part), (part,), every)}
    assert len(options) > 10
    for words in options:
        option = "--" + ".".join(words).replace("_", "-")
        before: Any = CONFIGS[method]
        for word in words:
            before = before[word] if isinstance(before, dict) else getattr(before, word)
        for value in (math.nan, math.inf, -math.inf, -1e7, 1e30):
            bad = (value,) * len(before) if isinstance(before, tuple) else value
            config = copy.deepcopy(CONFIGS[method])
            set_option(config, words, bad)
            with pytest.raises(GainerError) as caught:
                check_bounds(config)
            assert str(caught.value).startswith(f"{option} ") and "choose a number from" in str(caught.value)


@pytest.mark.parametrize(
    ("method", "option", "value"),
    [
        ("gainer", "pipeline.model.hidden_dim", 0),
        ("gainer", "pipeline.model.feature_dim", 0),
        ("gainer", "pipeline.model.encoding.sigma", 1e-30),
        ("gainer", "machine.seed", -1),
        ("gainer-compact", "pipeline.model.sparse_encoding.steps_between_searches", 0),
        ("gainer-compact", "optimizers.means.scheduler.warmup_steps", -1),
        ("gainer-compact", "optimizers.means.optimizer.betas", (1.0, 0.9)),
        ("gainer-lift", "pipeline.model.encoding.feature_dim", 0),
        ("gainer-lift", "pipeline.datamanager.principal_point", (math.nan, 3.0)),
        ("gainer-lift", "pipeline.datamanager.train_num_rays_per_batch", 0),
        ("bench-siren", "pipeline.model.function.hidden_omega", 0.0),
        ("bench-wire", "pipeline.model.function.hidden_dim", 0),
        ("finer", "pipeline.model.function.bias_range", -1.0),
        ("neurbf", "pipeline.model.function.neighbours", 0),
        ("bench-gaussian-image", "pipeline.model.function.num_gaussians", -1),
    ],
)
def test_nothing_is_written_then(
    fit: Callable[..., Path], photo: Path, tmp_path: Path, method: str, option: str, value: Any
) -> None:
    """Each of them once ended in an error of whatever divided by it, drew so many, or inverted it."""

    def edit(config: Any) -> None:
        set_option(config, option.split("."), value)

    with pytest.raises(GainerError, match=f"^--{option.replace('_', '-')} .*: choose a number from "):
        fit(photo, tmp_path / "out", method, edit)
    assert not (tmp_path / "out").exists()
