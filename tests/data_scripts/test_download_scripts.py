"""Each script from an archive of the published layout, made here, to a scene whose cameras are known."""

import hashlib
import importlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

Refusal = Callable[..., str]
VIEWS = 3
K = np.array([[90.0, 0, 30], [0, 95, 20], [0, 0, 1]])
SCRIPTS = {
    "download_llff": ("DownloadLlff", ["--scene", "fern"]),
    "download_dtu": ("DownloadDtu", ["--scan", "24"]),
    "download_tanks_and_temples": ("DownloadTanksAndTemples", ["--scene", "train"]),
}


def c2w(index: int) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", [0.1, 0.2 * index, -0.1]).as_matrix()
    pose[:3, 3] = [index, 0.5, -8]
    return pose


def encoded(array: np.ndarray, kind: str = "PNG") -> bytes:
    data = io.BytesIO()
    Image.fromarray(array).save(data, kind)
    return data.getvalue()


def photograph(index: int, kind: str = "PNG") -> bytes:
    return encoded(np.full((40, 60, 3), 50 + index, np.uint8), kind)


def saved(save: Callable[..., None], *args: Any, **kwargs: Any) -> bytes:
    data = io.BytesIO()
    save(data, *args, **kwargs)
    return data.getvalue()


def llff() -> dict[str, bytes]:
    rows = []
    for index in range(VIEWS):
        right, down, forward, centre = c2w(index)[:3].T
        rows.append(np.append(np.stack([down, right, -forward, centre, [40, 60, 90]], 1).ravel(), [2, 30]))
    files = {"nerf_llff_data/fern/poses_bounds.npy": saved(np.save, np.array(rows))}
    for index in range(VIEWS):
        files[f"nerf_llff_data/fern/images/IMG_{index}.JPG"] = photograph(index, "JPEG")
        files[f"nerf_llff_data/fern/images_2/image{index:03}.png"] = encoded(np.full((20, 30, 3), 50 + index, np.uint8))
        files[f"nerf_llff_data/flower/images/IMG_{index}.JPG"] = b"not a picture, and not wanted"
        files[f"__MACOSX/nerf_llff_data/fern/images/._IMG_{index}.JPG"] = b"not a picture either"
    return files


def dtu() -> dict[str, bytes]:
    cameras = {}
    for index in range(VIEWS):
        centred_at_whole_numbers = K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
        projection = np.eye(4)
        projection[:3] = -3 * centred_at_whole_numbers @ np.linalg.inv(c2w(index))[:3]
        cameras[f"world_mat_{index}"] = projection
        cameras[f"scale_mat_{index}"] = np.diag([2.0, 2, 2, 1]) + np.eye(4, k=3) * 5
    files = {"DTU/scan24/cameras.npz": saved(np.savez, **cameras)}
    for index in range(VIEWS):
        files[f"DTU/scan24/image/{index:06}.png"] = photograph(index)
        files[f"DTU/scan24/mask/{index:03}.png"] = encoded(np.full((40, 60), 255, np.uint8))
        files[f"DTU/scan240/image/{index:06}.png"] = b"of another scan"
    return files


def tanks_and_temples(tmp_path: Path) -> dict[str, bytes]:
    from nerfstudio.data.utils import colmap_parsing_utils as colmap

    camera = colmap.Camera(1, "PINHOLE", 60, 40, np.array([90.0, 95, 30, 20]))
    images, points = {}, {}
    for index in range(VIEWS):
        w2c = np.linalg.inv(c2w(index))
        quaternion = colmap.rotmat2qvec(w2c[:3, :3])
        seen = [np.zeros((1, 2)), np.array([7])]
        images[index + 5] = colmap.Image(index + 5, quaternion, w2c[:3, 3], 1, f"{VIEWS - index:05}.jpg", *seen)
    points[7] = colmap.Point3D(7, np.array([0, 0, 2.0]), np.array([1, 2, 3]), 0.5, np.array([5, 6]), np.array([0, 0]))
    colmap.write_cameras_binary({1: camera}, tmp_path / "cameras.bin")
    colmap.write_images_binary(images, tmp_path / "images.bin")
    colmap.write_points3D_binary(points, tmp_path / "points3D.bin")
    files = {f"tandt/train/sparse/0/{path.name}": path.read_bytes() for path in tmp_path.glob("*.bin")}
    files |= {f"tandt/train/images/{VIEWS - index:05}.jpg": photograph(index, "JPEG") for index in range(VIEWS)}
    return files | {"db/playroom/images/1.jpg": b"of another scene"}


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    def write(files: dict[str, bytes]) -> Path:
        path = tmp_path / "archive.zip"
        with zipfile.ZipFile(path, "w") as zipped:
            for name, content in files.items():
                zipped.writestr(name, content)
        return path

    return write


@pytest.fixture
def script() -> Callable[..., None]:
    """Runs a script with its usual scene."""
    from commands import run

    def call(name: str, *words: object) -> None:
        command, usual = SCRIPTS[name]
        run(getattr(importlib.import_module(name), command), [*usual, *map(str, words)])

    return call


def checked(folder: Path, factor: int, views: list[int]) -> dict[str, Any]:
    """The scene of a folder, after its cameras and pictures were found to be right."""
    scene = json.loads((folder / "scene.json").read_text())
    assert (scene["width"], scene["height"]) == (60 // factor, 40 // factor)
    assert len(scene["views"]) == VIEWS
    for view, index in zip(scene["views"], views, strict=True):
        np.testing.assert_allclose(view["c2w"], c2w(index), atol=1e-5)
        picture = np.asarray(Image.open(folder / view["image"]))
        assert picture.shape == (scene["height"], scene["width"], 3)
        assert abs(picture.mean() - 50 - index) < 1
    return scene


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_llff(script: Callable[..., None], archive: Callable[..., Path], tmp_path: Path, factor: int) -> None:
    script("download_llff", "--archive", archive(llff()), "--output", tmp_path / "out", "--factor", factor)
    scene = checked(tmp_path / "out" / "fern", factor, [0, 1, 2])
    np.testing.assert_allclose(scene["K"], [[90 / factor, 0, 30 / factor], [0, 90 / factor, 20 / factor], [0, 0, 1]])
    assert (scene["views"][1]["near"], scene["views"][1]["far"]) == (2, 30)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["fern"], "what was unpacked is gone"


def test_dtu(script: Callable[..., None], archive: Callable[..., Path], tmp_path: Path) -> None:
    script("download_dtu", "--archive", archive(dtu()), "--output", tmp_path / "out", "--factor", 2)
    scene = checked(tmp_path / "out" / "scan24", 2, [0, 1, 2])
    np.testing.assert_allclose(scene["K"], np.diag([0.5, 0.5, 1]) @ K, atol=1e-6)
    centre = np.linalg.inv(c2w(1)) @ [5, 0, 0, 1]
    assert scene["views"][1]["near"] == pytest.approx(centre[2] - 2)
    assert scene["views"][1]["far"] == pytest.approx(centre[2] + 2)
    assert (tmp_path / "out" / "scan24" / scene["views"][2]["mask"]).is_file()


def test_tanks_and_temples(script: Callable[..., None], archive: Callable[..., Path], tmp_path: Path) -> None:
    files = tanks_and_temples(tmp_path)
    script("download_tanks_and_temples", "--archive", archive(files), "--output", tmp_path / "out")
    scene = checked(tmp_path / "out" / "train", 1, [2, 1, 0])  # in the order of the names
    np.testing.assert_allclose(scene["K"], K)
    points = np.load(tmp_path / "out" / "train" / "sparse_points.npz")
    np.testing.assert_array_equal(points["seen"], [[False, True, True]])
    np.testing.assert_allclose(points["xyz"], [[0, 0, 2]])
    depth = (np.linalg.inv(c2w(0)) @ [0, 0, 2, 1])[2]
    assert scene["views"][2]["near"] == pytest.approx(depth)
    assert "near" not in scene["views"][0]


@pytest.mark.parametrize("name", SCRIPTS)
def test_another_archive_is_one_line(
    name: str, script: Callable[..., None], archive: Callable[..., Path], refusal: Refusal, tmp_path: Path
) -> None:
    path = archive({"holiday/beach.jpg": photograph(0)})
    assert "lacks" in refusal(script, name, "--archive", path, "--output", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    assert "is no file" in refusal(script, name, "--archive", tmp_path / "gone.zip", "--output", tmp_path / "out")


def test_damaged_cameras_are_one_line(
    script: Callable[..., None], archive: Callable[..., Path], refusal: Refusal, tmp_path: Path
) -> None:
    files = tanks_and_temples(tmp_path)
    files["tandt/train/sparse/0/images.bin"] = files["tandt/train/sparse/0/images.bin"][:-20]
    arguments = "--archive", archive(files), "--output", tmp_path / "out"
    assert "damaged" in refusal(script, "download_tanks_and_temples", *arguments)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_says_what_it_would_download(
    name: str, script: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script(name, "--output", tmp_path / "out", "--dry-run")
    archive = importlib.import_module(name).ARCHIVE
    said = capsys.readouterr().out
    assert archive.urls[0] in said and archive.terms in said and archive.checksum in said
    (tmp_path / "by_hand.zip").touch()
    script(name, "--output", tmp_path / "out", "--dry-run", "--archive", tmp_path / "by_hand.zip")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", SCRIPTS)
def test_sources_are_secure_and_checksums_well_formed(name: str) -> None:
    archive = importlib.import_module(name).ARCHIVE
    assert all(url.startswith("https://") for url in (*archive.urls, archive.page))
    algorithm, digest = archive.checksum.split(":")
    assert len(bytes.fromhex(digest)) == hashlib.new(algorithm).digest_size


def test_from_the_network_to_a_scene(
    script: Callable[..., None],
    archive: Callable[..., Path],
    shop: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import download_llff
    from fetching import Archive

    shop.content = archive(llff()).read_bytes()
    shop.cut = [1000]
    monkeypatch.setattr(download_llff, "ARCHIVE", Archive("small.zip", ("http://127.0.0.1:1/",), "free", "here"))
    script("download_llff", "--output", tmp_path / "out", "--factor", 1, "--url", shop.url())
    checked(tmp_path / "out" / "fern", 1, [0, 1, 2])
    assert len(shop.asked) == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"fern", "small.zip", "small.zip.sha256"}
