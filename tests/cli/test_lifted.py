"""``gainer render``, ``edit``, ``export`` and ``bind`` of a lifted photo, as a user calls them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from gainer_ns.io.meshes import read_mesh

Gainer = Callable[..., None]
Refusal = Callable[..., str]
OUTSIDE = 35
"""Column from which on nothing is lifted: it is outside the mask."""
MOVE = {"select": {"box": [5, 5, 15, 15]}, "move": {"by": [12, 6, 1]}}


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a photo of 40 x 30 pixels of a slope, its depth, and a mask that leaves out the last columns."""
    folder = tmp_path_factory.mktemp("lifted")
    y, x = np.mgrid[:30, :40]
    colours = np.stack([100 + 2 * x, 60 + 4 * y, 200 - 3 * x + y], axis=2).astype(np.uint8)
    Image.fromarray(colours).save(folder / "photo.png")
    depth = (2 + 0.01 * x + 0.02 * y).astype(np.float32)
    np.save(folder / "depth.npy", depth)
    Image.fromarray(np.where(x < OUTSIDE, 255, 0).astype(np.uint8)).save(folder / "mask.png")
    return folder


@pytest.fixture(scope="session")
def lifted_run(fit: Callable[..., Path], source: Path) -> Path:
    """The config.yml of the lifted photo."""

    def edit(config: Any) -> None:
        config.pipeline.datamanager.depth_path = source / "depth.npy"
        config.pipeline.datamanager.mask_path = source / "mask.png"
        config.pipeline.datamanager.focal_length = 50.0

    return fit(source / "photo.png", source / "runs", "gainer-lift", edit)


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    """Writes a script of these edits and further words."""

    def write(*edits: dict[str, Any], **words: Any) -> Path:
        (tmp_path / "edit.yaml").write_text(yaml.safe_dump({"edits": list(edits), **words}))
        return tmp_path / "edit.yaml"

    return write


@pytest.fixture
def scene_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a scene file of 3 frames."""

    def write(text: str) -> Path:
        path = tmp_path / "scene.yaml"
        path.write_text("particles: 400\nduration: 0.2\nfps: 10\n" + text, "utf8")
        return path

    return write


def samples(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_the_photos_own_view_is_the_photo(gainer: Gainer, lifted_run: Path, source: Path, tmp_path: Path) -> None:
    gainer("render", "--load-config", lifted_run, "--output", tmp_path / "own.png")
    own, photo = samples(tmp_path / "own.png"), samples(source / "photo.png")
    assert own.shape == (30, 40, 4)
    solid = slice(OUTSIDE - 1)
    assert np.abs(own[:, solid, :3] - photo[:, solid]).max() <= 2
    assert own[:, solid, 3].min() == 255 and own[:, OUTSIDE:, 3].max() < 128
    options = ("--scale", 2, "--crop", 4, 5, 14, 10)
    gainer("render", "--load-config", lifted_run, "--output", tmp_path / "crop.png", *options)
    crop = samples(tmp_path / "crop.png")[..., :3]
    assert crop.shape == (10, 20, 3)
    assert np.abs(crop.reshape(5, 2, 10, 2, 3).mean(axis=(1, 3)) - photo[5:10, 4:14]).max() < 4


def test_an_edit_moves_in_space(
    gainer: Gainer, lifted_run: Path, source: Path, script: Callable[..., Path], tmp_path: Path
) -> None:
    path = script(MOVE, background={"color": [255, 0, 0]})
    gainer("edit", "--load-config", lifted_run, "--script", path, "--output", tmp_path / "moved.png")
    moved, photo = samples(tmp_path / "moved.png"), samples(source / "photo.png")
    assert np.abs(moved[13:19, 19:25] - photo[7:13, 7:13]).max() < 12
    assert (moved[8:10, 8:12] == [255, 0, 0]).all()


def test_an_edit_of_nothing_is_the_rendered_picture(
    gainer: Gainer, lifted_run: Path, script: Callable[..., Path], tmp_path: Path
) -> None:
    path = script({"select": {"box": [5, 5, 15, 15]}, "rotate": {"degrees": 0, "axis": "x"}})
    gainer("edit", "--load-config", lifted_run, "--script", path, "--output", tmp_path / "edited.png", "--scale", 2)
    gainer("render", "--load-config", lifted_run, "--output", tmp_path / "drawn.png", "--scale", 2)
    assert np.array_equal(samples(tmp_path / "edited.png"), samples(tmp_path / "drawn.png"))


def test_a_moving_camera_films_it(
    gainer: Gainer, lifted_run: Path, script: Callable[..., Path], tmp_path: Path
) -> None:
    options = ("--camera-path", lifted_run.parent / "orbit.json", "--output", tmp_path / "film")
    gainer("edit", "--load-config", lifted_run, "--script", script(MOVE, frames=3), *options)
    frames = [samples(file) for file in sorted((tmp_path / "film").iterdir())]
    assert len(frames) == 3 and np.abs(frames[0] - frames[1]).max() > 10


def test_the_camera_of_a_script_is_checked_before_anything_is_drawn(
    refusal: Refusal, lifted_run: Path, script: Callable[..., Path], tmp_path: Path
) -> None:
    said = json.loads((lifted_run.parent / "orbit.json").read_text())
    for change, says in (({"camera_type": "vr180"}, "vr180"), ({"render_width": 10**7}, "10000000 x 30 pixels takes")):
        (tmp_path / "path.json").write_text(json.dumps(said | change))
        edit = ("edit", "--load-config", lifted_run, "--script", script(MOVE, camera="path.json"), "--scale", 9)
        refused = refusal(*edit, "--output", tmp_path / "a.mp4")
        assert refused.startswith(str(tmp_path / "path.json")) and says in refused.replace("1e+07", "10000000")


@pytest.mark.parametrize("kind", ["points", "splat"])
def test_it_is_exported_in_space(kind: str, gainer: Gainer, lifted_run: Path, tmp_path: Path) -> None:
    import trimesh

    output = tmp_path / f"{kind}.ply"
    gainer("export", "--load-config", lifted_run, "--format", kind, "--output", output)
    data = trimesh.load(output, process=False).metadata["_ply_raw"]["vertex"]["data"]
    depth = 1 - np.asarray(data["z"])
    assert OUTSIDE * 30 * 0.9 < len(depth) < (OUTSIDE + 3) * 32 and depth.max() > 1.2 * depth.min() > 0.5
    assert b"comment A unit is" in output.read_bytes()


def test_what_is_flat_is_refused_in_one_line(
    refusal: Refusal, lifted_run: Path, fitted_run: Path, script: Callable[..., Path], tmp_path: Path
) -> None:
    export = ("export", "--load-config", lifted_run, "--format")
    for kind, name in (("cage", "a.obj"), ("safetensors", "a.safetensors"), ("triangles", "a.ply")):
        assert "points or splat" in refusal(*export, kind, "--output", tmp_path / name)
    edit = ("edit", "--load-config", lifted_run, "--script")
    assert ".png" in refusal(*edit, script(MOVE), "--output", tmp_path / "a.safetensors")
    for words in ({"canvas": [0, 0, 9, 9]}, {"layers": {}}, {"background": {"inpaint": "telea"}}):
        said = refusal(*edit, script(MOVE, **words), "--output", tmp_path / "a.png")
        assert "is for flat pictures; on a lifted photo write" in said
    behind = script({**MOVE, "order": "back"})
    assert "is for flat pictures; on a lifted photo write" in refusal(*edit, behind, "--output", tmp_path / "a.png")
    nothing = script({"select": {"box": [OUTSIDE + 2, 0, 40, 30]}, "move": {"by": [1, 1]}})
    assert "nothing that was lifted" in refusal(*edit, nothing, "--output", tmp_path / "a.png")
    flat = ("edit", "--load-config", fitted_run, "--script", script({"rotate": {"degrees": 5}}))
    path = ("--camera-path", lifted_run.parent / "orbit.json", "--output", tmp_path / "a.png")
    assert "camera path" in refusal(*flat, *path)
    assert [each.name for each in tmp_path.iterdir()] == ["edit.yaml"]


def test_what_is_for_lifted_photos_is_refused_on_a_flat_picture(
    refusal: Refusal, fitted_run: Path, script: Callable[..., Path], tmp_path: Path
) -> None:
    edit = ("edit", "--load-config", fitted_run, "--output", tmp_path / "a.png", "--script")
    flat = "is for photos that gainer-lift lifted, and this picture is flat; "
    (tmp_path / "orbit.json").touch()
    assert f"camera: {flat}leave it out, and write a canvas" in refusal(*edit, script(camera="orbit.json"))
    for does, where in (
        ({"move": {"by": [1, 2, 3]}}, "move.by: has three numbers; the third "),
        ({"scale": {"factor": [1, 2, 3]}}, "scale.factor: has three numbers; the third "),
        ({"rotate": {"degrees": 5, "center": [1, 2, 3]}}, "rotate.center: has three numbers; the third "),
        ({"bend": {"degrees": 5, "axis": [[1, 2], [3, 4, 5]]}}, "bend.axis[1]: has three numbers; the third "),
        ({"rotate": {"degrees": 5, "axis": "y"}}, "rotate.axis: "),
        ({"bend": {"degrees": 5, "about": "x", "axis": [[1, 2], [3, 4]]}}, "bend.about: "),
    ):
        assert f"edits[0].{where}{flat}" in refusal(*edit, script(does))
    said = refusal(*edit, script({"layer": "object", "move": {"by": [1, 2]}}))
    assert "those of lifted photos are not in a flat picture" in said
    assert sorted(each.name for each in tmp_path.iterdir()) == ["edit.yaml", "orbit.json"]


def test_a_dry_run_says_what_is_filmed_in_space(
    gainer: Gainer, lifted_run: Path, script: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = {"select": {"box": [0, 0, "50%", 30]}, "move": {"by": [0, 0, "10%"]}}
    options = ("--camera-path", lifted_run.parent / "orbit.json", "--output", tmp_path / "film.gif", "--dry-run")
    gainer("edit", "--load-config", lifted_run, "--script", script(half, seconds=1, fps=8, loop=True), *options)
    said = capsys.readouterr().out
    assert "Lifted photo: 40 x 30 pixels" in said and "selects 50 % of its pixels" in said
    assert "move {by: [0, 0, 10%]} of box [0, 0, 50%, 30]" in said
    assert "Film: 8 frames, 1 s at 8 a second, which begins again" in said and "Drawing: about" in said
    assert not (tmp_path / "film.gif").exists()


def test_a_lifted_photo_falls_and_is_filmed(
    gainer: Gainer, lifted_run: Path, scene_file: Callable[[str], Path], tmp_path: Path
) -> None:
    path = scene_file(
        "bodies: [{material: medium}]\nbackground: {color: [0, 0, 255]}\ngravity: 20\ncanvas: [0, 0, 1, 0.75]\n"
    )
    words = ("simulate", "--load-config", lifted_run, "--scene", path, "--simulation", tmp_path / "kept")
    gainer(*words, "--output", tmp_path / "film")
    frames = [samples(tmp_path / "film" / f"frame_{number:05d}.png") for number in range(3)]
    assert [frame.shape[:2] for frame in frames] == [(30, 40)] * 3
    first = np.asarray(Image.open(tmp_path / "film" / "frame_00000.png").convert("RGB")).astype(int)
    last = np.asarray(Image.open(tmp_path / "film" / "frame_00002.png").convert("RGB")).astype(int)
    assert np.abs(first[0] - [0, 0, 255]).max() > 50, "it fills its frame"
    assert np.abs(last[:6, :38] - [0, 0, 255]).max() <= 2, "it has left the top"
    gainer(*words, "--camera-path", lifted_run.parent / "orbit.json", "--output", tmp_path / "orbit")
    assert len(list((tmp_path / "orbit").glob("*.png"))) == 3


def test_a_flat_picture_is_not_filmed_along_a_path(
    refusal: Refusal, fitted_run: Path, lifted_run: Path, scene_file: Callable[[str], Path], tmp_path: Path
) -> None:
    words = ("simulate", "--load-config", fitted_run, "--scene", scene_file("bodies: [{material: soft}]\n"))
    path = ("--camera-path", lifted_run.parent / "orbit.json")
    assert "--camera-path" in refusal(*words, *path, "--output", tmp_path / "film")
    assert not (tmp_path / "film").exists() and not (tmp_path / "film_simulation").exists()


def test_a_lifted_photo_follows_points_that_were_moved(gainer: Gainer, lifted_run: Path, tmp_path: Path) -> None:
    """Its own points, moved a little to the right and nearer to the camera, take the picture along."""
    gainer("export", "--load-config", lifted_run, "--format", "points", "--output", tmp_path / "points.ply")
    points = read_mesh(tmp_path / "points.ply")
    assert points.ids is not None

    def write(path: Path, away: list[float]) -> None:
        places = zip((points.vertices + torch.tensor(away)).tolist(), points.ids.tolist(), strict=True)  # pyright: ignore
        properties = ("float x", "float y", "float z", "int gaussian_id")
        head = ["ply", "format ascii 1.0", f"element vertex {len(points.vertices)}"]
        lines = [*head, *(f"property {one}" for one in properties), "end_header"]
        path.write_text("\n".join([*lines, *(f"{x} {y} {z} {number}" for (x, y, z), number in places)]) + "\n")

    (tmp_path / "frames").mkdir()
    for number, away in enumerate(([0.0, 0.0, 0.0], [0.2, 0.0, 0.0])):
        write(tmp_path / "frames" / f"frame_{number:05d}.ply", away)
    reference = tmp_path / "points.ply"
    out = tmp_path / "out"
    moved = ("--reference", reference, "--frames", tmp_path / "frames", "--output", out)
    gainer("bind", "--load-config", lifted_run, *moved)
    gainer("render", "--load-config", lifted_run, "--output", tmp_path / "still.png")
    still, first, second = (
        np.asarray(Image.open(path).convert("RGBA")).astype(int)
        for path in (tmp_path / "still.png", out / "frame_00000.png", out / "frame_00001.png")
    )
    assert np.abs(first - still)[:, 2:-2].max() <= 2
    # 0.2 units, at a focal length of 50 px and 1 unit away: 10 px to the right
    assert np.abs(second[4:-4, 14:-4, :3] - still[4:-4, 4:-14, :3]).mean() < 4
    assert second[:, :6, 3].max() < 128 < second[4:-4, 16:-4, 3].min()
