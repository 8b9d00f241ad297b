"""Where cameras look on the plane of the picture, against each camera's formula in plain numpy."""

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.scene_box import OrientedBox
from torch import Tensor

from gainer_ns.frames import ImagePlane, looking_from
from gainer_ns.gaussians.footprints import PixelExtent
from gainer_ns.image.cameras import View, seen_by, views_of
from gainer_ns.motion.rest_map import PointRows

SIZE = 30, 20
FOCAL, CENTRE = (40.0, 25.0), (13.0, 11.5)
"""Neither square pixels nor an axis through the middle, so that nothing can be mistaken for something else."""


def camera(
    pose: Tensor,
    focal: tuple[float, float] = FOCAL,
    centre: tuple[float, float] = CENTRE,
    size: tuple[int, int] = SIZE,
    kind: CameraType = CameraType.PERSPECTIVE,
    distortion: list[float] | None = None,
) -> Cameras:
    lens = None if distortion is None else torch.tensor([distortion])
    return Cameras(pose[None], *focal, *centre, *size, distortion_params=lens, camera_type=kind)


def pixels(count: int = 50) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(0)
    return chance.uniform(0, SIZE[0], count), chance.uniform(0, SIZE[1], count)


def seen(one: Cameras, x: np.ndarray, y: np.ndarray, **options: OrientedBox) -> tuple[np.ndarray, np.ndarray]:
    found = seen_by(one, torch.from_numpy(x), torch.from_numpy(y), **options)
    return found.points.numpy(), found.distance.numpy()[:, 0]


def met(pose: Tensor, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays from the camera, told in its own axes, meet z = 0, and how far away."""
    turned = directions / np.linalg.norm(directions, axis=1, keepdims=True) @ pose[:, :3].double().numpy().T
    place = pose[:, 3].double().numpy()
    away = -place[2] / turned[:, 2]
    return place[:2] + away[:, None] * turned[:, :2], away


POSE = looking_from(right=25, above=15)


def test_a_perspective_camera() -> None:
    x, y = pixels()
    u, v = (x - CENTRE[0]) / FOCAL[0], (CENTRE[1] - y) / FOCAL[1]
    points, distance = met(POSE, np.stack([u, v, -np.ones_like(u)], axis=1))
    found, far = seen(camera(POSE), x, y)
    np.testing.assert_allclose(found, points, rtol=0, atol=1e-6)
    np.testing.assert_allclose(far, distance, rtol=1e-6)


def test_a_fisheye_camera() -> None:
    """Of equal angles from its axis a pixel."""
    x, y = pixels()
    u, v = (x - CENTRE[0]) / FOCAL[0], (CENTRE[1] - y) / FOCAL[1]
    angle = np.hypot(u, v)
    directions = np.stack([u / angle * np.sin(angle), v / angle * np.sin(angle), -np.cos(angle)], axis=1)
    points, distance = met(POSE, directions)
    found, far = seen(camera(POSE, kind=CameraType.FISHEYE), x, y)
    np.testing.assert_allclose(found, points, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(far, distance, rtol=1e-4)


def test_a_lens_that_distorts() -> None:
    """What is seen there is imaged here: told forwards, by the lens's polynomial of the distance from its axis."""
    x, y = pixels()
    lens = [0.2, 0.05, 0.0, 0.0, 0.0, 0.0]
    points, _ = seen(camera(POSE, distortion=lens), x, y)
    space = np.concatenate([points, np.zeros_like(points[:, :1])], axis=1).astype(float)
    own: np.ndarray = (space - POSE[:, 3].double().numpy()) @ POSE[:, :3].double().numpy()
    flat = own[:, :2] / -own[:, 2:]
    squared = (flat**2).sum(axis=1, keepdims=True)
    bent = flat * (1 + lens[0] * squared + lens[1] * squared**2)
    imaged = np.stack([CENTRE[0] + FOCAL[0] * bent[:, 0], CENTRE[1] - FOCAL[1] * bent[:, 1]], axis=1)
    np.testing.assert_allclose(imaged, np.stack([x, y], axis=1), rtol=0, atol=0.01)
    assert np.abs(flat * FOCAL - bent * FOCAL).max() > 0.2, "it distorts"


@pytest.mark.parametrize("size", [(60, 40), (37, 91), (333, 7), (1, 1)])
def test_the_camera_that_frames_the_picture_sees_the_very_centres_of_its_pixels(size: tuple[int, int]) -> None:
    plane = ImagePlane(*size)
    framing = camera(
        plane.camera_to_world(), (plane.focal_length, plane.focal_length), (size[0] / 2, size[1] / 2), size
    )
    index = torch.arange(plane.pixels)
    x, y = (index % size[0]).double() + 0.5, (index // size[0]).double() + 0.5
    assert torch.equal(seen_by(framing, x, y).points, plane.pixel_centres(index))


def test_what_looks_away_or_lies_outside_of_a_box_is_missed() -> None:
    x, y = pixels()
    away = POSE * torch.tensor([[1.0, 1.0, -1.0, 1.0]])  # turned round
    points, distance = seen(camera(away), x, y)
    assert np.isinf(points).all() and not distance.any()
    points, distance = seen(camera(POSE), x, y)
    box = OrientedBox(torch.eye(3), torch.zeros(3), torch.tensor([0.4, 0.3, 1.0]))
    inside = (np.abs(points) <= (0.2, 0.15)).all(axis=1)
    assert 5 < inside.sum() < 45
    boxed, near = seen(camera(POSE), x, y, within=box)
    np.testing.assert_array_equal(boxed[inside], points[inside])
    np.testing.assert_array_equal(near[inside], distance[inside])
    assert np.isinf(boxed[~inside]).all() and not near[~inside].any()


def looks(one: Cameras, plane: ImagePlane, block_points: int = 1 << 17, **options: OrientedBox) -> list[View]:
    return list(views_of(one.flatten(), plane, block_points, **options))


def loose(places: PointRows | Tensor) -> Tensor:
    return places.points if isinstance(places, PointRows) else places


def frame_points(width: int, height: int) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return x.flatten().double(), y.flatten().double()


STRAIGHT = torch.tensor([[1.0, 0.0, 0.0, 0.03], [0.0, 1.0, 0.0, -0.02], [0.0, 0.0, 1.0, 0.8]])
TURNED = STRAIGHT * torch.tensor([-1.0, -1.0, 1.0, 1.0])
ROLLED = torch.tensor([[0.8, -0.6, 0.0, 0.0], [0.6, 0.8, 0.0, 0.0], [0.0, 0.0, 1.0, 0.8]])


@pytest.mark.parametrize(
    ("pose", "kind", "distortion", "in_rows"),
    [
        (STRAIGHT, CameraType.PERSPECTIVE, None, True),
        (TURNED, CameraType.PERSPECTIVE, None, True),
        (POSE, CameraType.PERSPECTIVE, None, False),
        (ROLLED, CameraType.PERSPECTIVE, None, False),
        (looking_from(right=2, above=0), CameraType.PERSPECTIVE, None, False),
        (looking_from(right=180, above=0), CameraType.PERSPECTIVE, None, True),
        (STRAIGHT * torch.tensor([[1.0, 1.0, -1.0, 1.0]]), CameraType.PERSPECTIVE, None, False),
        (STRAIGHT, CameraType.FISHEYE, None, False),
        (STRAIGHT, CameraType.PERSPECTIVE, [0.2, 0.0, 0.0, 0.0, 0.0, 0.0], False),
    ],
)
def test_views_are_where_each_pixel_looks(
    pose: Tensor, kind: CameraType, distortion: list[float] | None, in_rows: bool
) -> None:
    one, plane = camera(pose, (400.0, 250.0), (13.0, 11.5), kind=kind, distortion=distortion), ImagePlane(90, 60)
    found = looks(one, plane, block_points=100)
    assert len(found) > 1 and all(isinstance(view.places, PointRows) == in_rows for view in found)
    wanted = seen_by(one.flatten(), *frame_points(*SIZE))
    torch.testing.assert_close(torch.cat([loose(view.places) for view in found]), wanted.points, rtol=0, atol=1e-6)
    if wanted.distance.any():
        torch.testing.assert_close(torch.cat([view.distance for view in found]), wanted.distance, rtol=0, atol=1e-6)


def test_what_lies_outside_of_a_box_is_missed_in_views() -> None:
    box = OrientedBox(torch.eye(3), torch.zeros(3), torch.tensor([0.02, 0.02, 1.0]))
    (view,) = looks(camera(STRAIGHT, (400.0, 250.0)), ImagePlane(90, 60), within=box)
    wanted = seen_by(camera(STRAIGHT, (400.0, 250.0)).flatten(), *frame_points(*SIZE), within=box)
    assert 0 < wanted.points.isfinite().all(dim=1).sum() < 600
    torch.testing.assert_close(loose(view.places), wanted.points)


def sides(extent: PixelExtent, count: int) -> Tensor:
    """Both sides of what each pixel covers, as columns, in pixels of the picture."""
    square = torch.eye(2).expand(count, 2, 2) if extent.inverse_jacobians is None else extent.inverse_jacobians
    return square * extent.side / extent.pixel


@pytest.mark.parametrize(("across", "down"), [(1.0, 1.0), (0.3, 0.3), (2.5, 2.5), (3.0, 1.0), (20.0, 1.0)])
def test_each_pixel_covers_as_much_as_there_is_to_the_next(across: float, down: float) -> None:
    plane = ImagePlane(90, 60)
    focal = plane.focal_length / across, plane.focal_length / down
    for view in looks(camera(plane.camera_to_world(), focal, (15.0, 10.0)), plane):
        found = sides(view.extent, len(view.distance))
        wanted = torch.diag(torch.tensor([across, down])).expand_as(found)
        torch.testing.assert_close(found.abs(), wanted, rtol=1e-4, atol=1e-4)


def test_a_tilted_pixel_covers_what_its_edges_see() -> None:
    plane, one = ImagePlane(90, 60), camera(POSE, (200.0, 150.0))
    found = torch.cat([sides(view.extent, len(view.distance)) for view in looks(one, plane)])
    x, y = (part.numpy() for part in frame_points(*SIZE))
    here, right, below = (seen(one, x + dx, y + dy)[0] for dx, dy in ((0, 0), (1, 0), (0, 1)))
    wanted = np.stack([right - here, below - here], axis=2) * 90
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-3)


def test_no_more_points_are_read_at_once_where_pixels_cover_many() -> None:
    plane = ImagePlane(900, 600)
    for pose in (plane.camera_to_world(), looking_from(right=25, above=15)):
        near, far = (looks(camera(pose, (focal, focal)), plane, block_points=600) for focal in (2000.0, 200.0))
        assert len(near) == 1 and len(far) >= 4
