"""Pictures of other profiles than sRGB by every command that writes: they look as LittleCMS says that they look."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from gainer_ns.io.sequence_io import open_sequence_writer

Profiles = Callable[[str], bytes]
DeltaE = Callable[[Image.Image, Image.Image], float]
Seen = Callable[[Image.Image], np.ndarray]


def calm() -> np.ndarray:
    y, x = np.mgrid[:32, :48].astype(np.float32)
    return np.dstack([0.6 + 0.1 * x / 48, 0.4 + 0.1 * y / 32, 0.35 + 0.1 * x / 48])


Run = Callable[[str], Path]


@pytest.fixture(scope="module")
def run(fit: Callable[..., Path], matrix_profile: Profiles, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """``run("p3" | "adobe" | "srgb")`` is the config.yml of a fit; the picture beside it is ``picture.png``."""
    folder = tmp_path_factory.mktemp("profiles")

    @functools.cache
    def make(kind: str) -> Path:
        (folder / kind).mkdir()
        icc = None if kind == "srgb" else matrix_profile(kind)
        picture(kind).save(folder / kind / "picture.png", icc_profile=icc)
        return fit(folder / kind / "picture.png", folder / kind / "run")

    return make


def picture(kind: str) -> Image.Image:
    return Image.fromarray(np.rint(CALM[kind] * 255).astype(np.uint8))


def source_of(config: Path) -> Image.Image:
    return Image.open(next(parent for parent in config.parents if parent.name == "run").parent / "picture.png")


CALM = {"p3": calm(), "adobe": calm()[::-1], "srgb": calm()[:, ::-1]}
"""Colours that all of the profiles can tell, and that look otherwise by another than their own."""
WRITERS: dict[str, tuple[str, ...]] = {
    "drawn.png": ("render",),
    "deep.png": ("render", "--bit-depth", "16"),
    "drawn.jpg": ("render",),
    "drawn.tif": ("render",),
    "drawn.webp": ("render",),
    "edited.png": ("edit", "frames: 1"),
    "edited16.png": ("edit", "frames: 1", "--bit-depth", "16"),
    "edited.webp": ("edit", "frames: 1"),
    "edited": ("edit", "frames: 2"),
    "film.mp4": ("edit", "frames: 2"),
    "film.gif": ("edit", "frames: 2"),
    "film.webp": ("edit", "frames: 2"),
    "simulated": ("simulate",),
    "simulated.webp": ("simulate",),
    "bound.png": ("bind",),
    "bound.webp": ("bind", "2"),
}
"""By the names of what they write: commands, and what they are told."""


def shown(path: Path) -> Image.Image:
    """The first picture in a file or a folder, as Pillow opens it; that of a film by FFmpeg."""
    if path.is_dir():
        path = path / "frame_00000.png"
    if path.suffix != ".mp4":
        return Image.open(path)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0)).reformat(format="rgb24", src_colorspace="ITU709")
        return Image.fromarray(frame.to_ndarray())


def written(gainer: Callable[..., None], config: Path, path: Path) -> Path:
    """What a command writes of a picture that nothing moves."""
    command, *words = WRITERS[path.name]
    told: list[object] = ["--load-config", config, "--output", path]
    if command == "edit":
        script = path.with_name("edit.yaml")
        script.write_text(f"edits: [{{move: {{by: [0, 0]}}}}]\n{words.pop(0)}\n")
        told += ["--script", script]
    elif command == "simulate":
        script = path.with_name("scene.yaml")
        script.write_text("particles: 300\nduration: 0.1\ngravity: [0, 0]\nbodies: [{material: medium}]\n")
        script.write_text(script.read_text() + "domain: {margin: [0, 0, 0, 0]}\ncanvas: domain\n")
        told += ["--scene", script]
    elif command == "bind":
        cage, frames = path.with_name("cage.obj"), path.with_name("frames")
        gainer("export", "--load-config", config, "--format", "cage", "--output", cage)
        frames.mkdir()
        for number in range(int(words.pop() if words else 1)):
            shutil.copy(cage, frames / f"{number}.obj")
        told += ["--reference", cage, "--frames", frames]
    gainer(command, *told, *words)
    return path


@pytest.mark.parametrize("kind", ["p3", "adobe"])
@pytest.mark.parametrize("name", WRITERS)
def test_whatever_is_written_looks_as_the_picture_does(
    name: str, kind: str, tmp_path: Path, run: Run, gainer: Callable[..., None], delta_e: DeltaE, seen_as_srgb: Seen
) -> None:
    source = source_of(run(kind))
    looks = written(gainer, run(kind), tmp_path / name)
    kept = shown(looks).info.get("icc_profile")
    assert kept == (None if is_film(looks) else source.info["icc_profile"])
    wanted = source
    if is_film(looks):  # with what its encoder loses, which is not meant here
        colours = np.divide(seen_as_srgb(source), 255, dtype=np.float32)
        with open_sequence_writer(tmp_path / f"reference{looks.suffix}", frames=2) as film:
            film.write(colours)
            film.write(colours)
        wanted = shown(tmp_path / f"reference{looks.suffix}")
    assert delta_e(shown(looks).convert("RGB"), wanted.convert("RGB")) < 1
    assert delta_e(picture(kind), source) > 3, "what would be seen without the profile"


def is_film(path: Path) -> bool:
    return path.suffix in (".mp4", ".gif") or path.name in ("film.webp", "bound.webp", "simulated.webp")


@pytest.mark.parametrize("kind", ["p3", "adobe", "srgb"])
@pytest.mark.parametrize("other", ["p3", "adobe", "srgb"])
@pytest.mark.parametrize("what", ["layer", "layer of a layer", "background", "background of a film"])
def test_what_is_laid_over_or_behind_looks_as_it_does_alone(
    what: str, kind: str, other: str, tmp_path: Path, run: Run, gainer: Callable[..., None], delta_e: DeltaE
) -> None:
    own, laid, script = run(kind), source_of(run(other)), tmp_path / "edit.yaml"
    output = tmp_path / ("out.webp" if what.endswith("film") else "out.png")
    if what.startswith("layer"):
        gainer("export", "--load-config", run(other), "--output", tmp_path / "laid.safetensors")
        script.write_text("layers: {top: {picture: laid.safetensors}}\nedits: [{layer: top, move: {by: [0, 0]}}]\n")
        if what == "layer of a layer":  # by way of a third picture's file, of yet another profile
            third = run(next(each for each in ("srgb", "p3", "adobe") if each not in (kind, other)))
            gainer("edit", "--load-config", third, "--script", script, "--output", tmp_path / "both.safetensors")
            script.write_text(script.read_text().replace("laid", "both"))
    else:
        laid.save(tmp_path / "behind.png", icc_profile=laid.info.get("icc_profile"))
        script.write_text("edits: [{move: {by: [200, 0]}}]\nbackground: {image: behind.png}\n")
        if what.endswith("film"):
            script.write_text(script.read_text() + "frames: 2\n")
    gainer("edit", "--load-config", own, "--script", script, "--output", output)
    drawn = Image.open(output)
    if what.endswith("film"):
        drawn.seek(getattr(drawn, "n_frames", 1) - 1)  # equal frames are written once
    else:
        assert drawn.info.get("icc_profile") == source_of(own).info.get("icc_profile")
    assert delta_e(drawn, laid) < 1


def test_a_lifted_picture_looks_as_it_did(
    tmp_path: Path, run: Run, fit: Callable[..., Path], gainer: Callable[..., None], delta_e: DeltaE
) -> None:
    source = source_of(run("adobe"))
    source.save(tmp_path / "photo.png", icc_profile=source.info["icc_profile"])
    np.save(tmp_path / "depth.npy", np.full((32, 48), 2.0, np.float32))

    def edit(config: Any) -> None:
        config.pipeline.datamanager.depth_path = tmp_path / "depth.npy"
        config.pipeline.datamanager.focal_length = 60.0

    lifted = fit(tmp_path / "photo.png", tmp_path / "runs", "gainer-lift", edit)
    source_of(run("p3")).save(tmp_path / "behind.png", icc_profile=source_of(run("p3")).info["icc_profile"])
    script = tmp_path / "edit.yaml"
    for name, by, wanted in (
        ("own.png", 0, source),
        ("film.webp", 0, source),
        ("behind.png", 200, source_of(run("p3"))),
    ):
        script.write_text(f"edits: [{{move: {{by: [{by}, 0, 0]}}}}]\nbackground: {{image: behind.png}}\n")
        script.write_text(script.read_text() + ("frames: 2\n" if name == "film.webp" else ""))
        gainer("edit", "--load-config", lifted, "--script", script, "--output", tmp_path / "out" / name)
        drawn = shown(tmp_path / "out" / name)
        assert drawn.info.get("icc_profile") == (None if name == "film.webp" else source.info["icc_profile"])
        inside = (3, 3, 45, 29)  # of the photo, whose border is the end of the surface
        assert delta_e(drawn.convert("RGB").crop(inside), wanted.crop(inside)) < 1
    gainer("render", "--load-config", lifted, "--output", tmp_path / "drawn.png")
    assert shown(tmp_path / "drawn.png").info["icc_profile"] == source.info["icc_profile"]
    assert delta_e(shown(tmp_path / "drawn.png").convert("RGB").crop(inside), source.crop(inside)) < 1


@pytest.mark.parametrize("kind", ["points", "triangles", "splat"])
def test_exported_colours_are_srgb(
    kind: str, tmp_path: Path, run: Run, gainer: Callable[..., None], seen_as_srgb: Seen
) -> None:
    gainer("export", "--load-config", run("adobe"), "--format", kind, "--output", tmp_path / "a.ply")
    header, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")
    vertices = header.decode().split("element ")[1].splitlines()
    types = {"float": "<f4", "uchar": "u1", "int": "<i4"}
    fields = [(line.split()[2], types[line.split()[1]]) for line in vertices[1:]]
    points = np.frombuffer(body, np.dtype(fields), int(vertices[0].split()[1]))
    if kind == "splat":
        colours = np.stack([points[f"f_dc_{i}"] for i in range(3)], axis=1) * 0.28209479177387814 + 0.5
    else:
        colours = np.stack([points[name] for name in ("red", "green", "blue")], axis=1) / 255
    column, row = np.floor(points["x"] * 48 + 24).astype(int), np.floor(16 - points["y"] * 48).astype(int)
    inside = (column >= 0) & (column < 48) & (row >= 0) & (row < 32)
    wanted = seen_as_srgb(source_of(run("adobe"))) / 255
    apart = np.abs(colours[inside] - wanted[row[inside], column[inside]])
    assert inside.sum() >= 32 * 48 and apart.mean() < 1 / 255
