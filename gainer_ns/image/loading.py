"""A fitted picture from what a user names: a run's config.yml, or an exported file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gainer_ns.devices import best_device
from gainer_ns.errors import LOAD_ERRORS, GainerError
from gainer_ns.fields.decoder import Decoder
from gainer_ns.fields.knn_encoding import GaussianKNNEncoding
from gainer_ns.fitting.recipe import UNIT_BOX, LearnedPicture
from gainer_ns.image.checkpoints import newest_whole_checkpoint, unpacked_bytes
from gainer_ns.image.fitted_model import PROFILE_BUFFER, check_version
from gainer_ns.image.model import GainerModel, GainerModelConfig
from gainer_ns.image.picture_model import PictureMetadata
from gainer_ns.image.run_file import RunFile, as_run, class_name
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.io.outputs import is_exported
from gainer_ns.memory import check_free
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.checks import check_layer
from gainer_ns.storage.picture_files import load_picture

_COPIES_IN_MEMORY = 3
"""How often the numbers of a checkpoint are in memory while it is read, about."""
_MAX_TENSOR_SHARING = 4
"""How often a number of a checkpoint may be in its tensors."""
_BYTES_PER_GRID_READ = 200
"""Memory for what a Gaussian reads of a level of a hash grid, while the grid is laid out."""


def load_baked(source: Path | RunFile, device: torch.device | str | None = None) -> BakedPicture:
    """Load a fitted picture of Gaussians; the source image is not needed, and nothing that a file names is run.

    Args:
        source: A run's config.yml, read or not, or a .safetensors file of ``gainer export``.
        device: Where to put it; None for cuda where there is one.

    Raises:
        GainerError: If there is no such file, or it is not a fitted picture of Gaussians.
    """
    device = device or best_device()
    if isinstance(source, Path) and is_exported(source):
        return load_picture(source).to(device)
    run = as_run(source)
    if run.kind("pipeline", "model") != class_name(GainerModelConfig):
        raise GainerError(
            f"{run}: not a run of a 2D gainer method, or not made of Gaussians; give the config.yml of ns-train gainer"
        )
    recipe = run.config(GainerModelConfig, "pipeline", "model", skip=("panel",))
    with checkpoint_of(run) as state:
        picture = _restored(recipe, state)
    return picture.to(device)


@contextmanager
def checkpoint_of(run: RunFile) -> Iterator[dict[str, Tensor]]:
    """Return the model's tensors in the newest whole checkpoint of a run, which lies beside its config.yml.

    Raises:
        GainerError: If there is no whole one, or what is done with it shows that it does not fit.
    """
    checkpoint = _newest_checkpoint(run)
    try:
        held = unpacked_bytes(checkpoint)
        check_free(_COPIES_IN_MEMORY * held, f"{checkpoint}:", "close other programs")
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["pipeline"]
        if sum(value.numel() * value.element_size() for value in state.values()) > _MAX_TENSOR_SHARING * held:
            raise ValueError("it says that it has more numbers than it holds")  # the same ones over and over
        if not all(bool(value.isfinite().all()) for value in state.values()):
            raise ValueError("it holds numbers that are not finite")
        yield {name.removeprefix("_model."): value for name, value in state.items() if name.startswith("_model.")}
    except GainerError:
        raise
    except LOAD_ERRORS as error:
        raise GainerError(f"{checkpoint}: does not fit {run.path.name}; fit the picture again") from error


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _newest_checkpoint(run: RunFile) -> Path:
    folder = run.file_path("relative_model_dir") or Path("nerfstudio_models")
    if folder.is_absolute() or ".." in folder.parts:
        raise GainerError(
            f"{run.path}: its checkpoints are in {folder}, and only those beside it are read; "
            "move them there, and set relative_model_dir to the name of their folder"
        )
    # A resumed run was told which step to load from the folder of another run.
    resumed = run.file_path("load_dir") is not None
    step = newest_whole_checkpoint(run.path.parent / folder, None if resumed else run.value("load_step", of=int | None))
    return run.path.parent / folder / f"step-{step:09d}.ckpt"


def _restored(recipe: GainerModelConfig, state: dict[str, Tensor]) -> BakedPicture:
    """Return the picture in a checkpoint, as large as its tensors; what is raised here means that they do not fit."""
    check_version(state.get("version"), GainerModel.checkpoint_version)
    facts = PictureMetadata.restored(state["picture_facts"])
    own = below("encoding.", state)
    means, table = own["means"], own.get("features_table")
    if means.dim() != 2 or means.shape[1] != 2 or not means.is_floating_point():
        raise ValueError("its means are no points of a plane")
    config = recipe.planned_encoding(facts.plane.pixels)
    weights = below("decoder.", state)
    if table is not None:
        config = replace(config, feature_dim=table.shape[1], features="table")
    else:  # a fit that stopped before its hash grid was baked
        grid = config.hash_grid
        if weights["linear.weight"].shape[1] != grid.num_levels * grid.features_per_level:
            raise ValueError("the decoder does not fit the hash grid")
        check_free(len(means) * grid.num_levels * _BYTES_PER_GRID_READ, "the hash grid", "close other programs")
    spacing = float(own["spacing"])
    encoding = GaussianKNNEncoding(config, means.float(), spacing, unit_box=UNIT_BOX)
    encoding.load_state_dict(own)
    decoder = Decoder.restored(
        weights, hidden_layers=recipe.planned_hidden_layers(facts.plane.pixels), hidden_dim=recipe.hidden_dim
    )
    layer = LearnedPicture(encoding, decoder).layer(facts.plane)
    check_layer(layer)
    profile = ColourProfile.from_tensor(state.get(PROFILE_BUFFER), "the checkpoint")
    return BakedPicture(facts.plane, (layer,), facts.bit_depth, profile)
