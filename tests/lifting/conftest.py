"""What the tests of lifting share: a small camera, depth maps whose truth is a formula, and models fitted to them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from PIL import Image
from torch import Tensor

from gainer_ns.frames import CAMERA_DISTANCE, PinholeCamera
from gainer_ns.lifting.metadata import LiftMetadata
from gainer_ns.lifting.model import LiftModel, LiftModelConfig
from gainer_ns.lifting.rgbd_layers import RgbdLayer


def pixel_centres(camera: PinholeCamera) -> Tensor:
    """Pixel coordinates of all pixels [h, w, 2], float64."""
    row, column = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    return torch.stack([column, row], dim=-1).double() + 0.5


@pytest.fixture(scope="session")
def camera() -> PinholeCamera:
    """A camera of 48 x 36 pixels whose axis does not meet the middle of its pictures."""
    return PinholeCamera(48, 36, (60.0, 60.0), (22.5, 19.25))


@pytest.fixture(scope="session")
def centres() -> Callable[[PinholeCamera], Tensor]:
    """``centres(camera)``: pixel coordinates of all pixels [h, w, 2], float64."""
    return pixel_centres


@pytest.fixture(scope="session")
def plane_depth() -> Callable[..., Tensor]:
    """``plane_depth(camera, normal, height)``: depths [h, w] of the plane ``normal . p = -height``."""

    def depth(camera: PinholeCamera, normal: tuple[float, float, float], height: float) -> Tensor:
        along = camera.rays(pixel_centres(camera)) @ torch.tensor(normal, dtype=torch.float64)
        return -height / along

    return depth


@pytest.fixture(scope="session")
def sphere_depth() -> Callable[..., Tensor]:
    """``sphere_depth(camera, middle, radius)``: depths [h, w] of a ball, 0 where it is not seen."""

    def depth(camera: PinholeCamera, middle: tuple[float, float, float], radius: float) -> Tensor:
        rays, centre = camera.rays(pixel_centres(camera)), torch.tensor(middle, dtype=torch.float64)
        a, b = rays.square().sum(dim=-1), rays @ centre
        root = b.square() - a * (centre.square().sum() - radius**2)
        return torch.where(root > 0, (b - root.clamp(min=0).sqrt()) / a, 0.0)

    return depth


@pytest.fixture(scope="session")
def colours_of() -> Callable[[PinholeCamera], Tensor]:
    """``colours_of(camera)``: a smooth picture [h, w, 3] in [0.1, 0.9] without symmetries."""

    def colours(camera: PinholeCamera) -> Tensor:
        x, y = (pixel_centres(camera) / 48).float().unbind(-1)
        waves = [torch.sin(7 * x + 3 * y), torch.cos(9 * y - 2 * x + 1), torch.sin(5 * x * y + 4 * y)]
        return 0.5 + 0.4 * torch.stack(waves, dim=-1)

    return colours


@pytest.fixture(scope="session")
def rays_from() -> Callable[..., RayBundle]:
    """``rays_from(camera, pose)``: rays [h * w] through all pixels of a camera that stands at a pose [3, 4]."""

    def rays(camera: PinholeCamera, pose: Tensor | None = None) -> RayBundle:
        if pose is None:
            pose = torch.eye(4)[:3].clone()
            pose[2, 3] = CAMERA_DISTANCE
        directions = camera.rays(pixel_centres(camera)).view(-1, 3) @ pose[:, :3].double().T
        directions = torch.nn.functional.normalize(directions, dim=-1).float()
        ones = torch.ones(len(directions), 1)
        return RayBundle(pose[:, 3].float().expand_as(directions), directions, pixel_area=ones)

    return rays


@pytest.fixture(scope="session")
def lift() -> Callable[..., LiftModel]:
    """``lift(camera, *layers, unit=1)``: a model, fitted as in a run, but without one, of what the photo shows."""

    from gainer_ns.fitting.trainer import PlainTrainer

    def fitted(camera: PinholeCamera, *layers: RgbdLayer, unit: float = 1.0, **options: Any) -> LiftModel:
        model = LiftModel(
            LiftModelConfig(**{"behind_edges": False, **options}),
            scene_box=SceneBox(torch.tensor([[-1.0] * 3, [1.0] * 3])),
            num_train_data=1,
            metadata={"photo": LiftMetadata(camera, unit, metric=True, bit_depth=8), "layers": layers},
        )
        trainer = PlainTrainer()
        trainer.run(model.fit_of(trainer), model.config.finish_steps)
        return model.eval()

    return fitted


@pytest.fixture(scope="session")
def rgbd_layer() -> Callable[..., RgbdLayer]:
    """``rgbd_layer(colours, depth, opacity=None)``: all of it shown by the photo."""

    def made(colours: Tensor, depth: Tensor, opacity: Tensor | None = None) -> RgbdLayer:
        return RgbdLayer(colours, depth.float(), opacity, depth > 0)

    return made


@pytest.fixture(scope="session")
def decibel() -> Callable[[Tensor], float]:
    """``decibel(errors)``: PSNR of errors of colours in [0, 1]."""
    return lambda error: float(-10 * error.square().mean().clamp(min=1e-20).log10())


@pytest.fixture
def lifted_photo(tmp_path: Path, camera: PinholeCamera, colours_of: Any, plane_depth: Any) -> Path:
    """photo.png with depth.npy beside it, of a plane about 2 away that leans to the right."""
    samples = (colours_of(camera) * 255).round().byte().numpy()
    Image.fromarray(samples).save(tmp_path / "photo.png")
    np.save(tmp_path / "depth.npy", plane_depth(camera, (0.3, 0.1, 1.0), 2.0).float().numpy())
    return tmp_path / "photo.png"


ROOM_WALLS = (
    (0, -1.5, (0.9, 0.5, 0.3)),
    (0, 1.6, (0.3, 0.6, 0.9)),
    (1, -1.0, (0.4, 0.8, 0.4)),
    (2, -3.0, (0.7, 0.6, 0.5)),
)
"""Planes of a room: axis, where they cross it, and their colour."""


def _seen_in_room(origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far rays go until a wall, the floor or the box that stands in the room, and what colour they see."""
    best, colours = np.full(directions.shape[:2], np.inf), np.zeros((*directions.shape[:2], 3))
    for axis, place, tint in (*ROOM_WALLS, (2, -2.0, (0.8, 0.3, 0.6))):
        with np.errstate(divide="ignore", invalid="ignore"):
            far = (place - origin[axis]) / directions[..., axis]
        points = origin + np.where(np.isfinite(far), far, 0)[..., None] * directions
        hit = (far > 0) & (far < best)
        if place == -2.0:
            hit &= (np.abs(points[..., 0]) < 0.45) & (points[..., 1] < 0.3)
        ripples = np.sin(9 * points @ [1.0, 0.7, 0.3]) * np.sin(11 * points @ [-0.4, 1.0, 0.8]) + np.sin(
            23 * points @ [0.5, 0.4, 1]
        )
        best[hit] = far[hit]
        colours[hit] = (np.array(tint) + 0.12 * ripples[..., None] * [1, 0.7, -0.8])[hit]
    return best, colours.clip(0, 1)


@pytest.fixture(scope="session")
def draw_room() -> Callable[..., Path]:
    """``draw_room(folder, camera, places, depths=True)``: transforms.json and photos of a room, from places along x.

    Photos are named by number; depths are stored beside them.
    """
    import json

    def draw(folder: Path, camera: PinholeCamera, places: tuple[float, ...], *, depths: bool = True) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        directions = camera.rays(pixel_centres(camera)).numpy()
        frames = []
        for number, place in enumerate(places):
            pose = np.eye(4)
            pose[:3, 3] = place, 0.1 * place, 0.2
            depth, colours = _seen_in_room(pose[:3, 3], directions)
            Image.fromarray((colours * 255).round().astype(np.uint8)).save(folder / f"{number}.png")
            np.save(folder / f"{number}.npy", depth.astype(np.float32))
            frames.append({"file_path": f"{number}.png", "transform_matrix": pose.tolist()})
            if depths:
                frames[-1]["depth_file_path"] = f"{number}.npy"
        (fx, fy), (cx, cy) = camera.focal_length, camera.centre
        said = {"w": camera.width, "h": camera.height, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "frames": frames}
        (folder / "transforms.json").write_text(json.dumps(said))
        return folder

    return draw
