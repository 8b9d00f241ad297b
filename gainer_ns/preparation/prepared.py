"""What a photo needs besides its colours to be lifted, and the folder beside it where that is kept."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gainer_ns.errors import GainerError
from gainer_ns.io.depth_files import read_depth, write_depth
from gainer_ns.io.depth_kinds import DepthUnits
from gainer_ns.io.files import whole_file
from gainer_ns.io.image_writing import write_picture
from gainer_ns.io.masks import mask_bytes
from gainer_ns.preparation.config import Key
from gainer_ns.preparation.prepared_folder import (
    CAMERA,
    DEPTH,
    MASK,
    PREVIEW,
    VERSION,
    FolderNotes,
    check_prepared_file,
    depth_key_in,
    read_camera,
    remove,
    set_aside_edited,
    sha256_of,
)
from gainer_ns.preparation.preview import preview
from gainer_ns.preparation.reduction import reduced_depth, reduced_mask, reduction_factor
from gainer_ns.preparation.segmentation import read_fitting_mask


@dataclass(frozen=True, eq=False)
class Prepared:
    """Depth, mask and focal length of a picture.

    Attributes:
        depth: Distance along the optical axis, float32 [h, w]; 0 where unknown.
        mask: What is lifted, float32 [h, w] in [0, 1]; None for the whole picture.
        focal_length: In pixels of this picture.
        units: Of the depth.
        depth_by: Who or what made the depth.
        mask_by: Who or what made the mask; None without one.
        focal_length_by: Who or what said the focal length.
        depth_key: What the depth was computed from; None if it was not.
        mask_key: What the mask was computed from; None if it was not.
    """

    depth: np.ndarray
    mask: np.ndarray | None
    focal_length: float
    units: DepthUnits
    depth_by: str
    mask_by: str | None
    focal_length_by: str
    depth_key: Key | None = None
    mask_key: Key | None = None

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.depth.shape[1]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.depth.shape[0]

    def reduced(self, width: int, height: int) -> Prepared:
        """Return the same for the picture reduced by a whole factor, as ``read_picture`` reduces it.

        Args:
            width: Width of the reduced picture: this one's divided by the factor, rounded down.
            height: Its height, in the same way.

        Raises:
            GainerError: No whole factor leads there.
        """
        if (width, height) == (self.width, self.height):
            return self
        factor = reduction_factor((self.width, self.height), (width, height))
        if factor is None:
            raise GainerError(
                f"depth of {self.width} x {self.height} pixels: does not fit a picture of {width} x {height}; "
                "run gainer prepare again"
            )
        return replace(
            self,
            depth=reduced_depth(self.depth, factor, (width, height)),
            mask=None if self.mask is None else reduced_mask(self.mask, (width, height)),
            focal_length=self.focal_length * width / self.width,
        )

    def summary(self) -> list[str]:
        """Say what it is and who made it, in a few lines for people."""
        inside = np.ones(self.depth.shape, bool) if self.mask is None else self.mask >= 0.5
        known = self.depth[(self.depth > 0) & inside]
        low, high = np.percentile(known, (1, 99)) if known.size else (0.0, 0.0)
        share = known.size / max(int(inside.sum()), 1)
        unit = "metres" if self.units == "metres" else "relative units"
        mask = "none: the whole photo is lifted"
        if self.mask is not None:
            mask = f"{inside.mean():.1%} of the pixels, by {self.mask_by}"
        return [
            f"Depth: {low:.3g} to {high:.3g} {unit}, known at {share:.1%} of the pixels, by {self.depth_by}",
            f"Mask: {mask}",
            f"Focal length: {self.focal_length:.1f} pixels, {self.focal_length_by}",
        ]


def save_prepared(
    prepared: Prepared, folder: Path, source: Path, colours: np.ndarray, kept: Prepared | None = None
) -> None:
    """Write the folder: mask.png (if there is a mask), depth.npy, preview.jpg, and camera.json last.

    Each file is written whole, and a folder counts as prepared only while it has camera.json: what breaks off halfway
    is never taken for a preparation. What a person has changed is never overwritten.

    Args:
        prepared: Of the picture as stored, not reduced.
        folder: Where to; made if it is missing.
        source: The picture.
        colours: Its colours, floats [h, w, 3] in [0, 1].
        kept: What was loaded from the folder: files of arrays that both share stay as they are.

    Raises:
        GainerError: The folder cannot be written.
    """
    written = _noted_hashes(folder)
    hashes = dict(written or {})
    remove(folder / CAMERA)
    if kept is None or prepared.mask is not kept.mask:
        hashes.pop(MASK, None)
        if prepared.mask is None:
            set_aside_edited(folder, MASK, written)
            remove(folder / MASK)
        else:
            replace_mask(folder, prepared.mask, written)
            hashes[MASK] = sha256_of(folder / MASK)
    if kept is None or prepared.depth is not kept.depth:
        set_aside_edited(folder, DEPTH, written)
        write_depth(folder / DEPTH, prepared.depth)
        hashes[DEPTH] = sha256_of(folder / DEPTH)
    write_picture(folder / PREVIEW, preview(colours, prepared.mask, prepared.depth))
    notes: FolderNotes = {
        "version": VERSION,
        "picture": source.name,
        "picture_path": os.path.abspath(source),
        "picture_sha256": sha256_of(source),
        "width": prepared.width,
        "height": prepared.height,
        "focal_length_px": prepared.focal_length,
        "focal_length_by": prepared.focal_length_by,
        "units": prepared.units,
        "depth_by": prepared.depth_by,
        "mask_by": prepared.mask_by,
        "requests": {"depth": prepared.depth_key, "prompt": prepared.mask_key},
        "sha256": hashes,
    }
    with whole_file(folder / CAMERA) as file:
        file.write((json.dumps(notes, indent=2) + "\n").encode())


def load_prepared(folder: Path, width: int, height: int) -> Prepared:
    """Read a prepared folder, whose mask.png and depth.npy a person may have replaced, or added a mask.png.

    Args:
        folder: As ``save_prepared`` wrote it.
        width: Width in pixels of the picture that is to be lifted: as prepared, or reduced by a whole factor.
        height: Its height.

    Raises:
        GainerError: Something of it is missing or damaged, or belongs to a picture of another size.
    """
    notes = read_camera(folder)
    stored = notes["width"], notes["height"]
    if (width, height) != stored and reduction_factor(stored, (width, height)) is None:
        raise GainerError(
            f"{folder}: was prepared for {stored[0]} x {stored[1]} pixels, and the picture has {width} x {height}; "
            "run gainer prepare again"
        )
    mask, mask_by = None, notes["mask_by"]
    if mask_by is not None or (folder / MASK).is_file():
        check_prepared_file(folder, MASK)
        mask, mask_by = read_fitting_mask(folder / MASK, *stored), mask_by or f"file {MASK}"
    check_prepared_file(folder, DEPTH)
    whole = Prepared(
        depth=read_depth(folder / DEPTH, *stored, kind="depth").depth,
        mask=mask,
        focal_length=notes["focal_length_px"],
        units=notes["units"],
        depth_by=notes["depth_by"],
        mask_by=mask_by,
        focal_length_by=notes["focal_length_by"],
        depth_key=depth_key_in(notes),
        mask_key=notes.get("requests", {}).get("prompt"),
    )
    return whole.reduced(width, height)


def replace_mask(folder: Path, mask: np.ndarray, written: dict[str, str] | None) -> None:
    """Write mask.png, a gray PNG of 8 bits, or of 16 if 8 cannot hold its values; an edited one is set aside.

    Args:
        folder: The prepared folder.
        mask: Floats [h, w] in [0, 1].
        written: See ``set_aside_edited``.

    Raises:
        GainerError: The file cannot be written.
    """
    path, content = folder / MASK, mask_bytes(mask)
    if path.is_file() and path.read_bytes() == content:
        return
    set_aside_edited(folder, MASK, written)
    with whole_file(path) as file:
        file.write(content)


def _noted_hashes(folder: Path) -> dict[str, str] | None:
    """Return the SHA-256 that an earlier camera.json notes; None where an older version has noted none.

    Raises:
        GainerError: If the folder holds another program's camera.json.
    """
    if not (folder / CAMERA).is_file():
        return {}
    try:
        return read_camera(folder).get("sha256")
    except GainerError:
        if b'"picture"' in (folder / CAMERA).read_bytes():  # ours, but damaged
            return None
        raise GainerError(f"{folder}: holds another program's {CAMERA}; choose another folder with --output") from None
