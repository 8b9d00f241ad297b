import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gainer_bench.view_depth import PosedView, depth_of_sparse_points, plane_sweep_depth
from gainer_bench.view_pairs import read_pairs
from gainer_bench.views import Intrinsics, Rendered, composite, moved
from gainer_ns.errors import GainerError
from gainer_ns.io.image_writing import write_picture


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(height, width, 3))


def described(folder: Path, **description: Any) -> Path:
    (folder / "scene.json").write_text(json.dumps(description))
    return folder


def pose(x: float) -> list[list[float]]:
    matrix = np.eye(4)
    matrix[0, 3] = x
    return matrix.tolist()


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    disparity = np.full((8, 12), 3.0, np.float32)
    disparity[2, 3], disparity[4] = np.inf, 5.0
    np.savez(tmp_path / "disp.npz", disparity=disparity)
    for side in ("left", "right"):
        write_picture(tmp_path / f"{side}.png", picture(12, 8))
    return described(
        tmp_path,
        kind="stereo",
        left="left.png",
        right="right.png",
        focal_px=20.0,
        cx_left=5.0,
        cy=3.0,
        doffs_px=2.0,
        baseline_m=0.5,
        disparity={"file": "disp.npz", "key": "disparity", "view": "left", "scale_to_px": 1.0},
    )


@pytest.fixture
def posed(tmp_path: Path) -> Path:
    for index in range(4):
        write_picture(tmp_path / f"{index}.png", picture(40, 32, index))
        depth = np.full((32, 40), 2000 + index, np.uint16)
        cv2.imwrite(str(tmp_path / f"depth{index}.png"), depth)
    views = [
        {"image": f"{index}.png", "depth": f"depth{index}.png", "c2w": pose(x)}
        for index, x in enumerate((0.0, 1.0, 3.0, 3.5))
    ]
    K = [[50.0, 0, 20.0], [0, 51.0, 16.0], [0, 0, 1]]
    return described(tmp_path, kind="rgbd", K=K, views=views, depth={"metres_per_unit": 0.001}, convention="OpenCV")


def changed(folder: Path, **changes: Any) -> Path:
    path = folder / "scene.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def test_every_stereo_pixel_lands_where_its_disparity_says(stereo: Path) -> None:
    (pair,) = read_pairs(stereo)
    assert pair.source_depth.dtype == np.float32
    assert pair.source_depth[2, 3] == 0 and (pair.source_depth > 0).sum() == 8 * 12 - 1
    assert pair.source_depth[0, 0] == pytest.approx(20 * 0.5 / (3 + 2))
    points = moved(pair.K_source.rays(*pair.source_size) * pair.source_depth[..., None], pair.T_target_from_source)
    x = pair.K_target.project(np.where(points[..., 2:] > 0, points, 1.0))[..., 0]
    assert x[0] == pytest.approx(np.arange(12) + 0.5 - 3, abs=1e-5)
    assert x[4] == pytest.approx(np.arange(12) + 0.5 - 5, abs=1e-5)
    assert pair.K_source.cx == 5.5 and pair.K_source.cy == 3.5  # the file counts centres at whole numbers


def test_stereo_without_calibration_keeps_its_disparities(stereo: Path) -> None:
    entry = {"file": "disp.npz", "key": "disparity", "scale_to_px": 0.5}
    entries = [entry | {"view": "right"}, entry | {"view": "left"}]
    (pair,) = read_pairs(changed(stereo, focal_px=None, baseline_m=None, doffs_px=0.0, disparity=entries))
    shift = -pair.T_target_from_source[0, 3] * pair.K_source.fx / pair.source_depth[0, 0]
    assert shift == pytest.approx(1.5)


def test_the_closest_views_of_a_depth_camera_are_taken_without_their_border(posed: Path) -> None:
    (pair,) = read_pairs(posed / "scene.json")
    assert pair.name == f"{posed.name} 2 to 3"
    assert pair.source_size == pair.target_size == (40 - 24, 32 - 24)
    assert pair.source_depth == pytest.approx(2.002)
    assert pair.K_source == (50, 51, 20.5 - 12, 16.5 - 12)
    assert pair.T_target_from_source[0, 3] == pytest.approx(-0.5)


def test_views_with_sparse_points_share_their_source(posed: Path) -> None:
    xyz = np.array([[x, y, 4.0] for x in (-1.5, 0, 1.5) for y in (-1.2, 0, 1.2)])
    seen = np.ones((9, 4), bool)
    xyz, seen = np.vstack([xyz, [[0, 0, 1.0]]]), np.vstack([seen, [[False] * 4]])
    np.savez(posed / "points.npz", xyz=xyz, seen=seen)
    pairs = read_pairs(changed(posed, kind="multiview", sparse_points={"file": "points.npz"}))
    assert [pair.name.split(" ", 1)[1] for pair in pairs] == ["0 to 1", "0 to 2"]
    assert pairs[0].same_source(pairs[1]) and pairs[0].source_depth == pytest.approx(4)
    assert pairs[0].K_source.cx == 20.0  # COLMAP's centres are at .5 already


def test_cut_outs_get_a_depth_that_does_not_know_the_target(posed: Path) -> None:
    for index in range(4):
        write_picture(posed / f"{index}.png", picture(40, 32, index), np.ones((32, 40)))
    for index, (x, y) in enumerate([(0.0, 0.0), (1.0, 0.0), (3.0, 0.0), (3.5, 0.0)]):
        ahead = np.array([2.0, 0, 4]) - [x, y, 0]
        ahead /= np.linalg.norm(ahead)
        turned = np.eye(4)
        turned[:3, 2], turned[:3, 0] = ahead, np.cross([0, 1, 0], ahead)
        turned[:3, 3] = x, y, 0
        views = json.loads((posed / "scene.json").read_text())["views"]
        views[index]["c2w"] = turned.tolist()
        changed(posed, kind="multiview", views=views)
    pairs = read_pairs(posed)
    assert len(pairs) == 2 and not pairs[0].same_source(pairs[1])
    for pair in pairs:
        target = pair.name.split(" to ")[1]
        assert pair.source_alpha is not None and (pair.source_depth > 0).all()
        assert target not in pair.depth_note.split(":")[0].replace("plane sweep against", "").split(" and ")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kind": "film"}, "describes no scene"),
        ({"kind": "stereo"}, "does not fit its kind"),
        ({"views": []}, "does not fit its kind"),
        ({"kind": "multiview"}, "neither depth"),
    ],
)
def test_what_no_pairs_can_be_made_of_is_refused_in_one_line(posed: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(GainerError, match=why) as caught:
        read_pairs(changed(posed, **changes))
    assert "\n" not in str(caught.value)


def test_no_scene_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GainerError, match="describes no scene"):
        read_pairs(tmp_path)
    (tmp_path / "scene.json").write_text("[1")
    with pytest.raises(GainerError, match="describes no scene"):
        read_pairs(tmp_path)


def test_depth_of_another_size_is_refused(stereo: Path) -> None:
    np.savez(stereo / "disp.npz", disparity=np.ones((4, 12), np.float32))
    with pytest.raises(GainerError, match="12 x 8 pixels, its depth 12 x 4"):
        read_pairs(stereo)


def test_sparse_points_of_a_plane_give_the_plane() -> None:
    pixels = np.random.default_rng(1).uniform([0, 0], [30, 20], size=(200, 2))
    inverse = 0.1 + 0.002 * pixels[:, 0] + 0.001 * pixels[:, 1]
    found = depth_of_sparse_points(pixels, 1 / inverse, 30, 20)
    x, y = np.meshgrid(np.arange(30) + 0.5, np.arange(20) + 0.5)
    plane = 1 / (0.1 + 0.002 * x + 0.001 * y)
    assert found[6:-6, 6:-6] == pytest.approx(plane[6:-6, 6:-6], rel=0.01)
    assert found == pytest.approx(plane, rel=0.15)


def test_a_plane_sweep_finds_a_plane_and_nothing_outside_of_the_silhouette() -> None:
    texture = cv2.GaussianBlur(picture(80, 40).astype(np.float32), (0, 0), 1.0)
    K, shift = Intrinsics(60.0, 60.0, 20.0, 20.0), 6  # px; of a plane at depth 5 with a baseline of 0.5
    own, other = texture[:, 20:60], texture[:, 20 + shift : 60 + shift]
    alpha = np.zeros((40, 40))
    alpha[8:32, 12:30] = 1
    T = np.eye(4)
    T[0, 3] = -0.5
    others = [PosedView(other, np.ones((40, 40)), K, T)]
    found = plane_sweep_depth(PosedView(own, alpha, K, np.eye(4)), others, 3.0, 9.0)
    assert (found[alpha == 0] == 0).all()
    assert found[12:28, 16:26] == pytest.approx(5.0, rel=0.02)  # the window reaches beyond the silhouette nearer to it
    assert (plane_sweep_depth(PosedView(own, alpha * 0, K, np.eye(4)), others, 3.0, 9.0) == 0).all()


def test_transparent_pixels_show_what_is_behind_them() -> None:
    rgb = np.full((1, 2, 3), np.nan)
    rgb[0, 1] = 0.2
    alpha = np.array([[0.0, 0.5]])
    assert composite(rgb, alpha, 1.0)[0, :, 0] == pytest.approx([1.0, 0.6])
    assert Rendered(rgb, alpha, alpha).over(0.5)[0, :, 0] == pytest.approx([0.5, 0.35])
