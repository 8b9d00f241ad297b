"""What a user names that was fitted before: a picture on a plane, or a photo in space."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gainer_ns.ways import WAYS, Way

if TYPE_CHECKING:
    import torch

    from gainer_ns.image.run_file import RunFile
    from gainer_ns.lifting.scene import LiftedScene
    from gainer_ns.rendering.drawable import Drawable
    from gainer_ns.rendering.plane import BakedPicture

ShownT = TypeVar("ShownT")
LOADERS = "gainer_ns.loaders"
"""Entry points of packages whose methods fit pictures too: the class of a model's configuration, and what loads it."""


def load_run(source: Path | RunFile, device: torch.device | str | None = None) -> BakedPicture | LiftedScene:
    """Load a fitted picture of Gaussians or a lifted photo, by what the run says that it is.

    Args:
        source: A run's config.yml, read or not, or a .safetensors file of ``gainer export``.
        device: Where to put it; None for cuda where there is one.

    Raises:
        GainerError: If there is no such file, or it is neither.
    """
    from gainer_ns.rendering.drawable import Drawable

    shown = load_shown(source, device)
    return as_baked(shown, source) if isinstance(shown, Drawable) else shown


def load_shown(source: Path | RunFile, device: torch.device | str | None = None) -> Drawable | LiftedScene:
    """Load anything that can be drawn, also what another method than GaINeR has fitted; see :func:`load_run`."""
    from gainer_ns.io.outputs import is_exported

    if isinstance(source, Path):
        from gainer_ns.devices import best_device
        from gainer_ns.storage.picture_files import load_picture
        from gainer_ns.storage.run_pictures import load_run_picture

        picture = load_picture(source) if is_exported(source) else load_run_picture(source)
        if picture is not None:
            return picture.to(device or best_device())
    from gainer_ns.image.loading import load_baked
    from gainer_ns.image.run_file import as_run
    from gainer_ns.lifting.loading import is_lifted, load_lifted

    run = as_run(source)
    if is_lifted(run):
        return load_lifted(run, device)
    for foreign in entry_points(group=LOADERS, name=run.kind("pipeline", "model") or ""):
        return foreign.load()(run.path, device)
    return load_baked(run, device)


def sampled(shown: ShownT, way: Way, source: Any) -> ShownT:
    """Return a loaded picture, read in another way between its pixels.

    Raises:
        GainerError: If it can be read smoothly only, naming what it was loaded from.
    """
    from gainer_ns.errors import GainerError
    from gainer_ns.rendering.plane import BakedPicture

    if way not in WAYS:
        raise GainerError(f"sampling {way!r}: choose from {', '.join(WAYS)}")
    if not isinstance(shown, BakedPicture):
        if way == "smooth":
            return shown
        raise GainerError(f"{source}: is read smoothly only, as it is no flat picture of Gaussians; leave out sampling")
    return cast("ShownT", shown.sampled(way))


def as_baked(picture: Any, source: Path | RunFile) -> BakedPicture:
    """Return a loaded picture as one of Gaussians.

    Raises:
        GainerError: If it is none, naming what it was loaded from.
    """
    from gainer_ns.errors import GainerError
    from gainer_ns.rendering.plane import BakedPicture

    if not isinstance(picture, BakedPicture):
        raise GainerError(f"{source}: not made of Gaussians; give the config.yml of ns-train gainer")
    return picture
