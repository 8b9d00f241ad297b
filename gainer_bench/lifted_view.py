"""The lifted model as a method of :mod:`gainer_bench.novel_view`, trained as a user would train it."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.trainer import Trainer

from gainer_bench.views import Intrinsics, Rendered, ViewPair
from gainer_ns.frames import CAMERA_DISTANCE, PinholeCamera
from gainer_ns.io.depth_files import write_depth
from gainer_ns.io.image_writing import write_picture
from gainer_ns.lifting.datamanager import LiftDataManagerConfig
from gainer_ns.lifting.model import LiftModel
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.views import CameraView

OPENGL_FROM_OPENCV = np.diag([1.0, -1.0, -1.0])
"""From OpenCV's axes to those of nerfstudio's cameras, and back."""


class LiftingTrainer:
    """``ns-train gainer-lift`` with the pair's own depth and camera."""

    def __init__(self) -> None:
        # nerfstudio's log writers never close, so their folders have to stay as long as the process.
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._runs = 0

    def __call__(self, pair: ViewPair) -> LiftedRenderer:
        """Lift the source of a pair, through nerfstudio's trainer."""
        from gainer_ns.methods import gainer_lift

        self._runs += 1
        folder = Path(self._folder.name) / str(self._runs)
        write_picture(folder / "view.png", pair.source_colours, pair.source_alpha, bit_depth=8)
        write_depth(folder / "depth.npy", pair.source_depth)
        config = copy.deepcopy(gainer_lift.config)
        data = cast(LiftDataManagerConfig, config.pipeline.datamanager)
        data.data, data.depth_path = folder / "view.png", folder / "depth.npy"
        data.focal_length, data.focal_length_y = pair.K_source.fx, pair.K_source.fy
        data.principal_point = pair.K_source.cx, pair.K_source.cy
        config.output_dir, config.vis = folder / "runs", "tensorboard"
        config.set_timestamp()
        trainer: Trainer = config.setup(local_rank=0, world_size=1)
        trainer.setup()
        trainer.train()
        return LiftedRenderer(cast(LiftModel, trainer.pipeline.model).fitted())


class LiftedRenderer:
    """Draws a lifted scene for cameras that are told in the source camera's frame and in the units of its depth."""

    def __init__(self, scene: LiftedScene) -> None:
        self._scene = scene

    def render(
        self, K: Intrinsics, T_camera_from_source: Float[np.ndarray, "4 4"], width: int, height: int
    ) -> Rendered:
        """Draw the scene as a camera sees it."""
        pose = np.linalg.inv(T_camera_from_source)
        rotation = OPENGL_FROM_OPENCV @ pose[:3, :3] @ OPENGL_FROM_OPENCV
        place = OPENGL_FROM_OPENCV @ pose[:3, 3] / self._scene.unit + np.array([0.0, 0.0, CAMERA_DISTANCE])
        camera = PinholeCamera(width, height, (K.fx, K.fy), (K.cx, K.cy))
        view = CameraView(camera, torch.from_numpy(np.concatenate([rotation, place[:, None]], axis=1)).float())
        seen = self._scene.seen_by(view, torch.zeros(3, device=self._scene.device))
        rgb, accumulation, distance = (seen[name].cpu().numpy() for name in ("rgb", "accumulation", "depth"))
        along = np.linalg.norm(K.rays(width, height), axis=-1)
        accumulation = accumulation.reshape(height, width)
        rgb = rgb.reshape(height, width, 3) / np.maximum(accumulation, 1e-6)[..., None]
        return Rendered(rgb, accumulation, distance.reshape(height, width) * self._scene.unit / along)

    def accumulation_up_to(self, points: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, " m"]:
        """Return the accumulation along the ray from the source camera up to each point, in that camera's frame."""
        away = torch.from_numpy(points @ OPENGL_FROM_OPENCV / self._scene.unit).float().to(self._scene.device)
        distance = away.norm(dim=1, keepdim=True)
        origin = away.new_tensor([0.0, 0.0, CAMERA_DISTANCE]).expand_as(away)
        rays = RayBundle(
            origins=origin,
            directions=away / distance,
            pixel_area=torch.ones_like(distance),
            nears=torch.zeros_like(distance),
            fars=distance,
        )
        return self._scene.outputs(rays, away.new_zeros(3))["accumulation"][:, 0].cpu().numpy()
