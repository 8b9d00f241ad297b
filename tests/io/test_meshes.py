import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from gainer_ns.errors import GainerError
from gainer_ns.io.mesh_frames import check_frames, frame_files, read_frames
from gainer_ns.io.meshes import read_mesh, write_obj, write_ply

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0], [2, 1, 0]], dtype=np.float64)
FACES = np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]])

PLY = (
    "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
)


def write_mesh(path: Path, vertices: np.ndarray = VERTICES, faces: np.ndarray = FACES) -> Path:
    if path.suffix == ".obj":
        write_obj(path, vertices, vertices[:, :2], faces)
    else:
        write_ply(path, dict(zip("xyz", vertices.T.astype(np.float32), strict=True)), faces)
    return path


def write_points(path: Path, ids: list[float] | np.ndarray, vertices: np.ndarray = VERTICES) -> Path:
    columns = dict(zip("xyz", vertices.T.astype(np.float32), strict=True))
    write_ply(path, {**columns, "gaussian_id": np.asarray(ids, dtype=np.float32)})
    return path


def refused(call: Callable[..., Any], *arguments: object) -> str:
    with pytest.raises(GainerError) as error:
        list(call(*arguments) or [])  # frames are read only when asked for
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("suffix", [".obj", ".ply"])
def test_vertices_and_faces_keep_their_order(suffix: str, tmp_path: Path) -> None:
    vertices = np.concatenate([VERTICES[::-1], VERTICES])  # twice each: nothing is merged, unused ones stay
    read = read_mesh(write_mesh(tmp_path / f"mesh{suffix}", vertices))
    np.testing.assert_array_equal(read.vertices, vertices)
    np.testing.assert_array_equal(read.faces, FACES)
    assert read.ids is None


@given(st.lists(st.tuples(st.floats(-10, 10, width=32), st.floats(-10, 10, width=32)), min_size=3, max_size=20))
def test_any_places_survive(tmp_path_factory: pytest.TempPathFactory, places: list[tuple[float, float]]) -> None:
    folder = tmp_path_factory.mktemp("places")
    vertices = np.array([(*place, 0.5) for place in places])
    for suffix in (".ply", ".obj"):
        read = read_mesh(write_mesh(folder / f"mesh{suffix}", vertices, np.array([[2, 0, 1]])))
        np.testing.assert_allclose(read.vertices, vertices, rtol=1e-8)


def test_normals_and_materials_do_not_divide_an_obj(tmp_path: Path) -> None:
    path = tmp_path / "mesh.obj"
    path.write_text(
        "mtllib none.mtl\no first\nv 0 0 0 1 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 1\nvn 0 0 1\nvn 0 1 0\n"
        "usemtl a\ng one\nf 1/1/1 2/2/2 3/1/2 # first\nusemtl b\ng two\nf 1/2/1 3//2 4/1\nf -4 -3 -1\n"
    )
    read = read_mesh(path)
    assert len(read.vertices) == 4
    np.testing.assert_array_equal(read.vertices[read.faces][:, :, 0], [[0, 1, 1], [0, 1, 0], [0, 1, 0]])


@pytest.mark.parametrize("suffix", [".obj", ".ply"])
def test_quads_are_divided_by_their_order_alone(suffix: str, tmp_path: Path) -> None:
    def write(path: Path, vertices: np.ndarray) -> Path:
        rows = "\n".join(f"{'v ' * (suffix == '.obj')}{x:g} {y:g} {z:g}" for x, y, z in vertices)
        if suffix == ".obj":
            path.write_text(f"{rows}\nf 1 2 3 4\nf 2 5 6\nf 2 6 3\n")
        else:
            path.write_text(
                "ply\nformat ascii 1.0\nelement vertex 6\nproperty float x\nproperty float y\nproperty float z\n"
                "element face 3\nproperty list uchar int vertex_indices\nend_header\n"
                f"{rows}\n4 0 1 2 3\n3 1 4 5\n3 1 5 2\n"
            )
        return path

    first = read_mesh(write(tmp_path / f"a{suffix}", VERTICES))
    other = read_mesh(write(tmp_path / f"b{suffix}", np.random.default_rng(0).normal(size=VERTICES.shape)))
    assert len(first.faces) == 4 and torch.equal(first.faces, other.faces)


def test_what_trimesh_writes_is_read(tmp_path: Path) -> None:
    for name in ("mesh.ply", "mesh.obj"):
        trimesh.Trimesh(VERTICES, FACES, process=False).export(tmp_path / name)
        np.testing.assert_array_equal(read_mesh(tmp_path / name).faces, FACES)


def test_numbers_may_come_as_fractions(tmp_path: Path) -> None:
    read = read_mesh(write_points(tmp_path / "points.ply", [5, 3, 1, 0, 2, 4]))
    assert read.ids is not None and read.ids.tolist() == [5, 3, 1, 0, 2, 4]
    assert read.faces.shape == (0, 3)


@pytest.mark.parametrize("kept", [0.0, 0.02, 0.3, 0.6, 0.99])
def test_a_cut_file_is_refused(kept: float, tmp_path: Path) -> None:
    whole = write_mesh(tmp_path / "mesh.ply").read_bytes()
    (tmp_path / "cut.ply").write_bytes(whole[: int(kept * len(whole))])
    assert refused(read_mesh, tmp_path / "cut.ply").startswith(str(tmp_path / "cut.ply"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("empty.obj", ""),
        ("empty.ply", ""),
        ("words.obj", "v here it is\nf 1 2 3\n"),
        ("word.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nv one 0 0\nf 1 2 3\n"),
        ("word.ply", PLY + "0 0 0\n1 0 0\n0 1 zero\n3 0 1 2\n"),
        ("negative.ply", PLY + "0 0 0\n1 0 0\n0 1 0\n3 0 1 -2\n"),
        ("beyond.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n"),
        ("nan.obj", "v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"),
        ("infinite.obj", "v 0 0 inf\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"),
        ("flat.obj", "v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n"),
        (
            "huge.ply",
            "ply\nformat ascii 1.0\nelement vertex 999999999999\nproperty float x\nend_header\n",
        ),
        ("none.ply", "ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nend_header\n"),
        ("picture.png", "PNG"),
    ],
)
def test_other_files_are_refused(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert refused(read_mesh, tmp_path / name).startswith(str(tmp_path / name))


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.ply").mkdir()
    assert "cannot be read" in refused(read_mesh, tmp_path / "none.ply")
    assert "cannot be read" in refused(read_mesh, tmp_path / "folder.ply")
    assert "no such folder" in refused(frame_files, tmp_path / "none")


def frames(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def test_frames_are_sorted_by_number(tmp_path: Path) -> None:
    folder = frames(tmp_path / "f", *(f"frame_{n}.obj" for n in (10, 9, 8, 11)), "frame_8.mtl", "rest.obj", "1.txt")
    assert [path.name for path in frame_files(folder)] == [f"frame_{n}.obj" for n in (8, 9, 10, 11)]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "no frames"),
        (["rest.obj", "frame_1.png"], "no frames"),
        (["frame_00002.ply", "frame_00004.ply"], "frame 3 is missing"),
        (["frame_1.obj", "frame_01.obj"], "both frame 1"),
        (["frame_1.obj", "frame_2.ply"], "both .ply and .obj"),
    ],
)
def test_folders_that_are_no_animation_are_refused(names: list[str], said: str, tmp_path: Path) -> None:
    assert said in refused(frame_files, frames(tmp_path / "f", *names))


@pytest.mark.parametrize("suffix", [".obj", ".ply"])
def test_frames_are_read_one_by_one(suffix: str, tmp_path: Path) -> None:
    reference = read_mesh(write_mesh(tmp_path / f"rest{suffix}"))
    files = [write_mesh(tmp_path / f"f{n}{suffix}", VERTICES + n) for n in range(3)]
    check_frames(files, reference)
    reading = read_frames(files, reference)
    np.testing.assert_array_equal(next(reading).vertices, VERTICES)
    files[2].unlink()
    np.testing.assert_array_equal(next(reading).vertices, VERTICES + 1)
    with pytest.raises(GainerError, match="cannot be read"):
        next(reading)


@pytest.mark.parametrize("suffix", [".obj", ".ply"])
def test_frames_of_another_topology_are_refused(suffix: str, tmp_path: Path) -> None:
    reference = read_mesh(write_mesh(tmp_path / f"rest{suffix}"))
    more = write_mesh(tmp_path / f"more{suffix}", np.concatenate([VERTICES, VERTICES[:1]]))
    for call in (check_frames, read_frames):
        assert "7 vertices" in refused(call, [more], reference)
    other = write_mesh(tmp_path / f"other{suffix}", faces=FACES[::-1])
    assert "faces" in refused(read_frames, [other], reference)
    broken = VERTICES.copy()
    broken[2, 1] = np.nan
    assert "no numbers" in refused(read_frames, [write_mesh(tmp_path / f"nan{suffix}", broken)], reference)
    upright = write_mesh(tmp_path / f"upright{suffix}", VERTICES[:, [0, 2, 1]])
    assert "stands upright" in refused(read_frames, [upright], reference)


def test_points_are_put_in_the_order_of_the_reference(tmp_path: Path) -> None:
    reference = read_mesh(write_points(tmp_path / "rest.ply", [9, 8, 7, 3, 2, 1]))
    order = [3, 1, 0, 2, 5, 4]
    frame = write_points(tmp_path / "f0.ply", np.array([9, 8, 7, 3, 2, 1])[order], VERTICES[order] + 1)
    (read,) = read_frames([frame], reference)
    np.testing.assert_array_equal(read.vertices, VERTICES + 1)
    for ids in ([9, 8, 7, 3, 2, 0], [9, 8, 7, 3, 2, 2]):
        assert "gaussian_id" in refused(read_frames, [write_points(tmp_path / "f1.ply", ids)], reference)
    bare = tmp_path / "bare.ply"
    write_ply(bare, dict(zip("xyz", VERTICES.T, strict=True)))
    assert "gaussian_id" in refused(read_frames, [bare], reference)
    shutil.copy(write_points(tmp_path / "nan.ply", [9, 8, 7, 3, 2, float("nan")]), tmp_path / "f2.ply")
    assert "gaussian_id" in refused(read_frames, [tmp_path / "f2.ply"], reference)


def gradients(d: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    values = np.random.default_rng(d).normal(size=(len(VERTICES), d, d)).astype(np.float32)
    return values, {f"f_{a}{b}": values[:, i, j] for i, a in enumerate("xyz"[:d]) for j, b in enumerate("xyz"[:d])}


@pytest.mark.parametrize("d", [2, 3])
def test_deformation_gradients_are_read_and_put_in_order(d: int, tmp_path: Path) -> None:
    places = dict(zip("xyz", VERTICES.T, strict=True))
    ids = np.array([9, 8, 7, 3, 2, 1], dtype=np.int32)
    reference = read_mesh(write_points(tmp_path / "rest.ply", ids))
    assert reference.gradients is None
    values, columns = gradients(d)
    order = [3, 1, 0, 2, 5, 4]
    shuffled = {name: value[order] for name, value in {**columns, **places, "gaussian_id": ids}.items()}
    write_ply(tmp_path / "f0.ply", shuffled)
    (read,) = read_frames([tmp_path / "f0.ply"], reference)
    np.testing.assert_array_equal(read.gradients, values)
    np.testing.assert_array_equal(read.vertices, VERTICES)


def test_bad_deformation_gradients_are_refused(tmp_path: Path) -> None:
    places = dict(zip("xyz", VERTICES.T, strict=True))
    for d in (2, 3):
        _, columns = gradients(d)
        left = columns.pop("f_xy")
        write_ply(tmp_path / "part.ply", places | columns)
        assert "write all four, all nine, or none" in refused(read_mesh, tmp_path / "part.ply")
        write_ply(tmp_path / "nan.ply", places | columns | {"f_xy": np.full_like(left, np.nan)})
        assert "gradients that are no numbers" in refused(read_mesh, tmp_path / "nan.ply")


def test_points_without_numbers_of_their_own_keep_the_reference_s_order(tmp_path: Path) -> None:
    ids = [4, -1, -1, 3, 2, -1]
    reference = read_mesh(write_points(tmp_path / "rest.ply", ids))
    (read,) = read_frames([write_points(tmp_path / "same.ply", ids, VERTICES + 1)], reference)
    np.testing.assert_array_equal(read.vertices, VERTICES + 1)
    other = write_points(tmp_path / "other.ply", [-1, 4, -1, 3, 2, -1])
    assert "once" in refused(read_frames, [other], reference)
