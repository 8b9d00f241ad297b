"""What rays of the page meet, flat and in space."""

from collections.abc import Callable

import pytest
import torch

from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer.subject import FlatSubject, LiftedSubject
from gainer_ns.viewer.view_space import place_on_page

PLACES = torch.tensor([[20.5, 12.5], [30.5, 20.5]])


class PageCamera:
    """A page's camera, in viser's units, that shows the picture exactly."""

    wxyz = (0.0, 1.0, 0.0, 0.0)
    position = (0.0, 0.0, 10.0)

    def __init__(self, fov: float, aspect: float) -> None:
        self.fov, self.aspect = fov, aspect


def test_flat_places_are_found_again(picture: BakedPicture) -> None:
    subject = FlatSubject(picture)
    world = subject.in_world(PLACES)
    origin = torch.tensor([0.2, 0.1, 0.8])
    for place, point in zip(PLACES.tolist(), world, strict=True):
        assert subject.on_ray(origin, point - origin) == pytest.approx(place, abs=1e-3)
        assert subject.on_ray(origin, origin - point) is None
    assert bool(subject.visible().all())


def test_lifted_places_are_found_again_from_anywhere(lifted_scene: Callable[..., LiftedScene]) -> None:
    subject = LiftedSubject(lifted_scene((1.0, 1.5), (14, 8, 34, 24)))
    world = subject.in_world(PLACES)
    origin = torch.tensor([0.1, -0.1, 0.9], dtype=torch.float64)
    for place, point in zip(PLACES.tolist(), world, strict=True):
        assert subject.on_ray(origin, point - origin) == pytest.approx(place, abs=0.05)
    assert subject.on_ray(origin, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)) is None
    assert float(world[0, 2]) == pytest.approx(0.0, abs=1e-3), "on the near plane"


def test_the_page_shows_pixels_where_they_are(picture: BakedPicture) -> None:
    subject = FlatSubject(picture)
    lens = subject.lens
    fov = 2 * torch.atan(torch.tensor(lens.height / lens.focal_length[1] / 2)).item()
    camera = PageCamera(fov, lens.width / lens.height)
    assert place_on_page(camera, subject, 0.0, 0.0) == pytest.approx((0, 0), abs=1e-3)
    assert place_on_page(camera, subject, 0.25, 0.75) == pytest.approx((lens.width / 4, lens.height * 0.75), abs=1e-3)
