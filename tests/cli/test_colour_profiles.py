"""Pictures whose numbers are not sRGB, through every kind of file; what they should look like is LittleCMS's word."""

from __future__ import annotations

import functools
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from gainer_ns.colour_profiles import MAX_PROFILE_BYTES, ColourProfile, converted
from gainer_ns.editing.compositing import image_backdrop
from gainer_ns.errors import GainerError
from gainer_ns.exporting.gaussians import as_srgb
from gainer_ns.image.image_io import read_picture
from gainer_ns.image.image_writing import write_picture
from gainer_ns.image.sequence_io import open_sequence

Profiles = Callable[[str], bytes]
DeltaE = Callable[[Image.Image, Image.Image], float]


def colourful(height: int = 32, width: int = 48) -> np.ndarray:
    """Smooth colours inside the smaller of the gamuts, as floats [h, w, 3]."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.dstack([0.35 + 0.4 * x / width, 0.35 + 0.3 * y / height, 0.6 - 0.2 * x / width])


def opened(colours: np.ndarray, icc: bytes | None) -> Image.Image:
    image = Image.fromarray(np.rint(colours * 255).astype(np.uint8))
    if icc is not None:
        image.info["icc_profile"] = icc
    return image


def seen_as_srgb(image: Image.Image) -> np.ndarray:
    """What LittleCMS makes of a picture with a profile, as whole levels of sRGB."""
    own = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    srgb = ImageCms.createProfile("sRGB")
    return np.asarray(
        ImageCms.profileToProfile(image, own, srgb, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC)
    ).astype(int)


@pytest.fixture(params=["p3", "adobe"])
def icc(request: pytest.FixtureRequest, matrix_profile: Profiles) -> bytes:
    return matrix_profile(request.param)


@pytest.mark.parametrize(("name", "bits"), [("a.png", 8), ("a.png", 16), ("a.jpg", 8), ("a.webp", 8), ("a.tif", 8)])
@pytest.mark.parametrize("is_clear", [False, True])
def test_every_kind_of_picture_keeps_its_profile(
    tmp_path: Path, icc: bytes, name: str, bits: int, is_clear: bool, delta_e: DeltaE
) -> None:
    if is_clear and name == "a.jpg":
        pytest.skip("JPEG holds no opacity")
    path, colours = tmp_path / name, colourful()
    opacity = np.full(colours.shape[:2], 0.5, np.float32) if is_clear else None
    write_picture(path, colours, opacity, bit_depth=bits, profile=ColourProfile(icc))
    picture = read_picture(path)
    assert picture.profile == ColourProfile(icc) and picture.bit_depth == bits
    if name != "a.jpg":
        exact = np.rint(colours * np.float32(picture.max_value))
        np.testing.assert_array_equal(picture.rgb, exact)
    assert delta_e(opened(picture.colours(), icc), opened(colours, icc)) < 1


def test_a_picture_without_a_profile_gets_none(tmp_path: Path) -> None:
    for bits in (8, 16):
        write_picture(tmp_path / "a.png", colourful(), bit_depth=bits)
        assert read_picture(tmp_path / "a.png").profile is None
        assert b"iCCP" not in (tmp_path / "a.png").read_bytes()


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_films_are_srgb(tmp_path: Path, icc: bytes, suffix: str) -> None:
    colours = np.full((32, 48, 3), (0.7, 0.4, 0.3), np.float32)  # flat: films lose detail, which is not meant here
    with open_sequence(tmp_path / f"a{suffix}", frames=2, profile=ColourProfile(icc)) as film:
        film.write(colours)
        film.write(colours)
    if suffix == ".mp4":
        with av.open(str(tmp_path / "a.mp4")) as container:
            frame = next(container.decode(video=0)).reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
    else:
        frame = np.asarray(Image.open(tmp_path / f"a{suffix}").convert("RGB"))
    # A flat colour comes out of H.264 within 2 levels, and one more is the rounding of the conversion.
    assert np.abs(frame.astype(int) - seen_as_srgb(opened(colours, icc))).max() <= 3
    assert np.abs(frame.astype(int) - np.rint(colours * 255)).max() > 9


def test_frames_of_a_folder_keep_it(tmp_path: Path, icc: bytes) -> None:
    with open_sequence(tmp_path / "frames", frames=2, profile=ColourProfile(icc)) as film:
        film.write(colourful())
        film.write(colourful())
    for number in range(2):
        assert read_picture(tmp_path / "frames" / f"frame_{number:05d}.png").profile == ColourProfile(icc)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_gray_of_a_gray_profile_becomes_srgb(
    tmp_path: Path, mode: str, matrix_profile: Profiles, delta_e: DeltaE
) -> None:
    gray = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (4, 1)))
    gray.convert(mode).save(tmp_path / "a.png", icc_profile=matrix_profile("gray"))
    picture = read_picture(tmp_path / "a.png")
    assert picture.profile is None and (picture.alpha is not None) == (mode == "LA")
    gray.info["icc_profile"] = matrix_profile("gray")
    assert delta_e(Image.fromarray(picture.rgb), gray) < 0.5


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_an_rgb_profile_stays_with_any_samples(tmp_path: Path, icc: bytes, mode: str) -> None:
    Image.fromarray(np.rint(colourful() * 255).astype(np.uint8)).convert(mode).save(tmp_path / "a.png", icc_profile=icc)
    assert read_picture(tmp_path / "a.png").profile == ColourProfile(icc)


@pytest.mark.parametrize("damage", ["cut", "noise", "gray", "giant"])
def test_a_profile_that_tells_nothing_is_named_and_left(
    tmp_path: Path, damage: str, matrix_profile: Profiles, caplog: pytest.LogCaptureFixture
) -> None:
    whole = matrix_profile("p3")
    bad = {"cut": whole[:200], "noise": bytes(range(256)) * 4, "gray": matrix_profile("gray")}
    bad["giant"] = whole + bytes(MAX_PROFILE_BYTES)
    source = Image.fromarray(np.rint(colourful() * 255).astype(np.uint8))
    source.save(tmp_path / "a.png", icc_profile=bad[damage])
    picture = read_picture(tmp_path / "a.png")
    assert picture.profile is None
    np.testing.assert_array_equal(picture.rgb, np.asarray(source))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "colour profile" in caplog.text and "sRGB" in caplog.text


def test_there_and_back_is_where_one_was(icc: bytes) -> None:
    profile, colours = ColourProfile(icc), 0.3 + 0.6 * colourful()
    back = converted(converted(colours, profile, None), None, profile)
    assert np.abs(back - colours).max() < 2 / 65535
    assert converted(colours, profile, profile) is colours


def test_points_of_other_programs_are_srgb(icc: bytes, delta_e: DeltaE) -> None:
    colours = colourful()
    points = as_srgb(torch.from_numpy(colours).view(-1, 3), ColourProfile(icc)).view(colours.shape)
    assert delta_e(opened(points.numpy(), None), opened(colours, icc)) < 1


@pytest.mark.parametrize(
    "bad", [torch.zeros(3), torch.zeros(2, 2, dtype=torch.uint8), torch.zeros(9, dtype=torch.uint8)]
)
def test_a_tensor_that_is_no_profile_is_srgb(bad: torch.Tensor) -> None:
    assert ColourProfile.from_tensor(bad, "the file") is None


def test_a_table_converts_to_eight_bits_and_only_out(tmp_path: Path, table_profile: Profiles) -> None:
    profile, colours = ColourProfile(table_profile("RGB")), colourful()
    samples = np.rint(converted(colours, profile, None) * 255)
    assert profile.arithmetic is None
    assert np.abs(samples - seen_as_srgb(opened(colours, profile.icc))).max() <= 1
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "behind.png")
    with pytest.raises(GainerError, match="convert the picture to sRGB"):
        image_backdrop(tmp_path / "behind.png", 4, 4, profile=profile)


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_cmyk_becomes_srgb_by_its_profile(
    tmp_path: Path, suffix: str, table_profile: Profiles, delta_e: DeltaE
) -> None:
    inks = Image.fromarray(np.rint(colourful() * 255).astype(np.uint8)).convert("CMYK")
    inks.save(tmp_path / f"a{suffix}", icc_profile=table_profile("CMYK"))
    picture = read_picture(tmp_path / f"a{suffix}")
    assert picture.profile is None
    with Image.open(tmp_path / f"a{suffix}") as source:
        assert delta_e(Image.fromarray(picture.rgb), source) < 1
        without = Image.fromarray(np.asarray(source.convert("RGB")))
        assert delta_e(without, source) > 3, "what would be seen without the profile"


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
        opened(CALM[kind], None).save(folder / kind / "picture.png", icc_profile=icc)
        return fit(folder / kind / "picture.png", folder / kind / "run")

    return make


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
        script.write_text(script.read_text() + "domain: {margin: [0, 0, 0, 0]}\n")
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
    name: str, kind: str, tmp_path: Path, run: Run, gainer: Callable[..., None], delta_e: DeltaE
) -> None:
    source = source_of(run(kind))
    looks = written(gainer, run(kind), tmp_path / name)
    kept = shown(looks).info.get("icc_profile")
    assert kept == (None if is_film(looks) else source.info["icc_profile"])
    wanted = source
    if is_film(looks):  # with what its encoder loses, which is not meant here
        colours = np.divide(seen_as_srgb(source), 255, dtype=np.float32)
        with open_sequence(tmp_path / f"reference{looks.suffix}", frames=2) as film:
            film.write(colours)
            film.write(colours)
        wanted = shown(tmp_path / f"reference{looks.suffix}")
    assert delta_e(shown(looks).convert("RGB"), wanted.convert("RGB")) < 1
    assert delta_e(opened(CALM[kind], None), source) > 3, "what would be seen without the profile"


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
