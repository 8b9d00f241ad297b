"""The picture that a run was fitted to."""

from __future__ import annotations

from pathlib import Path

import yaml

from gainer_ns.errors import GainerError
from gainer_ns.image.image_io import Picture, read_picture


def fitted_source(path: Path, source: Path | None = None) -> Picture:
    """Reads the picture that a run was fitted to, reduced as it was.

    Args:
        path: The run's config.yml, which :func:`gainer_ns.image.loading.load_baked` could load.
        source: The picture file; None for the one that the run names.

    Raises:
        GainerError: If the run names none, or it is no longer there.
    """
    remedy = "name the picture that was fitted by --source"
    if path.suffix == ".safetensors":
        if source is None:
            raise GainerError(f"{path}: does not say what it was fitted to; {remedy}")
        return read_picture(source)
    # nerfstudio's own format; like ns-render, this trusts the configuration files it is given.
    config = yaml.load(path.read_text("utf8"), Loader=yaml.Loader)
    manager = config.pipeline.datamanager
    named = source or manager.data or manager.dataparser.data
    if not named.is_file():
        raise GainerError(f"{path}: the picture that it was fitted to, {named}, is not there; {remedy}")
    return read_picture(named, downscale_factor=manager.dataparser.factor)
