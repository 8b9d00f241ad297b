"""The picture that a run was fitted to."""

from __future__ import annotations

from pathlib import Path

from gainer_ns.errors import GainerError
from gainer_ns.image.run_file import RunFile
from gainer_ns.io.image_io import SourceImage, read_picture
from gainer_ns.io.outputs import is_exported


def fitted_source(path: Path, source: Path | None = None) -> SourceImage:
    """Reads the picture that a run was fitted to, reduced as it was.

    Args:
        path: The run's config.yml, which :func:`gainer_ns.image.loading.load_baked` could load.
        source: The picture file; None for the one that the run names.

    Raises:
        GainerError: If the run names none, or it is no longer there.
    """
    remedy = "name the picture that was fitted by --source"
    if is_exported(path):
        if source is None:
            raise GainerError(f"{path}: does not say what it was fitted to; {remedy}")
        return read_picture(source)
    run, manager = RunFile(path), ("pipeline", "datamanager")
    named = source or run.file_path(*manager, "data") or run.file_path(*manager, "dataparser", "data") or Path()
    if not named.is_file():
        raise GainerError(f"{path}: the picture that it was fitted to, {named}, is not there; {remedy}")
    factor = run.value(*manager, "dataparser", "downscale_factor", of=int | None)
    return read_picture(named, downscale_factor=factor or 1)
