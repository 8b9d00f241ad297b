"""A picture of a baseline from a run's config.yml."""

from __future__ import annotations

from pathlib import Path

import torch

from gainer_bench.baselines.coordinate_networks import FinerConfig, FourierConfig, GaussConfig, SirenConfig, WireConfig
from gainer_bench.baselines.flat_gaussians import FlatGaussiansConfig
from gainer_bench.baselines.gaussian_image import GaussianImageConfig
from gainer_bench.baselines.ingp import IngpConfig
from gainer_bench.baselines.model import BaselineModel, BaselineModelConfig, FunctionPicture
from gainer_bench.baselines.neurbf import NeurbfConfig
from gainer_ns.devices import best_device
from gainer_ns.errors import GainerError
from gainer_ns.image.fitted_model import PROFILE_BUFFER, check_version
from gainer_ns.image.loading import below, checkpoint_of
from gainer_ns.image.picture_model import PictureMetadata
from gainer_ns.image.run_file import RunFile, class_name
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.memory import check_free

FUNCTIONS = (
    FinerConfig,
    FlatGaussiansConfig,
    FourierConfig,
    GaussConfig,
    GaussianImageConfig,
    IngpConfig,
    NeurbfConfig,
    SirenConfig,
    WireConfig,
)
"""What a run of a baseline may be made of: a config.yml names one of these, and nothing else is ever built."""

SPARE_NUMBERS = 1 << 16
"""By how many numbers a configuration may be larger than half of what its checkpoint holds."""


def load_baseline(path: Path, device: torch.device | str | None = None) -> FunctionPicture:
    """Load a picture that a baseline has fitted; nothing that the file names is run.

    Args:
        path: The config.yml of its run.
        device: Where to put it; None for cuda where there is one.

    Raises:
        GainerError: If it is none.
    """
    run = RunFile(path)
    if not is_baseline(run):
        raise GainerError(f"{path}: not a run of a baseline; give the config.yml of one")
    recipe = run.config(BaselineModelConfig, "pipeline", "model", known=FUNCTIONS, skip=("panel",))
    with checkpoint_of(run) as state:
        check_version(state.get("version"), BaselineModel.checkpoint_version)
        facts, weights = PictureMetadata.restored(state["picture_facts"]), below("function.", state)
        numbers = recipe.function.numbers(facts.plane)
        if numbers > 2 * sum(tensor.numel() for tensor in weights.values()) + SPARE_NUMBERS:
            raise ValueError("the checkpoint holds less than the configuration says")
        check_free(4 * (numbers + 2 * facts.plane.pixels), f"{path}:", "close other programs")
        function = recipe.function.setup(plane=facts.plane, seed=recipe.seed)
        function.load_state_dict(weights)
        if not all(bool(tensor.isfinite().all()) for tensor in function.state_dict().values()):
            raise ValueError("it holds numbers that are not finite")
    profile = ColourProfile.from_tensor(state.get(PROFILE_BUFFER), str(path))
    return FunctionPicture(facts.plane, function.to(device or best_device()), facts.bit_depth, profile)


def is_baseline(run: RunFile) -> bool:
    """Say whether a run is one of a baseline."""
    return run.kind("pipeline", "model") == class_name(BaselineModelConfig)
