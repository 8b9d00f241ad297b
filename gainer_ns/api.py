"""The library's face: fit, lift or load a picture.

Nothing here needs a trainer or a configuration. A mistake that a user can mend is a
:class:`gainer_ns.errors.GainerError`, in one line.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from gainer_ns.devices import best_device, checked_device
from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.io.sources import Source, as_path, picture_of
from gainer_ns.picture import Picture
from gainer_ns.rendering.plane import BakedPicture

if TYPE_CHECKING:
    from gainer_ns.io.image_io import SourceImage
    from gainer_ns.recipes import MethodRecipe

DEPTH_KINDS, BACKGROUNDS = ("depth", "inverse", "disparity"), ("none", "inpaint")
Method = Literal["gainer", "gainer-paper", "gainer-compact"]


def fit(
    source: Source,
    *,
    method: Method = "gainer",
    gaussians_per_pixel: float | None = None,
    seconds: float | None = None,
    seed: int = 0,
    downscale: int = 1,
    device: torch.device | str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Picture:
    """Fit Gaussians to a picture, as ``ns-train`` does.

    Args:
        source: A file; an array [h, w], [h, w, 3] or [h, w, 4] of uint8, uint16, or floats in [0, 1]; or an image of
            Pillow's.
        method: ``gainer`` is exact on the pixels and takes seconds, ``gainer-compact`` has few Gaussians and takes
            minutes, ``gainer-paper`` is the paper's recipe and takes hours without a GPU.
        gaussians_per_pixel: Another density than the method's own.
        seconds: Stop after so many seconds of fitting; None for no limit.
        seed: Seed of everything random.
        downscale: Divides width and height before the fit.
        device: Where to fit; None for cuda where there is one.
        progress: Called after every step with the share, 0 to 1, that is done at least.

    Raises:
        GainerError: If the picture cannot be read, shows nothing, or needs more memory than there is.
    """
    found = read_for_fit(
        source, method=method, gaussians_per_pixel=gaussians_per_pixel, seconds=seconds, seed=seed, downscale=downscale
    )
    return fit_read(*found, device=device, progress=progress)


def read_for_fit(
    source: Source,
    *,
    method: Method,
    gaussians_per_pixel: float | None,
    seconds: float | None,
    seed: int,
    downscale: int,
) -> tuple[SourceImage, MethodRecipe]:
    """Read a picture, and make the recipe by which it is to be fitted; arguments and errors as of :func:`fit`."""
    from gainer_ns.recipes import RECIPES, MethodRecipe

    if method not in RECIPES:
        raise GainerError(f"method {method!r}: choose from {', '.join(RECIPES)}")
    if seconds is not None and not seconds > 0:
        raise GainerError(f"seconds {seconds}: give more than 0, or None for no limit")
    read = picture_of(source, downscale=downscale)
    recipe, adam = RECIPES[method]
    recipe = replace(recipe, seed=seed, fit_seconds=seconds)
    if gaussians_per_pixel is not None:
        recipe = replace(recipe, gaussians_per_pixel=gaussians_per_pixel, num_gaussians=None)
    return read, MethodRecipe(recipe, adam)


def fit_read(
    read: SourceImage,
    method: MethodRecipe,
    *,
    device: torch.device | str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Picture:
    """Fit a picture that has been read; see :func:`fit`."""
    from gainer_ns.fitting.trainer import fit_layer

    recipe, adam = method
    recipe.check(read.width * read.height)
    opacity = None if read.alpha is None else torch.from_numpy(read.opacity())
    layer, done = fit_layer(
        torch.from_numpy(read.colours()),
        opacity,
        recipe,
        adam,
        bit_depth=read.bit_depth,
        device=checked_device(device or best_device()),
        progress=progress,
    )
    plane = ImagePlane(read.width, read.height)
    return Picture(BakedPicture(plane, (layer,), read.bit_depth, read.profile), done.psnr)


def lift(
    source: Source,
    *,
    depth: str | os.PathLike[str] | np.ndarray,
    mask: str | os.PathLike[str] | np.ndarray | None = None,
    depth_kind: Literal["depth", "inverse", "disparity"] | None = None,
    focal_length: float | None = None,
    background: Literal["none", "inpaint"] = "none",
    behind_edges: bool = True,
    downscale: int = 1,
    device: torch.device | str | None = None,
) -> Picture:
    """Lift a photo into space by its depth, as ``ns-train gainer-lift`` does.

    Args:
        source: The photo; see :func:`fit`.
        depth: Its depth, as large as the photo: a file (.npy, .npz, .pfm, .exr, .tif, or a 16-bit .png in millimetres),
            or an array [h, w], 0 where it is unknown.
        mask: What is lifted: a file, or an array [h, w] of booleans; None for the photo's own alpha, or all of it.
        depth_kind: What the depth is; None for depth, with a warning where it looks like another kind.
        focal_length: In pixels; None for what EXIF says, or an assumption.
        background: With a mask: whether what is behind the object is lifted too, made up where the object hides it.
        behind_edges: Whether what depth edges hide, and what lies beyond the frame, is made up a little way on, so that
            views from the side show no holes there.
        downscale: Divides width and height; depth and mask are as large as the photo before that.
        device: Where to fit; None for cuda where there is one.

    Raises:
        GainerError: If something cannot be read, or does not fit together.
    """
    from gainer_ns.lifting.lift import lift_photo

    for word, said, known in (("depth_kind", depth_kind, DEPTH_KINDS), ("background", background, BACKGROUNDS)):
        if said is not None and said not in known:
            raise GainerError(f"{word} {said!r}: choose from {', '.join(known)}")
    return Picture(
        *lift_photo(
            source,
            depth,
            mask,
            depth_kind=depth_kind,
            focal_length=focal_length,
            background=background,
            behind_edges=behind_edges,
            downscale=downscale,
            device=checked_device(device or best_device()),
        )
    )


def load(path: str | os.PathLike[str], *, device: torch.device | str | None = None) -> Picture:
    """Load what was fitted before.

    Args:
        path: A .safetensors file, or the config.yml of a run of ``ns-train``; nothing that it names is run.
        device: Where to put it; None for cuda where there is one.

    Raises:
        GainerError: If there is none, or it is damaged.
    """
    from gainer_ns.io.inputs import check_run
    from gainer_ns.loading import load_run

    file = as_path(path)
    check_run(file)
    return Picture(load_run(file, None if device is None else checked_device(device)))
