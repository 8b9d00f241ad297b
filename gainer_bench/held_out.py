"""Photos that a joined scene was not trained on, beside simple baselines: ``python -m gainer_bench held-out RUN...``.

For each photo that a run of gainer-lift held out: the joined scene from there, the mesh of the nearest photo that it
was trained on, and the meshes of all photos that a ray would look at, of which the nearest surface shows. All have the
same depth, that of the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float

from gainer_bench.novel_view import COVERED_ACCUMULATION, GREY, masked_ssim
from gainer_bench.outputs import print_plain
from gainer_bench.sheets import Tile, tile_sheet, write_sheet
from gainer_bench.tables import Table
from gainer_bench.view_baselines import MeshedView
from gainer_bench.views import Intrinsics, Rendered, ViewPair
from gainer_ns.errors import GainerError
from gainer_ns.frames import PinholeCamera
from gainer_ns.io.samples import integer_samples
from gainer_ns.lifting.joined import MAX_PHOTOS_PER_RAY
from gainer_ns.lifting.loading import load_lifted
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.lifting.scene_dataset import SceneDataset
from gainer_ns.lifting.views import CameraView
from gainer_ns.metrics import psnr

_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
Drawn = Callable[[CameraView], Rendered]


@dataclass
class HeldOut:
    """Say how far joined scenes are from photos that they were not trained on, beside meshes."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """config.yml of runs of gainer-lift on several posed photos."""
    output: Path | None = None
    """Folder for a sheet of each photo: the photo, and what each method shows; None to only show the table."""

    def run(self) -> None:
        """Measure all runs and show the table."""
        rows = [row for config in self.runs for row in self._rows(config)]
        columns = ["photo", "method", "dB", "SSIM", "covered", "s"]
        print_plain(Table.of(columns, rows, names=2).markdown())

    def _rows(self, config: Path) -> list[list[str]]:
        train, test = _datasets(config)
        scene = load_lifted(config)
        if not scene.views:
            raise GainerError(f"{config}: is a run on a single photo; name one on several")
        found: dict[str, list[tuple[float, float, float, float]]] = {}
        rows = []
        for number, path in enumerate(test.image_filenames):
            view = _view(test, number)
            truth = test.get_image_float32(number).numpy()
            tiles = [Tile("photo", [integer_samples(truth, None, 8)])]
            for name, draw in _methods(scene, train, view).items():
                began = time.process_time()
                drawn = draw(view)
                seconds, shown = time.process_time() - began, drawn.over(GREY)
                everywhere = np.ones(truth.shape[:2], bool)
                covered = float((drawn.accumulation > COVERED_ACCUMULATION).mean())
                scores = psnr(shown, truth), masked_ssim(shown, truth, everywhere), covered, seconds
                found.setdefault(name, []).append(scores)
                rows.append([f"{config.parents[2].name} {path.stem}", name, *_cells(scores)])
                tiles.append(Tile(name, [integer_samples(shown, None, 8)]))
            if self.output is not None:
                write_sheet(self.output / f"{config.parents[2].name}_{path.stem}.png", tile_sheet(tiles, len(tiles)))
        means = {
            name: tuple(float(np.mean(column)) for column in zip(*scores, strict=True))
            for name, scores in found.items()
        }
        return [*rows, *([f"{config.parents[2].name}, mean", name, *_cells(mean)] for name, mean in means.items())]


def _cells(scores: tuple[float, ...]) -> list[str]:
    return [format(one, form) for one, form in zip(scores, (".2f", ".3f", ".1%", ".1f"), strict=True)]


def _datasets(config: Path) -> tuple[SceneDataset, SceneDataset]:
    """Return the photos that a run was trained on, and those that it held out."""
    from nerfstudio.utils.eval_utils import eval_setup

    data = eval_setup(config, test_mode="inference")[1].datamanager
    if not isinstance(data.train_dataset, SceneDataset) or not isinstance(data.eval_dataset, SceneDataset):
        raise GainerError(f"{config}: is a run on a single photo; name one on several")
    return data.train_dataset, data.eval_dataset


def _view(photos: SceneDataset, number: int) -> CameraView:
    return CameraView(photos.metadata["views"][number].camera, photos.cameras.camera_to_worlds[number])


def _methods(scene: LiftedScene, train: SceneDataset, view: CameraView) -> dict[str, Drawn]:
    """Return what draws a view, by name."""
    places = torch.stack([one.pose[:, 3] for one in scene.views])
    nearest = (places - view.pose[:, 3]).norm(dim=1).argsort()[:MAX_PHOTOS_PER_RAY].tolist()
    meshes = [_mesh(scene, number, train.get_image_float32(number).numpy()) for number in nearest]
    return {
        "gainer-lift": lambda at: _joined(scene, at),
        "nearest photo's mesh": meshes[0],
        "meshes, nearest surface": _fused(meshes),
    }


def _joined(scene: LiftedScene, view: CameraView) -> Rendered:
    rgb, alpha = scene.raster(view=view)
    return Rendered(rgb.cpu().numpy(), alpha[..., 0].cpu().numpy(), np.zeros(alpha.shape[:2]))


def _fused(meshes: list[Drawn]) -> Drawn:
    def draw(view: CameraView) -> Rendered:
        drawn = [mesh(view) for mesh in meshes]
        depth = np.stack([np.where(one.accumulation > COVERED_ACCUMULATION, one.depth, np.inf) for one in drawn])
        chosen = depth.argmin(axis=0)[None]
        rgb = np.take_along_axis(np.stack([one.rgb for one in drawn]), chosen[..., None], 0)[0]
        alpha = np.take_along_axis(np.stack([one.accumulation for one in drawn]), chosen, 0)[0]
        return Rendered(rgb, alpha, np.take_along_axis(depth, chosen, 0)[0])

    return draw


def _mesh(scene: LiftedScene, number: int, colours: Float[np.ndarray, "h w 3"]) -> Drawn:
    """Return what draws a photo's mesh, by the depth that its discs have."""
    own = scene.views[number]
    depth = np.zeros(own.camera.width * own.camera.height, np.float32)
    pose = np.eye(4)
    pose[:3] = own.pose.numpy()
    for layer in scene.shown_layers:
        if layer.view == number:
            away = (layer.gaussians.means - own.pose[:, 3]) @ own.pose[:, :3]
            pixel, _ = own.camera.project(away)
            inside = (pixel.floor() == layer.pixel_centres(own.camera.width).floor()).all(dim=1)
            depth[layer.pixels[inside].long().numpy()] = -away[inside, 2].numpy()
    K = _intrinsics(own.camera)
    depth = depth.reshape(own.camera.height, own.camera.width)

    def draw(view: CameraView) -> Rendered:
        target = np.eye(4)
        target[:3] = view.pose.numpy()
        T = np.linalg.inv(target @ _OPENCV) @ pose @ _OPENCV
        pair = ViewPair("", colours, None, depth, K, colours, None, K, T, "")
        return MeshedView(pair).render(_intrinsics(view.camera), T, view.camera.width, view.camera.height)

    return draw


def _intrinsics(camera: PinholeCamera) -> Intrinsics:
    return Intrinsics(*camera.focal_length, *camera.centre)
