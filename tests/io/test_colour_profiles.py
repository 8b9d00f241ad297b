"""Pictures whose numbers are not sRGB, through every kind of file; what they should look like is LittleCMS's word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from gainer_ns.editing.backdrops import image_backdrop
from gainer_ns.errors import GainerError
from gainer_ns.exporting.gaussians import as_srgb
from gainer_ns.io.colour_profiles import MAX_PROFILE_BYTES, SRGB, ColourProfile, converted
from gainer_ns.io.image_io import read_picture
from gainer_ns.io.image_writing import write_picture
from gainer_ns.io.sequence_io import open_sequence_writer

Profiles = Callable[[str], bytes]
DeltaE = Callable[[Image.Image, Image.Image], float]
Seen = Callable[[Image.Image], np.ndarray]


def colourful(height: int = 32, width: int = 48) -> np.ndarray:
    """Smooth colours inside the smaller of the gamuts, as floats [h, w, 3]."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.dstack([0.35 + 0.4 * x / width, 0.35 + 0.3 * y / height, 0.6 - 0.2 * x / width])


def opened(colours: np.ndarray, icc: bytes | None) -> Image.Image:
    image = Image.fromarray(np.rint(colours * 255).astype(np.uint8))
    if icc is not None:
        image.info["icc_profile"] = icc
    return image


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
def test_films_are_srgb(tmp_path: Path, icc: bytes, suffix: str, seen_as_srgb: Seen) -> None:
    colours = np.full((32, 48, 3), (0.7, 0.4, 0.3), np.float32)  # flat: films lose detail, which is not meant here
    with open_sequence_writer(tmp_path / f"a{suffix}", frames=2, profile=ColourProfile(icc)) as film:
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
    with open_sequence_writer(tmp_path / "frames", frames=2, profile=ColourProfile(icc)) as film:
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


@pytest.mark.filterwarnings("error")
def test_damage_that_is_not_noticed_makes_colours_all_the_same(matrix_profile: Profiles) -> None:
    rng, whole, taken = np.random.default_rng(0), [matrix_profile("p3"), SRGB.icc], 0
    for number in range(200):
        damaged = np.frombuffer(whole[number % 2], np.uint8).copy()
        damaged[rng.integers(0, len(damaged), 4)] = rng.integers(0, 256, 4)
        profile = ColourProfile.checked(damaged.tobytes(), "a file")
        if profile is not None:
            taken += 1
            for told in (converted(colourful(), profile, None), converted(colourful(), None, profile)):
                assert np.isfinite(told).all() and told.min() >= 0 and told.max() <= 1
    assert 20 < taken < 180


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


def test_a_table_converts_to_eight_bits_and_only_out(
    tmp_path: Path, table_profile: Profiles, seen_as_srgb: Seen
) -> None:
    profile, colours = ColourProfile(table_profile("RGB")), colourful()
    samples = np.rint(converted(colours, profile, None) * 255)
    assert profile.arithmetic is None
    assert np.abs(samples - seen_as_srgb(opened(colours, profile.icc))).max() <= 1
    beyond, ends = (np.array([[[low, 0.5, high]]], np.float32) for low, high in ((-0.4, 1.4), (0, 1)))
    assert np.array_equal(converted(beyond, profile, None), converted(ends, profile, None)), "as fits may decode to"
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
