"""What the tests of physics share: scenes from a few words, and their particles on a lattice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gainer_ns.physics.engine import Particles
from gainer_ns.physics.scene import Scene

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


@pytest.fixture(params=sorted(path.name for path in SCENES.glob("*.yaml")))
def shipped_scene(request: pytest.FixtureRequest) -> Path:
    """Each of the scenes in configs/physics."""
    return SCENES / request.param
