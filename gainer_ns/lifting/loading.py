"""A lifted photo from a run's config.yml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gainer_ns.devices import best_device
from gainer_ns.errors import GainerError
from gainer_ns.fields.decoder import MAX_FEATURES, Decoder
from gainer_ns.fields.disc_encoding import RGBA_CHANNELS, DiscEncoding
from gainer_ns.image.fitted_model import PROFILE_BUFFER, check_version
from gainer_ns.image.loading import below, checkpoint_of
from gainer_ns.image.run_file import RunFile, as_run, class_name
from gainer_ns.io.colour_profiles import ColourProfile
from gainer_ns.lifting.joined import PhotoView, views_from_tensors, views_to_tensors
from gainer_ns.lifting.layer import LiftedLayer
from gainer_ns.lifting.metadata import LiftMetadata
from gainer_ns.lifting.model import LiftModel, LiftModelConfig
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.storage.checks import check_gaussians, check_sizes


def load_lifted(source: Path | RunFile, device: torch.device | str | None = None) -> LiftedScene:
    """Load a lifted photo; neither the photo nor its depth is needed, and nothing that a file names is run.

    Args:
        source: The config.yml of a run of gainer-lift, read or not.
        device: Where to put it; None for cuda where there is one.

    Raises:
        GainerError: If it is none.
    """
    run = as_run(source)
    if not is_lifted(run):
        raise GainerError(f"{run.path}: not a run of gainer-lift; give the config.yml of ns-train gainer-lift")
    recipe = run.config(LiftModelConfig, "pipeline", "model", skip=("panel",))
    with checkpoint_of(run) as state:
        return _restored(recipe, state, device or best_device())


def is_lifted(run: RunFile) -> bool:
    """Return whether a run is one of gainer-lift."""
    return run.kind("pipeline", "model") == class_name(LiftModelConfig)


def _restored(recipe: LiftModelConfig, state: dict[str, Tensor], device: torch.device | str) -> LiftedScene:
    """Return the photo in a checkpoint; anything raised here means that its parts do not fit."""
    check_version(state.get("version"), LiftModel.checkpoint_version)
    metadata = LiftMetadata.from_tensor(state["lift_facts"])
    count = sum(name.endswith("features_table") for name in state)
    numbers, confidences = views_to_tensors(())  # older checkpoints are of single photos
    views = views_from_tensors(state.get("view_numbers", numbers), state.get("confidences", confidences))
    layers = tuple(_layer(recipe, metadata, views, state, number, device) for number in range(count))
    if not layers:
        raise ValueError("it has no layers")
    profile = ColourProfile.from_tensor(state.get(PROFILE_BUFFER), "the checkpoint")
    return LiftedScene(metadata.camera, layers, metadata.unit, metadata.metric, metadata.bit_depth, profile, views)


def _layer(
    recipe: LiftModelConfig,
    metadata: LiftMetadata,
    views: Sequence[PhotoView],
    state: dict[str, Tensor],
    number: int,
    device: torch.device | str,
) -> LiftedLayer:
    nothing = torch.full((number + 1,), -1)
    view, hidden_of = (int(state.get(name, nothing)[number]) for name in ("view_of", "hidden_of"))
    camera = views[view].camera if views else metadata.camera
    own = below(f"encodings.{number}.", state)
    means, pixels, table = own["means"], own["pixels"], own["features_table"]
    if not (means.dim() == 2 == table.dim() and means.is_floating_point() and table.shape[1] <= MAX_FEATURES):
        raise ValueError("its Gaussians are none")
    inside = (pixels >= 0) & (pixels < camera.width * camera.height)
    if pixels.shape != means.shape[:1] or not bool(inside.all()):
        raise ValueError("its Gaussians belong to no pixels of the photo")
    links = own["links"]
    if links.shape != (len(means), 2) or not bool(((links >= -1) & (links < len(means))).all()):
        raise ValueError("its Gaussians are linked to none")
    sizes = replace(recipe.encoding, feature_dim=table.shape[1])
    encoding = DiscEncoding(sizes, means.float(), own["inverse_jacobians"].float(), pixels, links)
    encoding.load_state_dict(own)
    decoder = Decoder.restored(
        below(f"decoders.{number}.", state),
        hidden_layers=recipe.hidden_layers,
        hidden_dim=recipe.hidden_dim,
        channels=RGBA_CHANNELS,
    )
    if decoder.feature_dim != sizes.feature_dim:
        raise ValueError("the decoder does not fit the features")
    encoding, decoder = encoding.to(device), decoder.to(device)
    gaussians = encoding.gaussian_set()
    check_gaussians(gaussians)
    check_sizes(*decoder.parameters())
    hidden_of = None if hidden_of < 0 else hidden_of
    links = encoding.disc_links()
    return LiftedLayer(gaussians, links, decoder, sizes.sigma, encoding.pixels, hidden_of, view=max(view, 0))
