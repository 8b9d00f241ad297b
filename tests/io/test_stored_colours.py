"""What a file says of its colours in other words than an ICC profile, and which of them counts."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, features

from gainer_ns.errors import GainerError
from gainer_ns.io.colour_profiles import ColourProfile, converted
from gainer_ns.io.image_io import read_picture
from gainer_ns.io.masks import read_mask

Profiles = Callable[[str], bytes]
P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
COLOURS = np.random.default_rng(0).integers(80, 180, (24, 32, 3), np.uint8)


def chunk(part: tuple[bytes, bytes]) -> bytes:
    name, data = part
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(path: Path, *chunks: tuple[bytes, bytes], samples: np.ndarray = COLOURS) -> Path:
    """A PNG with chunks of its own behind its header."""
    _, encoded = cv2.imencode(".png", samples[..., ::-1] if samples.ndim == 3 else samples)
    whole = encoded.tobytes()
    path.write_bytes(whole[:33] + b"".join(map(chunk, chunks)) + whole[33:])
    return path


def cicp(*codes: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes(codes)


def iccp(icc: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"x\0\0" + zlib.compress(icc)


def gama(gamma: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(gamma * 1e5))


def chrm(primaries: tuple[float, ...]) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(value * 1e5) for value in primaries))


SAYS_SRGB = b"sRGB", b"\1"


def seen(values: np.ndarray, primaries: tuple[float, ...], light: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """sRGB of samples by the formulas; all of these primaries have sRGB's white, so nothing adapts."""

    def to_xyz(of: tuple[float, ...]) -> np.ndarray:
        xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in np.reshape(of, (4, 2))]).T
        return xyz[:, 1:] * np.linalg.solve(xyz[:, 1:], xyz[:, 0])

    linear = np.clip(light(values) @ (np.linalg.inv(to_xyz(SRGB)) @ to_xyz(primaries)).T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def srgb_light(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def film_light(values: np.ndarray) -> np.ndarray:
    return np.where(values < 0.081, values / 4.5, ((values + 0.099) / 1.099) ** (1 / 0.45))


BT2020 = (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
SAID = {
    "cICP of Display P3": ([cicp(12, 13, 0, 1)], P3, srgb_light),
    "cICP of BT.709": ([cicp(1, 1, 0, 1)], SRGB, film_light),
    "cICP of BT.2020": ([cicp(9, 14, 0, 1)], BT2020, film_light),
    "cICP of linear light": ([cicp(1, 8, 0, 1)], SRGB, lambda values: values),
    "cICP before all others": ([gama(1), SAYS_SRGB, cicp(12, 13, 0, 1)], P3, srgb_light),
    "gAMA and cHRM": ([gama(1 / 1.8), chrm(P3)], P3, lambda values: values**1.8),
    "gAMA alone": ([gama(1)], SRGB, lambda values: values),
    "cHRM alone": ([chrm(P3)], P3, srgb_light),
    "cICP that is not known, and gAMA": ([cicp(10, 17, 0, 1), gama(1)], SRGB, lambda values: values),
}


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("bits", [8, 16])
def test_a_png_may_say_its_colours_in_several_words(tmp_path: Path, said: str, bits: int) -> None:
    chunks, primaries, light = SAID[said]
    samples = COLOURS if bits == 8 else COLOURS.astype(np.uint16) * 257
    picture = read_picture(png(tmp_path / "a.png", *chunks, samples=samples))
    np.testing.assert_array_equal(picture.rgb, samples)
    told = converted(picture.colours(), picture.profile, None)
    np.testing.assert_allclose(told, seen(COLOURS / 255, primaries, light), atol=2e-3)


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [SAYS_SRGB],
        [SAYS_SRGB, gama(1), chrm(P3)],
        [cicp(1, 13, 0, 1), gama(1)],
        [gama(0.45455), chrm(SRGB)],
        [gama(0.45455)],
        [gama(0)],
        [cicp(2, 2, 0, 1)],
        [(b"cICP", b"\1")],
    ],
)
def test_what_is_srgb_in_other_words_gets_no_profile(
    tmp_path: Path, chunks: list[tuple[bytes, bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    assert read_picture(png(tmp_path / "a.png", *chunks)).profile is None
    assert not caplog.records


def test_an_icc_profile_goes_before_what_is_older(tmp_path: Path, matrix_profile: Profiles) -> None:
    icc = matrix_profile("adobe")
    assert read_picture(png(tmp_path / "a.png", iccp(icc), gama(1))).profile == ColourProfile(icc)
    newer = read_picture(png(tmp_path / "a.png", iccp(icc), cicp(12, 13, 0, 1))).profile
    assert newer is not None and newer != ColourProfile(icc)


@pytest.mark.parametrize(("codes", "word"), [((9, 16, 0, 1), "PQ"), ((9, 18, 0, 1), "HLG"), ((1, 13, 0, 0), "range")])
def test_hdr_and_film_ranges_are_refused(tmp_path: Path, codes: tuple[int, ...], word: str) -> None:
    with pytest.raises(GainerError, match=f"{word}.*convert it to sRGB") as refused:
        read_picture(png(tmp_path / "a.png", cicp(*codes)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("chunks", [[chrm((0.3127, 0.3290, *[0.3] * 6))], [chrm((0, 0, *P3[2:])), gama(1)]])
def test_primaries_that_are_none_are_named_and_left(
    tmp_path: Path, chunks: list[tuple[bytes, bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    assert read_picture(png(tmp_path / "a.png", *chunks)).profile is None
    assert [record.levelname for record in caplog.records] == ["WARNING"] and "sRGB" in caplog.text


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("clear", [False, True])
def test_gray_of_a_gray_profile_becomes_srgb_in_its_own_bits(
    tmp_path: Path, bits: int, clear: bool, matrix_profile: Profiles
) -> None:
    white = 2**bits - 1
    ramp = np.rint(np.linspace(0, white, 300)).astype(f">u{bits // 8}")[None].repeat(3, axis=0)
    samples = (np.dstack([ramp, ramp // 2]) if clear else ramp[..., None]).astype(ramp.dtype)
    header = struct.pack(">IIBB3x", 300, 3, bits, 4 if clear else 0)
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    path = tmp_path / "a.png"
    parts = ((b"IHDR", header), iccp(matrix_profile("gray")), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, parts)))
    picture = read_picture(path)
    light = (ramp / white) ** (563 / 256)
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * white
    assert picture.profile is None and picture.max_value == white
    assert np.abs(picture.rgb - expected[..., None]).max() <= max(0.51, white / 30000)
    assert (picture.alpha is None) is not clear
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, ramp // 2)


@pytest.mark.parametrize("words", [{0xA001: 2}, {0xA001: 65535, "R": "R03"}])
def test_a_camera_may_say_adobe_rgb_by_exif_alone(tmp_path: Path, words: dict[int | str, int | str]) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[0xA001] = words[0xA001]
    if "R" in words:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: "R03"}
    Image.fromarray(COLOURS).save(tmp_path / "a.jpg", exif=exif, quality=100)
    profile = read_picture(tmp_path / "a.jpg").profile
    assert profile is not None
    assert "Adobe RGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile.icc)))
    assert profile.arithmetic is not None
    np.testing.assert_allclose(profile.arithmetic.matrix[:, 1], (0.2053, 0.6257, 0.0609), atol=2e-4)
    Image.fromarray(COLOURS).save(tmp_path / "b.jpg")
    assert read_picture(tmp_path / "b.jpg").profile is None


@pytest.mark.skipif(not features.check("avif"), reason="needs a Pillow with AVIF")
@pytest.mark.parametrize(("codes", "colours"), [((12, 13), "P3"), ((1, 13), "sRGB"), ((9, 16), "HDR")])
def test_an_avif_says_it_in_numbers(tmp_path: Path, codes: tuple[int, int], colours: str) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.avif")
    usual, wanted = (b"colrnclx" + struct.pack(">2H", *each) for each in ((1, 13), codes))
    stored = (tmp_path / "a.avif").read_bytes()
    assert usual in stored
    (tmp_path / "a.avif").write_bytes(stored.replace(usual, wanted))
    if colours == "HDR":
        with pytest.raises(GainerError, match="PQ"):
            read_picture(tmp_path / "a.avif")
    else:
        assert (read_picture(tmp_path / "a.avif").profile is not None) == (colours == "P3")


@pytest.mark.parametrize("profile", ["gray", "p3"])
@pytest.mark.parametrize("labels", [False, True])
def test_numbers_of_a_mask_are_no_colours(
    tmp_path: Path, profile: str, labels: bool, matrix_profile: Profiles, caplog: pytest.LogCaptureFixture
) -> None:
    samples = np.tile(np.arange(4 if labels else 256, dtype=np.uint8), (4, 1))
    path = png(tmp_path / "a.png", cicp(9, 16, 0, 1), samples=samples)
    Image.fromarray(samples).save(tmp_path / "b.png", icc_profile=matrix_profile(profile))
    for each in (path, tmp_path / "b.png"):
        mask = read_mask(each, 3 if labels else "luma")
        np.testing.assert_allclose(mask, samples == 3 if labels else samples / 255, atol=1e-6)
    assert not caplog.records


def test_lab_is_converted_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    stored = ImageCms.profileToProfile(Image.fromarray(COLOURS), srgb, lab, outputMode="LAB")
    assert stored is not None
    stored.save(tmp_path / "a.tif")
    picture = read_picture(tmp_path / "a.tif")
    assert picture.profile is None and not caplog.records
    assert np.abs(picture.rgb.astype(int) - COLOURS).mean() < 2


@pytest.mark.parametrize(("primaries", "has_profile"), [(12, True), (1, False), (2, False)])
def test_a_heic_says_it_in_numbers(tmp_path: Path, primaries: int, has_profile: bool) -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs pip install 'gainer-ns[heif]'")
    file = heif.from_pillow(Image.fromarray(COLOURS))
    file.save(tmp_path / "a.heic", color_primaries=primaries, transfer_characteristics=13, save_nclx_profile=True)
    assert (read_picture(tmp_path / "a.heic").profile is not None) == has_profile
