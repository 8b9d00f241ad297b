"""Settings of the baselines as their papers have them, beside those of :mod:`gainer_bench.methods`, made for a minute.

A suite says ``preset: published`` or ``preset: budget``. Published are full batches of all pixels and many thousand
steps; rates then follow the steps, so that a fit which the clock ends early is the beginning of the published one.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field

from gainer_bench.baselines.coordinate_networks import FinerConfig, FourierConfig, GaussConfig, SirenConfig, WireConfig
from gainer_bench.baselines.gaussian_image import GaussianImageConfig
from gainer_bench.baselines.ingp import IngpConfig
from gainer_bench.baselines.model import BaselineModelConfig
from gainer_bench.baselines.neurbf import NeurbfConfig
from gainer_bench.baselines.picture_function import PictureFunctionConfig
from gainer_ns.errors import GainerError
from gainer_ns.image.optimizers import StepsSchedulerConfig
from gainer_ns.image.trainer import PictureTrainerConfig
from gainer_ns.methods import adam_config

KODAK_PIXELS = 768 * 512
"""Of the pictures that the published sizes of grids, kernels and Gaussians are for; others have as many a pixel."""
MIB_NUMBERS = 2**20 / 4
"""How many numbers of 32 bits a file of one "MB" holds, as GaINeR's Table 3 counts sizes."""


def _to_a_tenth() -> StepsSchedulerConfig:
    """Return WIRE's and FINER's schedule, 0.1 to the share of steps that are over, in a hundred small drops."""
    return StepsSchedulerConfig(milestones=tuple(number / 100 for number in range(1, 100)), factor=0.1**0.01)


@dataclass(frozen=True)
class PublishedSettings:
    """What a paper fits a picture by."""

    function: PictureFunctionConfig  # the baseline at the published size
    rates: Mapping[str, float]  # learning rates, by groups of parameters
    steps: int  # of all pixels each
    parameters: float  # learned numbers that are published, for 768 x 512 pixels where they depend on them
    source: str  # where that count is published
    schedule: StepsSchedulerConfig = field(default_factory=_to_a_tenth)
    betas: tuple[float, float] = (0.9, 0.999)
    kodak_psnr: float | None = None  # published mean PSNR in dB on Kodak; None where there is none


_COMPARISON = "GaussianImage, Table 1"
_SIZES = "GaINeR, Table 3: 0.76 MB"

PUBLISHED: Mapping[str, PublishedSettings] = {
    "siren": PublishedSettings(
        SirenConfig(hidden_dim=300), {"function": 5e-4}, 50_000, 272_700, _COMPARISON, kodak_psnr=40.83
    ),
    # A complex number counts as two: the same paper has 136.74 K complex ones in layers of 212, for 41.47 dB.
    "wire": PublishedSettings(WireConfig(), {"function": 5e-3}, 5_000, 0.76 * MIB_NUMBERS, _SIZES, kodak_psnr=41.47),
    "finer": PublishedSettings(FinerConfig(), {"function": 5e-4}, 5_000, 0.76 * MIB_NUMBERS, _SIZES),
    "gauss": PublishedSettings(GaussConfig(), {"function": 5e-3}, 5_000, 0.76 * MIB_NUMBERS, _SIZES),
    "fourier": PublishedSettings(
        FourierConfig(hidden_layers=3, frequencies=20, octaves=True),
        {"function": 1e-3},
        5_000,
        (42 * 256 + 256) + 3 * (256 * 256 + 256) + (256 * 3 + 3),
        "FINER's comparison: 42 inputs of 10 frequencies, 3 hidden layers of 256",
    ),
    # Of this and the next only the total is published: how it is shared out among lattices and kernels is ours.
    "ingp": PublishedSettings(
        IngpConfig(finest=0.75, log2_table_size=14),
        {"grid": 1e-2, "function": 1e-2},
        50_000,
        299_090,
        _COMPARISON,
        betas=(0.9, 0.99),
        kodak_psnr=43.88,
    ),
    "neurbf": PublishedSettings(
        NeurbfConfig(kernels_per_pixel=8_000 / KODAK_PIXELS, clustering_rounds=10, finest=0.5, log2_table_size=14),
        {"kernels": 7e-3, "grid": 2e-2, "function": 3e-3},
        50_000,
        337_290,
        _COMPARISON,
        betas=(0.9, 0.99),
        kodak_psnr=43.78,
    ),
    # Its rate is 1e-3 of half a side for means, which is 0.32 px on average there, and of pixels for covariances.
    "gaussian-image": PublishedSettings(
        GaussianImageConfig(gaussians_per_pixel=70_000 / KODAK_PIXELS, start="published"),
        {"means": 0.32, "covariances": 1e-3, "colours": 1e-3},
        50_000,
        560_000,
        _COMPARISON,
        schedule=StepsSchedulerConfig(milestones=(0.4, 0.8), factor=0.5),
        kodak_psnr=44.08,
    ),
}
"""By the names of methods in suites."""


def as_published(config: PictureTrainerConfig, method: str) -> None:
    """Change a method's configuration to what its paper has.

    Raises:
        GainerError: If the method has no such settings.
    """
    if method not in PUBLISHED:
        raise GainerError(f"preset: published: {method} has none; leave the preset out, or take {', '.join(PUBLISHED)}")
    published, recipe = deepcopy(PUBLISHED[method]), config.pipeline.model
    assert isinstance(recipe, BaselineModelConfig)
    recipe.function, recipe.steps, recipe.pixels_per_step = published.function, published.steps, None
    recipe.rates_follow_clock = False
    config.optimizers = {
        group: adam_config(rate, deepcopy(published.schedule), published.betas)
        for group, rate in published.rates.items()
    }
