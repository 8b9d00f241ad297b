"""What a user names by ``--load-config``: a picture on a plane, or a photo in space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from gainer_ns.lifting.scene import LiftedScene
    from gainer_ns.rendering.drawable import Drawable
    from gainer_ns.rendering.plane import BakedPicture


def load_run(path: Path, device: torch.device | str | None = None) -> BakedPicture | LiftedScene:
    """Loads a fitted picture of Gaussians or a lifted photo, by what the run says that it is.

    Args:
        path: A run's config.yml, or a .safetensors file of ``gainer export``.
        device: Where to put it; None for cuda where there is one.

    Raises:
        GainerError: If there is no such file, or it is neither.
    """
    from gainer_ns.image.loading import as_baked
    from gainer_ns.lifting.scene import LiftedScene

    shown = load_shown(path, device)
    return shown if isinstance(shown, LiftedScene) else as_baked(shown, path)


def load_shown(path: Path, device: torch.device | str | None = None) -> Drawable | LiftedScene:
    """Loads anything that can be drawn, also what another method than GaINeR has fitted; see :func:`load_run`."""
    from gainer_ns.image.loading import load_drawable, read_run

    if path.suffix != ".safetensors" and path.is_file():
        from gainer_ns.lifting.loading import load_lifted
        from gainer_ns.lifting.model import LiftModelConfig

        if isinstance(read_run(path).pipeline.model, LiftModelConfig):
            return load_lifted(path, device)
    return load_drawable(path, device)
