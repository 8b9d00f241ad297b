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
    """``lift(camera, *layers, unit=1)``: a model, fitted as in a run, but without one."""

    from gainer_ns.fitting.trainer import PlainTrainer

    def fitted(camera: PinholeCamera, *layers: RgbdLayer, unit: float = 1.0, **options: Any) -> LiftModel:
        model = LiftModel(
            LiftModelConfig(**options),
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
