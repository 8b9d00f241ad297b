"""What a user names that was fitted before: a picture on a plane, or a photo in space."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from gainer_ns.lifting.scene import LiftedScene
    from gainer_ns.rendering.drawable import Drawable
    from gainer_ns.rendering.plane import BakedPicture

LOADERS = "gainer_ns.loaders"
"""Entry points of packages whose methods fit pictures too: the class of a model's configuration, and what loads it."""


def load_run(path: Path, device: torch.device | str | None = None) -> BakedPicture | LiftedScene:
    """Loads a fitted picture of Gaussians or a lifted photo, by what the run says that it is.

    Args:
        path: A run's config.yml, or a .safetensors file of ``gainer export``.
        device: Where to put it; None for cuda where there is one.

    Raises:
        GainerError: If there is no such file, or it is neither.
    """
    from gainer_ns.rendering.drawable import Drawable

    shown = load_shown(path, device)
    return as_baked(shown, path) if isinstance(shown, Drawable) else shown


def load_shown(path: Path, device: torch.device | str | None = None) -> Drawable | LiftedScene:
    """Loads anything that can be drawn, also what another method than GaINeR has fitted; see :func:`load_run`."""
    from gainer_ns.io.outputs import is_exported

    if is_exported(path):
        from gainer_ns.devices import best_device
        from gainer_ns.storage.picture_files import load_picture

        return load_picture(path).to(device or best_device())
    from gainer_ns.image.loading import load_baked
    from gainer_ns.image.run_file import RunFile
    from gainer_ns.lifting.loading import is_lifted, load_lifted

    run = RunFile(path)
    if is_lifted(run):
        return load_lifted(path, device)
    for foreign in entry_points(group=LOADERS, name=run.kind("pipeline", "model") or ""):
        return foreign.load()(path, device)
    return load_baked(path, device)


def as_baked(picture: Any, path: Path) -> BakedPicture:
    """A loaded picture as one of Gaussians.

    Raises:
        GainerError: If it is none, naming the path that it was loaded from.
    """
    from gainer_ns.errors import GainerError
    from gainer_ns.rendering.plane import BakedPicture

    if not isinstance(picture, BakedPicture):
        raise GainerError(f"{path}: not made of Gaussians; give the config.yml of ns-train gainer")
    return picture
