"""What rays of the page meet, flat and in space."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer.subject import FlatSubject, LiftedSubject
from gainer_ns.viewer.view_space import point_on_page

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


def test_centres_are_those_of_the_gaussians(picture: BakedPicture, lifted_scene: Callable[..., LiftedScene]) -> None:
    places, points = FlatSubject(picture).centres()
    means = picture.gaussians.means
    assert torch.equal(points[:, :2], means) and not points[:, 2].any()
    assert torch.allclose(picture.plane.plane_from_pixel(places), means, atol=1e-6)
    scene = lifted_scene((1.0, 1.5), (14, 8, 34, 24))
    places, points = LiftedSubject(scene).centres()
    assert len(places) == scene.plane.pixels, "of two surfaces the one that hides the other"
    inside = ((places > torch.tensor([14, 8])) & (places < torch.tensor([34, 24]))).all(dim=1)
    assert float(points[inside, 2].min()) > float(points[~inside, 2].max())


@pytest.mark.parametrize("name", ["../mask.png", "link.png", "/no/such/file.png", "ABSOLUTE"])
def test_scripts_of_strangers_name_files_of_their_folder_only(name: str, picture: BakedPicture, tmp_path: Path) -> None:
    folder = tmp_path / "edits"
    folder.mkdir()
    plane = picture.plane
    for path in (tmp_path / "mask.png", folder / "inside.png"):
        Image.new("L", (plane.width, plane.height), 255).save(path)
    (folder / "link.png").symlink_to(tmp_path / "mask.png")
    script = folder / "script.yaml"
    for named in (name if name != "ABSOLUTE" else str(tmp_path / "mask.png"), "inside.png"):
        script.write_text(f"edits: [{{select: {{mask: {named}}}, rotate: {{degrees: 5}}}}]")
        if named == "inside.png":
            FlatSubject(picture).read(script, enclosed=True)
            continue
        with pytest.raises(GainerError, match="is elsewhere"):  # whether it exists or not
            FlatSubject(picture).read(script, enclosed=True)


def test_the_page_shows_pixels_where_they_are(picture: BakedPicture) -> None:
    subject = FlatSubject(picture)
    lens = subject.lens
    fov = 2 * torch.atan(torch.tensor(lens.height / lens.focal_length[1] / 2)).item()
    camera = PageCamera(fov, lens.width / lens.height)
    assert point_on_page(camera, subject, 0.0, 0.0) == pytest.approx((0, 0), abs=1e-3)
    assert point_on_page(camera, subject, 0.25, 0.75) == pytest.approx((lens.width / 4, lens.height * 0.75), abs=1e-3)
