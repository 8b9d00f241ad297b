"""Pixels, plane and cameras."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nerfstudio.cameras.cameras import Cameras, CameraType
from torch import Tensor

from gainer_ns.frames import CAMERA_DISTANCE, ImagePlane, PinholeCamera, PixelSpace, looking_from, plane_hits

sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
near = st.floats(-10_000, 10_000)


@pytest.mark.parametrize(
    ("size", "pixel", "plane"),
    [
        ((4, 2), (0.0, 0.0), (-0.5, 0.25)),
        ((4, 2), (4.0, 2.0), (0.5, -0.25)),
        ((4, 2), (2.0, 1.0), (0.0, 0.0)),
        ((4, 2), (0.5, 0.5), (-0.375, 0.125)),
        ((2, 4), (0.0, 0.0), (-0.25, 0.5)),
        ((1, 1), (0.5, 0.5), (0.0, 0.0)),
        ((3, 3), (3.0, 0.0), (0.5, 0.5)),
    ],
)
def test_known_places(size: tuple[int, int], pixel: tuple[float, float], plane: tuple[float, float]) -> None:
    frame = ImagePlane(*size)
    at_pixel, at_plane = (torch.tensor(at, dtype=torch.float64) for at in (pixel, plane))
    torch.testing.assert_close(frame.plane_from_pixel(at_pixel), at_plane, rtol=0, atol=1e-15)
    torch.testing.assert_close(frame.pixel_from_plane(at_plane), at_pixel, rtol=0, atol=1e-15)


@given(size=sizes, x=near, y=near)
def test_round_trip(size: tuple[int, int], x: float, y: float) -> None:
    plane = ImagePlane(*size)
    pixel = torch.tensor([[x, y]], dtype=torch.float64)
    torch.testing.assert_close(plane.pixel_from_plane(plane.plane_from_pixel(pixel)), pixel, rtol=0, atol=1e-9)
    near = plane.pixel_from_plane(plane.plane_from_pixel(pixel.float()))
    torch.testing.assert_close(near, pixel.float(), rtol=1e-6, atol=2e-6 * max(size))


@given(size=sizes)
def test_extent(size: tuple[int, int]) -> None:
    plane = ImagePlane(*size)
    assert plane.pixels == size[0] * size[1]
    half = torch.tensor(plane.half_extent, dtype=torch.float64)
    assert math.isclose(2 * float(half.max()), 1.0), "the longer side is 1"
    corner = plane.plane_from_pixel(torch.tensor([size[0], 0.0], dtype=torch.float64))
    torch.testing.assert_close(corner, half, rtol=1e-12, atol=0)


def test_shapes_are_kept() -> None:
    plane = ImagePlane(7, 5)
    for shape in ((2,), (3, 2), (4, 3, 2), (0, 2)):
        assert plane.plane_from_pixel(torch.zeros(shape)).shape == shape
        assert plane.pixel_from_plane(torch.zeros(shape)).shape == shape


@given(size=st.tuples(st.integers(1, 60), st.integers(1, 60)))
def test_pixel_centres(size: tuple[int, int]) -> None:
    plane = ImagePlane(*size)
    index = torch.arange(plane.pixels)
    pixel = plane.pixel_from_plane(plane.pixel_centres(index).double())
    rows, columns = torch.meshgrid(torch.arange(size[1]), torch.arange(size[0]), indexing="ij")
    expected = torch.stack([columns, rows], dim=-1).view(-1, 2) + 0.5
    torch.testing.assert_close(pixel, expected.double(), rtol=0, atol=1e-5)


def test_pixel_centres_of_a_large_picture() -> None:
    """Row-major indices beyond what float32 can count."""
    plane = ImagePlane(30_000, 20_000)
    index = torch.tensor([0, 29_999, 30_000 * 19_999, 30_000 * 19_999 + 12_345])
    pixel = plane.pixel_from_plane(plane.pixel_centres(index).double())
    expected = torch.tensor([[0.5, 0.5], [29_999.5, 0.5], [0.5, 19_999.5], [12_345.5, 19_999.5]]).double()
    torch.testing.assert_close(pixel, expected, rtol=0, atol=1e-3)


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # nerfstudio's own
@pytest.mark.parametrize("size", [(96, 64), (64, 96), (768, 512), (1, 1), (4000, 3000)])
def test_camera_sees_pixel_centres(size: tuple[int, int]) -> None:
    """Through nerfstudio's own camera, to less than a thousandth of a pixel."""
    plane = ImagePlane(*size)
    camera = Cameras(
        camera_to_worlds=plane.camera_to_world()[None],
        fx=plane.focal_length,
        fy=plane.focal_length,
        cx=plane.width / 2,
        cy=plane.height / 2,
        width=plane.width,
        height=plane.height,
        camera_type=CameraType.PERSPECTIVE,
    )
    rows = torch.arange(0, plane.height, max(1, plane.height // 37))
    columns = torch.arange(0, plane.width, max(1, plane.width // 41))
    grid = torch.cartesian_prod(rows, columns) + 0.5
    rays = camera.generate_rays(camera_indices=0, coords=grid)
    hits, distance = plane_hits(rays.origins, rays.directions)
    torch.testing.assert_close(plane.pixel_from_plane(hits.double()), grid.flip(-1).double(), rtol=0, atol=1e-3)
    slant = torch.linalg.vector_norm(torch.cat([hits, torch.full_like(distance, CAMERA_DISTANCE)], dim=-1), dim=-1)
    torch.testing.assert_close(distance[:, 0], slant, rtol=1e-6, atol=0)


def test_camera_shifts_to_the_right() -> None:
    pose = ImagePlane(30, 20).camera_to_world(0.25)
    assert torch.equal(pose[:, :3], torch.eye(3)) and pose[:, 3].tolist() == [0.25, 0.0, CAMERA_DISTANCE]


def rays(*rows: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    values = torch.tensor(rows)
    return values[:, :3], values[:, 3:]


def test_hits() -> None:
    hits, distance = plane_hits(
        *rays(
            (0.0, 0.0, 1.0, 0.0, 0.0, -1.0),
            (0.1, 0.2, 2.0, 0.0, 0.0, -1.0),
            (0.0, 0.0, 1.0, 0.6, 0.0, -0.8),
            (0.5, -0.5, -3.0, 0.0, 0.6, 0.8),  # from behind the plane
        )
    )
    torch.testing.assert_close(hits, torch.tensor([[0.0, 0.0], [0.1, 0.2], [0.75, 0.0], [0.5, 1.75]]))
    torch.testing.assert_close(distance, torch.tensor([[1.0], [2.0], [1.25], [3.75]]))


def test_rays_that_miss() -> None:
    hits, distance = plane_hits(
        *rays(
            (0.0, 0.0, 1.0, 1.0, 0.0, 0.0),  # parallel
            (0.0, 0.0, 1.0, 0.6, 0.0, 0.8),  # away from the plane
            (0.0, 0.0, -1.0, 0.0, 0.6, -0.8),
            (0.0, 0.0, 1.0, 0.0, 0.0, 1.0),
            (0.3, 0.0, 0.0, 1.0, 0.0, 0.0),  # within the plane
        )
    )
    assert bool(distance.isposinf().all())
    assert not bool(hits.isfinite().all(dim=-1).any()), "nobody takes them for hits"


def test_hits_of_any_batch_shape() -> None:
    origins, directions = torch.rand(2, 3, 4, 3) + 1, torch.rand(2, 3, 4, 3) - 2
    hits, distance = plane_hits(origins, directions)
    assert hits.shape == (2, 3, 4, 2) and distance.shape == (2, 3, 4, 1)
    ends = origins + distance * directions
    torch.testing.assert_close(ends[..., :2], hits)
    torch.testing.assert_close(ends[..., 2], torch.zeros(2, 3, 4), rtol=0, atol=1e-5)


off_centre = PinholeCamera(640, 480, (500.0, 520.0), (301.5, 250.25))
pixels_of_photo = st.tuples(st.floats(-100, 800), st.floats(-100, 600))


@given(pixel=pixels_of_photo, depth=st.floats(1e-3, 1e4))
def test_unprojected_points_are_seen_where_they_came_from(pixel: tuple[float, float], depth: float) -> None:
    at = torch.tensor([pixel], dtype=torch.float64)
    points = off_centre.unproject(at, torch.tensor([1 / depth], dtype=torch.float64))
    back, again = off_centre.project(points)
    torch.testing.assert_close(back, at, rtol=0, atol=1e-8)
    assert math.isclose(float(again), depth, rel_tol=1e-12) and math.isclose(-float(points[0, 2]), depth, rel_tol=1e-12)


def test_a_photo_in_space() -> None:
    """x goes right and y down in the photo, x right and y up in space, and the camera looks along -z."""
    camera = PinholeCamera.centred(8, 6, 4.0)
    pixel = torch.tensor([[4.0, 3.0], [8.0, 3.0], [4.0, 0.0], [0.0, 6.0]])
    expected = torch.tensor([[0.0, 0.0, -2.0], [2.0, 0.0, -2.0], [0.0, 1.5, -2.0], [-2.0, -1.5, -2.0]])
    torch.testing.assert_close(camera.unproject(pixel, torch.full((4,), 0.5)), expected)
    assert (camera.width, camera.height, camera.focal_length, camera.centre) == (8, 6, (4.0, 4.0), (4.0, 3.0))


def test_behind_the_camera_depth_is_not_positive() -> None:
    _, depth = off_centre.project(torch.tensor([[0.1, 0.2, 1.0], [0.1, 0.2, 0.0], [0.1, 0.2, -1.0]]))
    assert depth.tolist() == [-1.0, 0.0, 1.0]


@given(pixel=pixels_of_photo, depth=st.floats(0.1, 100), lean=st.tuples(st.floats(-0.01, 0.01), st.floats(-0.01, 0.01)))
def test_tangents_are_finite_differences(pixel: tuple[float, float], depth: float, lean: tuple[float, float]) -> None:
    at, inverse = torch.tensor([pixel], dtype=torch.float64), torch.tensor([1 / depth], dtype=torch.float64)
    gradient = torch.tensor([lean], dtype=torch.float64) / depth
    tangents = off_centre.unprojection_jacobian(at, inverse, gradient)
    for axis in (0, 1):
        move = torch.zeros(1, 2, dtype=torch.float64)
        move[0, axis] = 1e-3
        ends = [off_centre.unproject(at + s * move, inverse + s * (gradient * move).sum(dim=-1)) for s in (1, -1)]
        difference = (ends[0] - ends[1]) / 2e-3
        torch.testing.assert_close(tangents[..., axis], difference, rtol=1e-6, atol=1e-9 * depth)


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # nerfstudio's own
def test_a_pinhole_camera_is_nerfstudios() -> None:
    camera = Cameras(
        camera_to_worlds=torch.eye(4)[None, :3],
        fx=off_centre.focal_length[0],
        fy=off_centre.focal_length[1],
        cx=off_centre.centre[0],
        cy=off_centre.centre[1],
        width=off_centre.width,
        height=off_centre.height,
        camera_type=CameraType.PERSPECTIVE,
    )
    grid = torch.cartesian_prod(torch.arange(0, 480, 37), torch.arange(0, 640, 41)) + 0.5
    theirs = camera.generate_rays(camera_indices=0, coords=grid).directions
    ours = torch.nn.functional.normalize(off_centre.rays(grid.flip(-1)), dim=-1)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-6)


def test_pinhole_shapes_are_kept() -> None:
    for shape in ((), (3,), (4, 5), (0,)):
        assert off_centre.unproject(torch.rand(*shape, 2), torch.ones(shape)).shape == (*shape, 3)
        assert off_centre.unprojection_jacobian(
            torch.rand(*shape, 2), torch.ones(shape), torch.zeros(*shape, 2)
        ).shape == (*shape, 3, 2)
        pixel, depth = off_centre.project(torch.rand(*shape, 3))
        assert pixel.shape == (*shape, 2) and depth.shape == shape


@pytest.mark.parametrize(("right", "above"), [(0.0, 0.0), (12.0, 0.0), (0.0, 30.0), (-50.0, 20.0), (180.0, 5.0)])
def test_cameras_that_look_at_the_middle(right: float, above: float) -> None:
    pose = looking_from(right=right, above=above)
    torch.testing.assert_close(pose[:, :3] @ pose[:, :3].T, torch.eye(3), rtol=0, atol=1e-6)
    assert float(torch.linalg.det(pose[:, :3])) == pytest.approx(1)
    torch.testing.assert_close(pose[:, 3], CAMERA_DISTANCE * pose[:, 2])  # it looks along its own -z
    assert float(pose[1, 1]) > 0 and float(pose[1, 0]) == pytest.approx(0)  # upright
    radians = math.radians(right), math.radians(above)
    expected = [
        math.sin(radians[0]) * math.cos(radians[1]),
        math.sin(radians[1]),
        math.cos(radians[0]) * math.cos(radians[1]),
    ]
    assert (pose[:, 3] / CAMERA_DISTANCE).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("width", "height"), [(7, 5), (1000, 751), (6001, 9)])
def test_pixel_centres_are_rounded_once(width: int, height: int) -> None:
    """Two equally near Gaussians stay so: each centre is the float32 that is closest to where it is."""
    column, row = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    exact = np.stack([column - width / 2, height / 2 - row], axis=-1).reshape(-1, 2) / max(width, height)
    found = ImagePlane(width, height).pixel_centres(torch.arange(width * height)).numpy()
    spacing = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    assert (np.abs(found - exact) <= 0.5001 * spacing + 1e-300).all()


def test_points_outside_belong_to_the_nearest_pixel() -> None:
    plane = ImagePlane(6, 4)
    x, y = plane.half_extent
    beyond = [(3 * x, 0.01), (-3 * x, 0.01), (0.01, 3 * y), (0.01, -3 * y), (3 * x, -3 * y), (-3 * x, 3 * y)]
    assert plane.pixel_at(torch.tensor(beyond)).tolist() == [11, 6, 3, 21, 23, 0]


def test_a_space_in_pixels_is_undistorted_where_pixels_are_not_square() -> None:
    """Its pixels are as large as those of the camera in the mean, between the two directions."""
    space = PixelSpace(PinholeCamera(40, 30, (50.0, 70.0), (18.0, 16.0)), 2.0)
    assert space.pixel_size == pytest.approx(2.0 / 60)
    places = 20 * torch.rand(30, 3, dtype=torch.float64)
    torch.testing.assert_close(space.from_world(space.to_world(places)), places)
    apart = torch.cdist(space.to_world(places), space.to_world(places))
    torch.testing.assert_close(apart, space.pixel_size * torch.cdist(places, places))
