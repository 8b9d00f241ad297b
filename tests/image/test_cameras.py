"""Where cameras look on the plane of the picture, against each camera's formula in plain numpy."""

import math

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.scene_box import OrientedBox
from torch import Tensor

from gainer_ns.frames import ImagePlane, looking_from
from gainer_ns.image.cameras import MAX_SAMPLES_PER_SIDE, samples_per_pixel, seen_by

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


@pytest.mark.parametrize(
    ("across", "down", "samples"),
    [
        (1, 1, 1),
        (0.3, 0.3, 1),
        (2, 2, 2),
        (2.5, 2.5, 3),
        (2.005, 2.005, 2),
        (3, 1, 3),
        (1, 3, 3),
        (20, 1, MAX_SAMPLES_PER_SIDE),
    ],
)
def test_as_many_samples_as_pixels_of_the_source_in_one_of_the_camera(across: float, down: float, samples: int) -> None:
    plane = ImagePlane(90, 60)
    focal = plane.focal_length / across, plane.focal_length / down
    assert samples_per_pixel(camera(plane.camera_to_world(), focal, (15.0, 10.0)), plane) == samples


def test_only_what_shows_the_picture_is_asked_how_fine_it_is() -> None:
    """Of a camera that looks along the plane, most pixels show what is far beyond the picture."""
    plane, tilt = ImagePlane(60, 60), math.radians(75)
    sine, cosine = math.sin(tilt), math.cos(tilt)
    pose = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, cosine, -sine, -0.5], [0.0, sine, cosine, 0.3]])
    oblique = camera(pose, (400.0, 60.0), (15.0, 10.0))
    x, y = (part.flatten() for part in np.meshgrid(np.linspace(0.5, 29.5, 16), np.linspace(0.5, 19.5, 16)))
    here, right, below = (seen(oblique, x + dx, y + dy)[0] for dx, dy in ((0, 0), (1, 0), (0, 1)))
    steps = np.maximum(np.linalg.norm(right - here, axis=1), np.linalg.norm(below - here, axis=1)) * 60
    inside = (np.abs(here) <= 0.5).all(axis=1)
    wanted = math.ceil(np.median(steps[inside]))
    assert 1 <= wanted < MAX_SAMPLES_PER_SIDE and np.median(steps) > wanted + 1
    assert samples_per_pixel(oblique, plane) == wanted


def test_a_camera_that_sees_nothing_takes_one_sample() -> None:
    away = ImagePlane(60, 60).camera_to_world() * torch.tensor([[1.0, 1.0, -1.0, 1.0]])
    assert samples_per_pixel(camera(away), ImagePlane(60, 60)) == 1
