"""What the tests of physics share: scenes from a few words, and their particles on a lattice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

from gainer_ns.fields.decoder import Decoder
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
from gainer_ns.gaussians.opacity import opacity_field
from gainer_ns.physics.engine import Particles
from gainer_ns.physics.exchange.folder_files import PlaneUnits
from gainer_ns.physics.scene import Scene
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture

SCENES = Path(__file__).parents[2] / "configs" / "physics"


@pytest.fixture(scope="session")
def scene() -> Callable[..., Scene]:
    """``scene(*bodies, size, content, **words)``: a scene on a picture; just names are materials."""

    def make(
        *bodies: Any,
        size: tuple[int, int] = (200, 150),
        content: tuple[float, float, float, float] = (50, 30, 150, 110),
        **words: Any,
    ) -> Scene:
        listed = [{"material": body} if isinstance(body, str) else body for body in bodies or ("medium",)]
        return Scene.model_validate({"bodies": listed, **words}).on(*size, content)

    return make


@pytest.fixture(scope="session")
def particles_of() -> Callable[..., Particles]:
    """``particles_of(scene, size, content, spacing)``: a lattice in the box of what shows, in pixels."""

    def make(
        scene: Scene,
        width: int = 200,
        content: tuple[float, float, float, float] = (50, 30, 150, 110),
        spacing: float = 2.0,
    ) -> Particles:
        left, top, right, bottom = content
        x, y = torch.arange(left, right, spacing) + spacing / 2, torch.arange(top, bottom, spacing) + spacing / 2
        points = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)
        most, bodies = scene.body_fields(points).max(dim=0)
        points, bodies = points[most > 0.5], bodies[most > 0.5]
        return Particles(
            points / width,
            torch.full((len(points),), (spacing / width) ** 2),
            torch.zeros(len(points), 2),
            bodies,
            torch.arange(len(points)),
            spacing / width,
        )

    return make


@pytest.fixture(scope="session")
def written_particles() -> Callable[[Path], Particles]:
    """``written_particles(folder)``: the particles at rest that the folder of a simulation holds."""

    def read(path: Path) -> Particles:
        manifest = json.loads((path / "manifest.json").read_text())
        data = trimesh.load(path / "particles.ply").metadata["_ply_raw"]["vertex"]["data"]  # pyright: ignore
        columns = {name: torch.from_numpy(np.asarray(data[name], np.float64).reshape(-1)) for name in data.dtype.names}
        axes = "xyz"[: manifest["dimensions"]]
        units = PlaneUnits(*manifest["picture"])
        velocities = torch.stack([columns[f"v{axis}"] for axis in axes], dim=1) / units.width_length
        velocities[:, 1] *= -1
        return Particles(
            units.from_plane(torch.stack([columns[axis] for axis in axes], dim=1)).float(),
            (columns["volume"] / units.width_length ** len(axes)).float(),
            velocities.float(),
            columns["body"].long(),
            columns["gaussian_id"].long(),
            manifest["spacing"] / units.width_length,
        )

    return read


@pytest.fixture(params=sorted(path.name for path in SCENES.glob("*.yaml")))
def shipped_scene(request: pytest.FixtureRequest) -> Path:
    """Each of the scenes in configs/physics."""
    return SCENES / request.param


@pytest.fixture(scope="session")
def cut_out() -> Callable[..., BakedPicture]:
    """``cut_out(width, height)``: a smooth picture of a disc in clear surroundings; opaque without ``radius``."""

    def make(width: int = 64, height: int = 48, radius: float | None = 16.0) -> BakedPicture:
        plane = ImagePlane(width, height)
        x, y = (torch.arange(side) + 0.5 for side in (width, height))
        points = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)
        decoder = Decoder(8, 3, hidden_layers=0).eval()
        ways = torch.tensor([[0.3, 0.0, 0.2], [0.0, 0.3, 0.2]])
        colours = 0.5 + 0.3 * torch.sin(points @ ways)
        opacities = None
        if radius is not None:
            away = (points - torch.tensor([width / 2, height / 2])).norm(dim=1)
            opacities = opacity_field((radius + 0.5 - away).clamp(0, 1).view(height, width)).flatten()
        gaussians = GaussianSet(
            plane.plane_from_pixel(points),
            isotropic(0.64 * plane.pixel_size, 2),
            decoder.features_for(colours),
            10 * plane.pixel_size,
            opacities,
        )
        return BakedPicture(plane, (Layer(gaussians, decoder, 21, plane.half_extent),))

    return make
