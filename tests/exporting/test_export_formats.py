"""``gainer export`` of the files of other programs, from a real fit."""

import gzip
import struct
from pathlib import Path

import pytest

import gainer_ns as gn
from gainer_ns.cli.main import entrypoint
from gainer_ns.editing.binding import bind
from gainer_ns.image.loading import load_baked
from gainer_ns.io.meshes import read_mesh

KINDS = {"points": "points.ply", "triangles": "triangles.ply", "cage": "cage.obj", "splat": "splat.ply"}


def export(run: Path, kind: str, output: Path, *more: str) -> None:
    entrypoint(["export", "--load-config", str(run), "--format", kind, "--output", str(output), *more])


@pytest.mark.parametrize("kind", ["points", "triangles", "cage"])
def test_what_is_exported_binds_to_its_picture(
    kind: str, fitted_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / KINDS[kind]
    export(fitted_run, kind, output)
    assert f"Wrote {output}" in capsys.readouterr().out
    means = load_baked(fitted_run).gaussians.means
    mesh = read_mesh(output)
    places, _ = bind(mesh, means).at(mesh.vertices)
    assert float((places - means).abs().max()) < 1e-6


def test_splats(fitted_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(fitted_run, "splat", tmp_path / "splat.ply")
    assert "for viewers" in capsys.readouterr().out
    assert len(read_mesh(tmp_path / "splat.ply").vertices) == 96 * 64
    export(fitted_run, "spz", tmp_path / "splat.SPZ")
    header = struct.unpack("<4s2I", gzip.decompress((tmp_path / "splat.SPZ").read_bytes())[:12])
    assert header == (b"NGSP", 2, 96 * 64)


@pytest.mark.parametrize(
    ("name", "start"), [("mesh.glb", b"glTF"), ("page.HTML", b"<!DOCTYPE html>"), ("layers.ora", b"PK")]
)
def test_pictures_of_several_layers(name: str, start: bytes, fitted_run: Path, tmp_path: Path) -> None:
    piece = {"select": {"box": [10, 10, 40, 40]}, "move": {"by": [20, 0]}, "mode": "piece"}
    gn.load(fitted_run).edit(piece).save(tmp_path / "edited.safetensors")
    export(tmp_path / "edited.safetensors", name.lower().rpartition(".")[2], tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_cells(fitted_run: Path, tmp_path: Path) -> None:
    export(fitted_run, "cage", tmp_path / "cage.obj", "--cells", "3")
    assert len(read_mesh(tmp_path / "cage.obj").faces) == 2 * 3 * 3


@pytest.mark.parametrize(
    ("kind", "name", "more"),
    [
        ("points", "points.obj", []),
        ("cage", "cage.ply", []),
        ("splat", "splat", []),
        ("splat", "splat.spz.gz", []),
        ("spz", "splat.ply", []),
        ("glb", "mesh.gltf", []),
        ("html", "page", []),
        ("ora", "layers.psd", []),
        ("points", "points.ply", ["--bits", "8"]),
        ("triangles", "triangles.ply", ["--cells", "5"]),
        ("cage", "cage.obj", ["--cells", "0"]),
    ],
)
def test_refusals(kind: str, name: str, more: list[str], fitted_run: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        export(fitted_run, kind, tmp_path / name, *more)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())
