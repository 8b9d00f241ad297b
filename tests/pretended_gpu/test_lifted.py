"""Lifted photos on a pretended GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import gainer_ns as gn
from gainer_ns.lifting.camera_paths import orbit
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.views import CameraView


def test_views(gpu: Any) -> None:
    y, x = np.indices((24, 32), np.float32)
    photo = (255 * (0.5 + 0.3 * np.stack([np.sin(x / 5 + y / 9 + shift) for shift in range(3)], axis=-1))).astype(
        np.uint8
    )
    depth = np.full((24, 32), 4.0, np.float32)
    depth[6:18, 8:24] = 2.5
    found = []
    for device in (gpu.device, "cpu"):
        scene = gn.lift(photo, depth=depth, device=device)._drawn
        assert isinstance(scene, LiftedScene)
        found.append([each.cpu() for each in scene.raster(view=CameraView(scene.camera, orbit(5)[1][:3]))])
    for there, here in zip(*found, strict=True):
        assert float((there - here).abs().quantile(0.99)) < 1e-2  # at edges a ray meets one surface or the other
        torch.testing.assert_close(there.mean(), here.mean(), atol=1e-3, rtol=0)
