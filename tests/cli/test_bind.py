"""``gainer bind`` with files of ``gainer export``, moved here as another program would move them."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gainer_ns.cli.main import entrypoint
from gainer_ns.editing.deformations import bend
from gainer_ns.frames import ImagePlane
from gainer_ns.io.meshes import MeshFile, read_mesh, write_obj, write_ply

KINDS = {"cage": "cage.obj", "triangles": "triangles.ply", "points": "points.ply"}

Gainer = Callable[..., None]
Refusal = Callable[..., str]


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGBA"))


def psnr(a: Path, b: Path) -> float:
    """In dB, of colours times alpha, and of alpha."""
    parts = [pixels(path) / 255 for path in (a, b)]
    seen = [np.concatenate([part[..., :3] * part[..., 3:], part[..., 3:]], axis=2) for part in parts]
    return float(-10 * np.log10(max(np.square(seen[0] - seen[1]).mean(), 1e-12)))


def write(path: Path, mesh: MeshFile, vertices: torch.Tensor) -> Path:
    """Writes a mesh with other vertices, with its numbers if it has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    places = vertices.numpy()
    if path.suffix == ".obj":
        write_obj(path, places, places[:, :2], mesh.faces.numpy())
        return path
    columns = dict(zip("xyz", places.astype(np.float32).T, strict=True))
    if mesh.ids is not None:
        columns["gaussian_id"] = mesh.ids.numpy().astype(np.int32)
    write_ply(path, columns, mesh.faces.numpy() if len(mesh.faces) else None)
    return path


@pytest.fixture(scope="session")
def cut_out_run(fit: Callable[..., Path], photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config.yml of a fit of a disc cut out of the photo, which touches no side of the frame, 60 x 40."""
    folder = tmp_path_factory.mktemp("cut_out")
    source = Image.open(photo).crop((0, 0, 60, 40))
    y, x = np.mgrid[:40, :60] + 0.5
    alpha = np.clip(13.5 - np.hypot(x - 30, y - 20), 0, 1)
    source.putalpha(Image.fromarray(np.rint(255 * alpha).astype(np.uint8)))
    source.save(folder / "disc.png")
    return fit(folder / "disc.png", folder / "runs")


@pytest.fixture(scope="session")
def references(fitted_run: Path, cut_out_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of both runs, ``photo cage`` and so on. Shared by the whole session: do not write to them."""
    folder = tmp_path_factory.mktemp("references")
    files = {}
    for name, run in (("photo", fitted_run), ("cut-out", cut_out_run)):
        for kind, file in KINDS.items():
            files[f"{name} {kind}"] = folder / f"{name} {file}"
            output = str(files[f"{name} {kind}"])
            entrypoint(["export", "--load-config", str(run), "--format", kind, "--output", output])
    return files


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["photo", "cut-out"])
def test_unmoved_frames_show_the_unedited_picture(
    name: str, kind: str, references: dict[str, Path], gainer: Gainer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run = request.getfixturevalue("fitted_run" if name == "photo" else "cut_out_run")
    reference = references[f"{name} {kind}"]
    mesh = read_mesh(reference)
    for number in (3, 4):
        write(tmp_path / "frames" / f"frame_{number:04d}{reference.suffix}", mesh, mesh.vertices)
    for scale in (1, 2):
        gainer("render", "--load-config", run, "--output", tmp_path / "render.png", "--scale", scale)
        words = ["--load-config", run, "--reference", reference, "--frames", tmp_path / "frames", "--scale", scale]
        gainer("bind", *words, "--output", tmp_path / "bound")
        frames = sorted((tmp_path / "bound").iterdir())
        assert [frame.name for frame in frames] == ["frame_00000.png", "frame_00001.png"]
        assert all(psnr(frame, tmp_path / "render.png") > 60 for frame in frames)
        assert Image.open(frames[0]).mode == ("RGB" if name == "photo" else "RGBA")


EDITS: dict[str, tuple[str, Callable[[torch.Tensor], torch.Tensor]]] = {
    "rotate": (
        "rotate: {degrees: 90, center: [48, 32]}",
        lambda places: torch.stack([48 + places[:, 1] - 32, 32 - places[:, 0] + 48], dim=1),
    ),
    "scale": (
        "scale: {factor: [1.5, 0.75], center: [0, 0]}",
        lambda places: places * torch.tensor([1.5, 0.75]),
    ),
    "bend": (
        "bend: {degrees: 40, axis: [[0, 32], [96, 32]]}",
        lambda places: bend(places, degrees=40, axis=((0, 32), (96, 32))),
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_cage_moves_the_picture_as_an_edit_does(
    name: str, fitted_run: Path, gainer: Gainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, moved = EDITS[name]
    cage, plane = tmp_path / "cage.obj", ImagePlane(96, 64)
    gainer("export", "--load-config", fitted_run, "--format", "cage", "--cells", 48, "--output", cage)
    mesh = read_mesh(cage)
    places = plane.plane_from_pixel(moved(plane.pixel_from_plane(mesh.vertices[:, :2])))
    write(tmp_path / "frames" / "0.obj", mesh, torch.cat([places, mesh.vertices[:, 2:]], dim=1))
    bound, edited = tmp_path / "bound.png", tmp_path / "edited.png"
    options = ["--reference", cage, "--frames", tmp_path / "frames", "--canvas", -40, -60, 160, 124]
    gainer("bind", "--load-config", fitted_run, *options, "--output", bound)
    assert f"Wrote {bound}: 200 x 184 pixels" in capsys.readouterr().out
    (tmp_path / "edit.yaml").write_text(f"edits:\n  - {words}\ncanvas: [-40, -60, 160, 124]\n", "utf8")
    gainer("edit", "--load-config", fitted_run, "--script", tmp_path / "edit.yaml", "--output", edited)
    assert psnr(bound, edited) > (42 if name == "bend" else 60)  # between its vertices a cage is straight
    share = (pixels(bound)[..., 3] > 0).mean()
    assert math.isclose(share, 96 * 64 * (1.125 if name == "scale" else 1) / (200 * 184), rel_tol=0.05)


def test_films_and_backgrounds(
    references: dict[str, Path], cut_out_run: Path, photo: Path, gainer: Gainer, tmp_path: Path
) -> None:
    reference = references["cut-out points"]
    mesh = read_mesh(reference)
    order = torch.randperm(len(mesh.vertices))  # numbers say which point is which, not the order
    for number in range(3):
        vertices = mesh.vertices + torch.tensor([0.1 * number, 0.0, 7.0])
        shuffled = MeshFile(reference, vertices[order], mesh.faces, None if mesh.ids is None else mesh.ids[order])
        write(tmp_path / "frames" / f"frame_{number}.ply", shuffled, shuffled.vertices)
    words = ["--load-config", cut_out_run, "--reference", reference, "--frames", tmp_path / "frames"]
    gainer("bind", *words, "--output", tmp_path / "film.webp", "--fps", 12)
    film = Image.open(tmp_path / "film.webp")
    assert film.n_frames == 3 and film.size == (60, 40)  # type: ignore[attr-defined]
    starts = []
    for number in range(3):
        film.seek(number)
        starts.append(int(np.flatnonzero(np.asarray(film)[..., 3].any(axis=0))[0]))
    assert np.diff(starts).tolist() == [6, 6]
    gainer("bind", *words, "--output", tmp_path / "colour", "--background-color", 10, 20, 30)
    assert pixels(tmp_path / "colour" / "frame_00000.png")[0, 0].tolist() == [10, 20, 30, 255]
    gainer("bind", *words, "--output", tmp_path / "named", "--background-color", "tomato")
    assert pixels(tmp_path / "named" / "frame_00000.png")[0, 0].tolist() == [255, 99, 71, 255]
    gainer("bind", *words, "--output", tmp_path / "half", "--background-color", "#ff634780")
    assert pixels(tmp_path / "half" / "frame_00000.png")[0, 0].tolist() == [255, 99, 71, 128]
    gainer("bind", *words, "--output", tmp_path / "image", "--background-image", photo)
    assert (pixels(tmp_path / "image" / "frame_00000.png")[..., 3] == 255).all()


def test_what_was_edited_is_neither_bound_nor_exported_for_binding(
    references: dict[str, Path], fitted_run: Path, gainer: Gainer, refusal: Refusal, tmp_path: Path
) -> None:
    from gainer_ns.editing.script import Script
    from gainer_ns.editing.stage import Stage
    from gainer_ns.image.loading import load_baked
    from gainer_ns.storage.picture_files import save_picture

    edit = {"select": {"box": [10, 10, 40, 40]}, "mode": "piece", "move": {"by": [30, 0]}}
    edited = tmp_path / "edited.safetensors"
    save_picture(Stage(Script.model_validate({"edits": [edit]}), load_baked(fitted_run)).at(1.0), edited)
    frame = tmp_path / "frames" / "0.obj"
    mesh = read_mesh(references["photo cage"])
    write(frame, mesh, mesh.vertices)
    words = ["--load-config", edited, "--reference", references["photo cage"], "--frames", frame.parent]
    assert "edited" in refusal("bind", *words, "--output", tmp_path / "out.png")
    for kind, name in {**KINDS, "splat": "splat.ply"}.items():
        message = refusal("export", "--load-config", edited, "--format", kind, "--output", tmp_path / name)
        assert message.startswith(str(edited)) and "2 layers" in message
    gainer("export", "--load-config", edited, "--output", tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == edited.read_bytes()
    for kept in (edited, tmp_path / "again.safetensors", frame.parent):
        frame.unlink(missing_ok=True)
        kept.rmdir() if kept.is_dir() else kept.unlink()
    assert not list(tmp_path.iterdir())


def _spoilt(mesh: MeshFile, value: float) -> MeshFile:
    return MeshFile(mesh.path, mesh.vertices.index_fill(0, torch.tensor([5]), value), mesh.faces, mesh.ids)


def _first_faces(mesh: MeshFile) -> MeshFile:
    return MeshFile(mesh.path, mesh.vertices, mesh.faces[:-1], mesh.ids)


def _fewer(mesh: MeshFile) -> MeshFile:
    kept = mesh.faces[(mesh.faces < len(mesh.vertices) - 1).all(dim=1)]
    return MeshFile(mesh.path, mesh.vertices[:-1], kept, None if mesh.ids is None else mesh.ids[:-1])


def _other_numbers(mesh: MeshFile) -> MeshFile:
    assert mesh.ids is not None
    return MeshFile(mesh.path, mesh.vertices, mesh.faces, mesh.ids + 1)


def _numberless(mesh: MeshFile) -> MeshFile:
    return MeshFile(mesh.path, mesh.vertices, mesh.faces)


@pytest.mark.parametrize(
    ("kind", "spoil", "says"),
    [
        ("cage", _first_faces, "its faces are not those"),
        ("cage", _fewer, "vertices"),
        ("cage", lambda mesh: _spoilt(mesh, math.nan), "no numbers"),
        ("cage", lambda mesh: _spoilt(mesh, math.inf), "no numbers"),
        ("triangles", lambda mesh: _spoilt(mesh, math.nan), "no numbers"),
        ("triangles", _fewer, "vertices"),
        ("points", lambda mesh: _spoilt(mesh, math.nan), "no numbers"),
        ("points", _fewer, "vertices"),
        ("points", _other_numbers, "gaussian_id"),
        ("points", _numberless, "gaussian_id"),
    ],
)
@pytest.mark.parametrize(("number", "output"), [(0, "out.mp4"), (2, "out")])
def test_a_spoilt_frame_leaves_nothing_behind(
    kind: str,
    spoil: Callable[[MeshFile], MeshFile],
    says: str,
    number: int,
    output: str,
    references: dict[str, Path],
    cut_out_run: Path,
    refusal: Refusal,
    tmp_path: Path,
) -> None:
    reference = references[f"cut-out {kind}"]
    mesh, frames, empty = read_mesh(reference), tmp_path / "frames", tmp_path / "empty"
    empty.mkdir()
    for frame in range(3):
        shown = spoil(mesh) if frame == number else mesh
        write(frames / f"frame_{frame}{reference.suffix}", shown, shown.vertices)
    words = ["--load-config", cut_out_run, "--reference", reference, "--frames", frames]
    message = refusal("bind", *words, "--output", empty / output)
    assert says in message and f"frame_{number}{reference.suffix}" in message
    assert not list(empty.iterdir())


def _named(*names: str) -> Callable[[MeshFile, Path], None]:
    def make(mesh: MeshFile, folder: Path) -> None:
        folder.mkdir()
        for name in names:
            write(folder / name, mesh, mesh.vertices)

    return make


def _broken(mesh: MeshFile, folder: Path) -> None:
    _named()(mesh, folder)
    (folder / "frame_0.obj").write_bytes(b"v 1 2\nf 1 1 1\n")


def _upright(mesh: MeshFile, folder: Path) -> None:
    _named("0.obj")(MeshFile(mesh.path, mesh.vertices[:, [0, 2, 1]], mesh.faces), folder)


TWO = _named("frame_0.obj", "frame_1.obj")


@pytest.mark.parametrize(
    ("frames", "options", "says"),
    [
        (_named("0.obj", "2.obj"), {}, "frame 1 is missing"),
        (_named("0.obj", "00.obj"), {}, "both frame 0"),
        (_named("0.obj", "1.ply"), {}, "both .ply and .obj"),
        (_named("cage.obj"), {}, "no frames"),
        (_named(), {}, "no frames"),
        (lambda mesh, folder: None, {}, "no such folder"),
        (_broken, {}, "frame_0.obj"),
        (_upright, {}, "stands upright"),
        (TWO, {"output": ["out.png"]}, "cannot hold 2 frames"),
        (TWO, {"output": ["out.xyz"]}, "cannot write that kind"),
        (TWO, {"output": ["note.txt/out"]}, "note.txt"),
        (TWO, {"load-config": ["none.yml"]}, "no such file"),
        (TWO, {"reference": ["none.obj"]}, "cannot be read"),
        (TWO, {"reference": ["note.txt"]}, ".ply and .obj"),
        (TWO, {"scale": [0]}, "positive"),
        (TWO, {"fps": ["nan"]}, "frames a second"),
        (TWO, {"background-color": [1, 2, 300]}, "0 to 255"),
        (TWO, {"background-color": ["tomatoe"]}, "did you mean tomato?"),
        (TWO, {"background-image": ["none.jpg"]}, "none.jpg"),
        (TWO, {"background-image": ["note.txt"], "background-color": [1, 2, 3]}, "leave one out"),
        (TWO, {"canvas": [10, 0, 0, 10]}, "X0 < X1"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing_behind(
    frames: Callable[[MeshFile, Path], None],
    options: dict[str, list[object]],
    says: str,
    references: dict[str, Path],
    cut_out_run: Path,
    refusal: Refusal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "note.txt").write_text("no mesh", "utf8")
    reference = references["cut-out cage"]
    frames(read_mesh(reference), tmp_path / "frames")
    before = sorted(tmp_path.rglob("*"))
    given = {"load-config": [cut_out_run], "reference": [reference], "frames": ["frames"], "output": ["out.mp4"]}
    words = [word for name, values in (given | options).items() for word in (f"--{name}", *values)]
    assert says in refusal("bind", *words)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["triangles", "points"])
@pytest.mark.parametrize(("of", "for_"), [("photo", "cut_out_run"), ("cut-out", "fitted_run")])
def test_the_files_of_another_picture_are_refused(
    of: str,
    for_: str,
    kind: str,
    references: dict[str, Path],
    refusal: Refusal,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    mesh = read_mesh(references[f"{of} {kind}"])
    frame = write(tmp_path / "frames" / "0.ply", mesh, mesh.vertices)
    words = ["--load-config", request.getfixturevalue(for_), "--reference", mesh.path, "--frames", frame.parent]
    message = refusal("bind", *words, "--output", tmp_path / "out.png")
    assert message.startswith(str(mesh.path)) and "export" in message
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_reference_in_other_units_is_refused(
    kind: str, references: dict[str, Path], cut_out_run: Path, refusal: Refusal, tmp_path: Path
) -> None:
    mesh = read_mesh(references[f"cut-out {kind}"])
    larger = write(tmp_path / f"larger{mesh.path.suffix}", mesh, 100 * mesh.vertices)
    frame = write(tmp_path / "frames" / f"0{mesh.path.suffix}", mesh, 100 * mesh.vertices)
    words = ["--load-config", cut_out_run, "--reference", larger, "--frames", frame.parent]
    assert refusal("bind", *words, "--output", tmp_path / "out.png").startswith(f"{larger}: ")
    assert not (tmp_path / "out.png").exists()
