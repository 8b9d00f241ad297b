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
    from gainer_ns.image.loading import load_baked
    from gainer_ns.image.outputs import is_exported
    from gainer_ns.image.run_file import RunFile

    if not is_exported(path):
        from gainer_ns.lifting.loading import is_lifted, load_lifted

        run = RunFile(path)
        if is_lifted(run):
            return load_lifted(path, device)
        from gainer_ns.evaluation.baselines.loading import is_baseline, load_baseline

        if is_baseline(run):
            return load_baseline(path, device)
    return load_baked(path, device)


def check_names(path: Path) -> None:
    """Refuses a config.yml that names what its method does not: nerfstudio's programs build and call what it names.

    That keeps out what is plainly foreign. It does not make a file of unknown origin one to be trusted.

    Args:
        path: The config.yml of a run.

    Raises:
        GainerError: If it is such, or no configuration of ns-train at all.
    """
    import yaml
    from nerfstudio.plugins.types import MethodSpecification

    from gainer_ns import methods
    from gainer_ns.errors import GainerError
    from gainer_ns.image.run_file import RunFile, tags_in

    run = RunFile(path)
    name = run.value("method_name", of=str)
    known = [one.config for one in vars(methods).values() if isinstance(one, MethodSpecification)]
    allowed = {tag for config in known if config.method_name == name for tag in tags_in(yaml.dump(config))}
    foreign = sorted(tag for tag in run.tags - allowed if "/apply:pathlib" not in tag)
    if foreign:
        shown = foreign[0].removeprefix("tag:yaml.org,2002:")
        raise GainerError(f"{path}: names {shown}, which ns-train does not write there; view only runs that you trust")
