import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

Refusal = Callable[..., str]

numbers = st.floats(-5, 5)


def camera(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """K and c2w of some camera."""
    random = np.random.default_rng(seed)
    K = np.array(
        [[random.uniform(100, 2000), random.uniform(-1, 1), 320.0], [0, random.uniform(100, 2000), 240], [0, 0, 1]]
    )
    c2w = np.eye(4)
    c2w[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    c2w[:3, 3] = random.normal(size=3) * 100
    return K, c2w


@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100), sign=st.sampled_from([-1, 1]))
def test_a_projection_is_taken_apart_whatever_its_scale_and_sign(seed: int, scale: float, sign: int) -> None:
    from scenes import camera_from_projection

    K, c2w = camera(seed)
    found_K, found_c2w = camera_from_projection(sign * scale * K @ np.linalg.inv(c2w)[:3])
    np.testing.assert_allclose(found_K, K, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found_c2w, c2w, rtol=1e-6, atol=1e-6)


def test_what_projects_nothing_is_refused(refusal: Refusal) -> None:
    from scenes import camera_from_projection

    assert "singular" in refusal(camera_from_projection, np.zeros((3, 4)))


@given(seed=st.integers(0, 10_000), x=numbers, y=numbers, z=st.floats(1, 50))
def test_llff_cameras_see_what_nerf_sees(seed: int, x: float, y: float, z: float) -> None:
    """Compared with NeRF's own reading: columns to right, up, back, and rays (x - cx, -(y - cy), -f) / f."""
    from scenes import cameras_from_llff

    random = np.random.default_rng(seed)
    down_right_back = Rotation.random(random_state=seed).as_matrix()
    down_right_back[:, 0] *= np.sign(
        np.linalg.det(np.stack([down_right_back[:, 1], -down_right_back[:, 0], down_right_back[:, 2]], 1))
    )
    centre, hwf = random.normal(size=3), np.array([378.0, 504, 400])
    row = np.concatenate([np.column_stack([down_right_back, centre, hwf]).ravel(), [2, 30]])
    ((K, size, c2w, extra),) = cameras_from_llff(row[None])
    right, up, back = down_right_back[:, 1], -down_right_back[:, 0], down_right_back[:, 2]
    pixel = np.array([252 + 400 * x / z, 189 + 400 * y / z])
    ray = np.array([(pixel[0] - 252) / 400, -(pixel[1] - 189) / 400, -1]) * z
    world = np.stack([right, up, back], 1) @ ray + centre
    seen = K @ (np.linalg.inv(c2w) @ [*world, 1])[:3]
    np.testing.assert_allclose(seen[:2] / seen[2], pixel, atol=1e-6)
    assert seen[2] > 0 and size == (504, 378) and extra == {"near": 2, "far": 30}
    assert np.linalg.det(c2w[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("poses", [np.zeros((3, 15)), np.zeros(17), np.full((2, 17), np.nan)], ids=str)
def test_other_poses_are_refused(poses: np.ndarray, refusal: Refusal) -> None:
    from scenes import cameras_from_llff

    assert "poses_bounds.npy" in refusal(cameras_from_llff, poses)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "source" / f"{index:03}.jpg" for index in range(2)]
    paths[0].parent.mkdir()
    for index, path in enumerate(paths):
        Image.fromarray(np.full((30, 41, 3), 60 * index, np.uint8)).save(path)
    return paths


def test_cameras_shrink_with_their_pictures(pictures: list[Path], tmp_path: Path) -> None:
    from scenes import View, write_scene

    K = np.array([[80, 0, 41.0], [0, 84, 30], [0, 0, 1]])
    views = [View(path, K, (82, 60), np.eye(4), {"near": 1.0}) for path in pictures]
    scene = json.loads(write_scene(tmp_path / "out", views, source="here", units="metres", factor=2).read_text())
    assert (scene["kind"], scene["width"], scene["height"]) == ("multiview", 20, 15)
    np.testing.assert_allclose(scene["K"], [[80 * 20 / 82, 0, 10], [0, 21, 7.5], [0, 0, 1]])
    assert [view["image"] for view in scene["views"]] == ["images_2/000.png", "images_2/001.png"]
    assert scene["views"][0]["near"] == 1 and "K" not in scene["views"][0]
    assert Image.open(tmp_path / "out" / "images_2" / "001.png").size == (20, 15)


def test_cameras_that_differ_are_kept_apart(pictures: list[Path], tmp_path: Path) -> None:
    from scenes import View, write_scene

    views = [View(path, np.diag([80.0 + i, 80, 1]), (41, 30), np.eye(4)) for i, path in enumerate(pictures)]
    scene = json.loads(write_scene(tmp_path / "out", views, source="here", units="metres", factor=1).read_text())
    assert "K" not in scene
    assert [view["K"][0][0] for view in scene["views"]] == [80, 81]


def test_no_views_and_other_sizes_are_refused(pictures: list[Path], refusal: Refusal, tmp_path: Path) -> None:
    from scenes import View, write_scene

    def write(views: list[View]) -> Path:
        return write_scene(tmp_path / "out", views, source="here", units="metres", factor=1)

    assert "no pictures" in refusal(write, [])
    Image.new("RGB", (10, 10)).save(pictures[1])
    assert "different sizes" in refusal(write, [View(path, np.eye(3), (41, 30), np.eye(4)) for path in pictures])
    assert not (tmp_path / "out" / "scene.json").exists()
