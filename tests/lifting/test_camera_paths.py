"""Camera paths in the viewer's own format."""

import json
import math
from pathlib import Path

import pytest
import torch
from nerfstudio.cameras.camera_paths import get_path_from_json

from gainer_ns.errors import GainerError
from gainer_ns.frames import CAMERA_DISTANCE, PinholeCamera
from gainer_ns.lifting.camera_paths import (
    _MAX_SIDE_PX,
    DOLLY_SHARE,
    ORBIT_DEGREES,
    camera_path,
    dolly,
    orbit,
    write_camera_paths,
)

CAMERA = PinholeCamera(48, 36, (60.0, 62.0), (24.0, 18.0))


@pytest.mark.parametrize("path", [orbit, dolly])
def test_paths_begin_where_the_photo_was_taken(path) -> None:
    poses = path(24)
    photo = torch.eye(4, dtype=torch.float64)
    photo[2, 3] = CAMERA_DISTANCE
    torch.testing.assert_close(poses[0], photo)
    assert len(poses) == 24
    for pose in poses:
        torch.testing.assert_close(pose[:3, :3] @ pose[:3, :3].T, torch.eye(3, dtype=torch.float64))
        assert float(torch.linalg.det(pose[:3, :3])) == pytest.approx(1) and pose[3].tolist() == [0, 0, 0, 1]
    steps = [(a[:3, 3] - b[:3, 3]).norm() for a, b in zip(poses, [*poses[1:], poses[0]], strict=True)]
    assert float(max(steps)) < 3 * float(sum(steps)) / 24  # it closes, without a jump


def test_the_orbit_looks_at_the_middle() -> None:
    poses = orbit(96)
    for pose in poses:
        torch.testing.assert_close(pose[:3, 2], torch.nn.functional.normalize(pose[:3, 3], dim=0))
        assert float(pose[1, 0]) == pytest.approx(0) and float(pose[1, 1]) > 0
    right = [math.degrees(math.atan2(float(pose[0, 3]), float(pose[2, 3]))) for pose in poses]
    assert max(right) == pytest.approx(ORBIT_DEGREES[0]) and min(right) == pytest.approx(-ORBIT_DEGREES[0])


def test_the_dolly_goes_straight_in_and_back() -> None:
    poses = dolly(40)
    assert all(torch.equal(pose[:3, :3], torch.eye(3, dtype=torch.float64)) for pose in poses)
    assert all(pose[:2, 3].abs().sum() == 0 for pose in poses)
    away = [float(pose[2, 3]) / CAMERA_DISTANCE for pose in poses]
    assert min(away) == pytest.approx(1 - DOLLY_SHARE) and away.index(min(away)) == 20 and max(away) == 1


@pytest.mark.parametrize(("width", "height"), [(48, 36), (47, 33), (4000, 3000), (1, 1), (3000, 5000)])
def test_nerfstudio_reads_them_with_the_photos_field_of_view(width: int, height: int) -> None:
    camera = PinholeCamera(width, height, (1.2 * width, 1.2 * width), (width / 2, height / 2))
    path = json.loads(json.dumps(camera_path(orbit(5), camera)))
    assert path["render_width"] % 2 == path["render_height"] % 2 == 0
    longest = max(path["render_width"], path["render_height"])
    assert abs(longest - min(max(width, height), _MAX_SIDE_PX)) <= 1, "reduced where it is large, never enlarged"
    cameras = get_path_from_json(path)
    assert cameras.camera_to_worlds.shape == (5, 3, 4)
    seen = 2 * math.atan(path["render_height"] / 2 / float(cameras.fy[0]))
    assert seen == pytest.approx(2 * math.atan(height / 2 / (1.2 * width)), rel=1e-4)


def test_two_files(tmp_path: Path) -> None:
    write_camera_paths(tmp_path, CAMERA)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dolly.json", "orbit.json"]
    orbit_path, dolly_path = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("orbit", "dolly"))
    assert orbit_path["seconds"] * orbit_path["fps"] == len(orbit_path["camera_path"])
    assert orbit_path["camera_path"][0] == dolly_path["camera_path"][0] and orbit_path != dolly_path


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GainerError) as caught:
        write_camera_paths(tmp_path / "file" / "folder", CAMERA)
    assert "\n" not in str(caught.value)
