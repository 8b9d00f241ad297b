"""Find or make what a photo needs to be lifted: named by the user, kept beside the photo, or computed."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from gainer_ns.devices import checked_device
from gainer_ns.errors import GainerError
from gainer_ns.io.depth_files import DepthMap, read_depth
from gainer_ns.io.image_io import SourceImage, read_picture, strict_pillow
from gainer_ns.io.image_writing import write_picture
from gainer_ns.preparation.config import DepthConfig, Key, PreparationConfig, PreparationError
from gainer_ns.preparation.depth import TransformersDepth
from gainer_ns.preparation.focal_length import FocalLength, check_focal_length, find_focal_length
from gainer_ns.preparation.matting import check_pymatting, estimate_alpha, estimate_colours, has_pymatting
from gainer_ns.preparation.prepared import Prepared, load_prepared, replace_mask, save_prepared
from gainer_ns.preparation.prepared_folder import (
    CAMERA,
    CUT_OUT,
    PREVIEW,
    folder_for,
    read_camera,
    remove,
    sha256_of,
    writable,
)
from gainer_ns.preparation.preview import preview
from gainer_ns.preparation.prompts import Prompt
from gainer_ns.preparation.segmentation import check_mask, load_segmenter, read_fitting_mask

logger = logging.getLogger(__name__)


class MadeMask(NamedTuple):
    """A mask as it was made.

    Attributes:
        mask: float32 [h, w] in [0, 1], or None for the whole photo.
        made_by: Who made it.
        key: From what it was computed.
        front: Where its edge was made soft, the colours of what is cut out, float32 [h, w, 3].
    """

    mask: np.ndarray | None
    made_by: str | None
    key: Key | None = None
    front: np.ndarray | None = None


def prepare(
    picture_path: Path,
    picture: SourceImage,
    config: PreparationConfig,
    *,
    folder: Path | None = None,
    device: torch.device | str = "cpu",
    fresh: bool = False,
) -> Prepared:
    """Find or make a photo's depth, mask and focal length.

    A file that the user names counts as it is. Otherwise a result is taken from the prepared folder, unless options ask
    for one that was made of other things (its key differs); then, and where the folder has none, it is computed, and
    all is kept in the folder, whose place is tried before. The photo's own alpha is its mask where nothing else is;
    without any, the whole photo is lifted.

    Args:
        picture_path: The photo's file.
        picture: The photo, as stored or reduced by a whole factor.
        config: What the user says.
        folder: A prepared folder, or where to make one; None for the one beside the photo.
        device: Where networks run.
        fresh: Make all anew, whatever the folder holds, and keep it there even if nothing had to be computed.

    Returns:
        For the photo as passed, that is, reduced if it is.

    Raises:
        GainerError: What is named does not fit the photo, nothing can estimate the depth here, the folder cannot be
            written, the mask is empty, or nothing inside of it has a known depth.
    """
    if config.depth.kind is not None and config.depth_path is None:
        raise PreparationError(
            "depth.kind: says what a depth file holds; name it, or leave this out", "depth-path FILE"
        )
    config.depth.check()
    config.check_matte()
    if config.focal_length is not None:
        check_focal_length(config.focal_length, "focal length")
    whole = _as_stored(picture_path, picture)
    kept = None if fresh else _kept(picture_path, whole, folder)
    device = checked_device(device)
    place = folder or folder_for(picture_path)
    is_kept_anew = fresh or _makes_mask(config, kept) or _makes_depth(config, kept)
    with writable(place, picture_path) if is_kept_anew else nullcontext():
        mask = _find_mask(picture_path, whole, config, kept, device)  # before depth: it is quicker to find fault with
        depth, depth_key, known = _find_depth(whole, config, kept, device)
        _check_overlap(picture_path, depth.depth, mask.mask)
        focal_length = find_focal_length(picture_path, whole.width, whole.height, config.focal_length, known)
        made = Prepared(
            depth=depth.depth,
            mask=mask.mask,
            focal_length=focal_length.pixels,
            units=depth.units,
            depth_by=depth.made_by,
            mask_by=mask.made_by,
            focal_length_by=focal_length.found_by,
            depth_key=depth_key,
            mask_key=mask.key,
        )
        if is_kept_anew:
            save_prepared(made, place, picture_path, whole.colours(), kept)
            _save_cut_out(place, mask, whole)
    if kept is not None:
        logger.info("%s: depth by %s, mask by %s", picture_path, made.depth_by, made.mask_by or "nobody: all is lifted")
    return made.reduced(picture.width, picture.height)


def prepare_mask(
    picture_path: Path,
    picture: SourceImage,
    config: PreparationConfig,
    *,
    folder: Path | None = None,
    device: torch.device | str = "cpu",
) -> MadeMask:
    """Make the mask of a photo as stored alone, and write it to the folder as mask.png, with a preview.

    See ``prepare`` for the arguments.

    Raises:
        GainerError: Nothing says what the mask is, or as in ``prepare``.
    """
    folder = folder or folder_for(picture_path)
    if (folder / CAMERA).is_file():
        raise GainerError(f"{folder}: holds depth too, made with another mask; choose another folder with --output")
    config.check_matte()
    device = checked_device(device)
    with writable(folder, picture_path):
        made = _find_mask(picture_path, picture, config, None, device)
        if made.mask is None:
            raise GainerError(
                f"{picture_path}: nothing says what to mask; add --click X Y, --box X0 Y0 X1 Y1, "
                "or --segmentation.model FILE.onnx"
            )
        replace_mask(folder, made.mask, {})
        write_picture(folder / PREVIEW, preview(picture.colours(), made.mask, None))
        _save_cut_out(folder, made, picture)
    return made


def _makes_mask(config: PreparationConfig, kept: Prepared | None) -> bool:
    """Return whether a mask is to be made that the folder does not hold."""
    key = config.mask_key
    return config.mask_path is None and key is not None and (kept is None or key != kept.mask_key)


def _makes_depth(config: PreparationConfig, kept: Prepared | None) -> bool:
    """Return whether depth is to be estimated: the folder has none, or none of what is asked for."""
    return config.depth_path is None and (
        kept is None or config.depth.key not in (DepthConfig().key, kept.depth_key)  # who asks for nothing gets any
    )


def _find_mask(
    path: Path, picture: SourceImage, config: PreparationConfig, kept: Prepared | None, device: torch.device
) -> MadeMask:
    """Read, make or keep the mask."""
    width, height = picture.width, picture.height
    if config.mask_path is not None:
        if config.matte:
            check_pymatting()
        mask = read_fitting_mask(config.mask_path, width, height, label=config.mask_label)
        check_mask(mask, str(config.mask_path))
        made = MadeMask(mask, f"file {config.mask_path.name}")
        return _matted(made, picture, config) if config.matte else made
    if _makes_mask(config, kept):
        prompt = Prompt(tuple(config.click), tuple(config.exclude), config.box)
        prompt.check(width, height, may_be_empty=config.segmentation.finds_objects)  # before a model is loaded
        if config.matte or config.matte_width is not None:
            check_pymatting()
        mask = load_segmenter(config.segmentation, device)(picture.colours(), prompt)
        check_mask(mask, str(path))
        made = MadeMask(mask, config.segmentation.model or "GrabCut", config.mask_key)
        if not config.hard_edge and not has_pymatting():
            logger.warning('The mask keeps a hard edge: run `pip install "gainer-ns[matte]"` for a soft one')
        return made if config.hard_edge or not has_pymatting() else _matted(made, picture, config)
    if kept is not None:
        return MadeMask(kept.mask, kept.mask_by, kept.mask_key)
    opacity = picture.opacity()
    if picture.alpha is None or opacity.min() == 1.0:
        return MadeMask(None, None)
    return MadeMask(opacity, "the picture's own alpha")


def _matted(made: MadeMask, picture: SourceImage, config: PreparationConfig) -> MadeMask:
    """Give a mask the soft edge that the photo shows, and find the colours of what it cuts out."""
    assert made.mask is not None
    colours = picture.colours()
    alpha = np.minimum(estimate_alpha(colours, made.mask, config.matte_width), picture.opacity())
    return made._replace(mask=alpha, made_by=f"{made.made_by}, matted", front=estimate_colours(colours, alpha).front)


def _save_cut_out(folder: Path, made: MadeMask, picture: SourceImage) -> None:
    """Write what a matted mask cuts out, in its own colours; take an earlier one away."""
    path = folder / CUT_OUT
    if made.front is None:
        remove(path)
    else:
        write_picture(path, made.front, made.mask, bit_depth=picture.bit_depth, profile=picture.profile)


def _find_depth(
    picture: SourceImage, config: PreparationConfig, kept: Prepared | None, device: torch.device
) -> tuple[DepthMap, Key | None, FocalLength | None]:
    """Read, estimate or keep the depth: with its key, and the focal length that belongs to it."""
    if config.depth_path is not None:
        size, estimate = (picture.width, picture.height), config.depth
        read = read_depth(config.depth_path, *size, config.depth_scale, estimate.kind, estimate.far)
        return read, None, None
    if kept is not None and not _makes_depth(config, kept):
        focal_length = FocalLength(kept.focal_length, kept.focal_length_by)
        return DepthMap(kept.depth, kept.units, None, kept.depth_by), kept.depth_key, focal_length
    made = TransformersDepth(config.depth, device)(picture.colours(), config.focal_length)
    focal_length = None if made.focal_length is None else FocalLength(made.focal_length, made.made_by)
    return made, config.depth.key, focal_length


def _as_stored(path: Path, picture: SourceImage) -> SourceImage:
    """Return the photo at the size at which it is stored: the file says, which may be turned."""
    with strict_pillow(), Image.open(path) as image:
        stored = image.size
    return picture if sorted(stored) == sorted((picture.width, picture.height)) else read_picture(path)


def _kept(path: Path, picture: SourceImage, folder: Path | None) -> Prepared | None:
    """Load what an earlier preparation kept; None if there was none."""
    place = folder or folder_for(path)
    if not (place / CAMERA).is_file():
        return None
    notes = read_camera(place)
    if folder is None and notes["picture"] != path.name:
        raise GainerError(
            f"{place}: was prepared for {notes['picture']}; run gainer prepare {path.name} --output DIR, "
            "and train with --data DIR"
        )
    if notes.get("picture_sha256") not in (None, sha256_of(path)):
        logger.warning(
            "%s: has changed since %s was prepared; run gainer prepare again if it shows other things", path, place
        )
    return load_prepared(place, picture.width, picture.height)


def _check_overlap(path: Path, depth: np.ndarray, mask: np.ndarray | None) -> None:
    """Refuse a mask inside of which no depth is known."""
    inside = depth > 0 if mask is None else (depth > 0) & (mask >= 0.5)
    if not inside.any():
        raise GainerError(f"{path}: no depth is known inside the mask; choose another mask, or a depth that covers it")
