"""Lift a photo by its depth without nerfstudio's trainer."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from nerfstudio.data.scene_box import SceneBox
from PIL import Image

from gainer_ns.fitting.trainer import PlainTrainer
from gainer_ns.io.depth_kinds import DepthKind
from gainer_ns.io.image_writing import write_picture
from gainer_ns.io.sources import Source, as_path, picture_of
from gainer_ns.lifting.datamanager import LiftDataManagerConfig
from gainer_ns.lifting.model import LiftModel, LiftModelConfig
from gainer_ns.lifting.rgbd_photo import bounds_of
from gainer_ns.lifting.scene import LiftedScene

Named = str | os.PathLike[str]


def lift_photo(
    source: Source,
    depth: Named | np.ndarray,
    mask: Named | np.ndarray | None,
    *,
    depth_kind: DepthKind | None,
    focal_length: float | None,
    background: Literal["none", "inpaint"],
    behind_edges: bool,
    downscale: int,
    device: torch.device | str,
) -> tuple[LiftedScene, float]:
    """Lift a photo; see :func:`gainer_ns.lift` for the arguments.

    Returns:
        The photo in space, and how near its colours came to the photo's, in dB.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = LiftDataManagerConfig(
            data=_photo(source, Path(folder)),
            depth_path=_depth(depth, Path(folder)),
            mask_path=None if mask is None else _mask(mask, Path(folder)),
            focal_length=focal_length,
            background=background,
        )
        data.depth.kind = depth_kind
        data.dataparser.downscale_factor = downscale
        lifted = data.noted().photo()
    metadata = {"photo": lifted.metadata, "profile": lifted.profile, "layers": lifted.layers}
    config = LiftModelConfig(behind_edges=behind_edges)
    model: LiftModel = config.setup(scene_box=SceneBox(bounds_of([lifted])), num_train_data=1, metadata=metadata)
    model.to(device).requires_grad_(False).eval()
    trainer = PlainTrainer()
    fit = model.fit_of(trainer)
    trainer.run(fit, config.finish_steps)
    return model.fitted(), fit.psnr


def _photo(source: Source, folder: Path) -> Path:
    if not isinstance(source, np.ndarray | Image.Image):
        return as_path(source)
    picture, path = picture_of(source), folder / "photo.png"
    opacity = None if picture.alpha is None else picture.opacity()
    write_picture(path, picture.colours(), opacity, bit_depth=picture.bit_depth, profile=picture.profile)
    return path


def _depth(depth: Named | np.ndarray, folder: Path) -> Path:
    if not isinstance(depth, np.ndarray):
        return as_path(depth)
    np.save(folder / "depth.npy", depth.astype(np.float32))
    return folder / "depth.npy"


def _mask(mask: Named | np.ndarray, folder: Path) -> Path:
    if not isinstance(mask, np.ndarray):
        return as_path(mask)
    Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(folder / "mask.png")
    return folder / "mask.png"
