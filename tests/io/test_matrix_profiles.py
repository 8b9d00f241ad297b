"""What is computed with profiles in floats: against LittleCMS to 8 bits, and against the formulas beyond them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from gainer_ns.io.matrix_profiles import SRGB_CURVE, SRGB_PRIMARIES, MatrixProfile, packed_profile

RED, GREEN = (
    [round(65536 * value) for value in column] for column in ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419))
)
"""What ``matrix_profile`` has for P3."""
Profiles = Callable[[str], bytes]
P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
WIDE = (0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001)
SRGB = packed_profile(SRGB_PRIMARIES, SRGB_CURVE, "sRGB")


def parametric(kind: int, *values: float) -> bytes:
    return b"para" + struct.pack(f">4xHH{len(values)}i", kind, 0, *(round(value * 65536) for value in values))


CURVES = {
    "straight": struct.pack(">4s4xI", b"curv", 0),
    "gamma": struct.pack(">4s4xIH", b"curv", 1, round(1.8 * 256)),
    "table": struct.pack(">4s4xI200H", b"curv", 200, *(round(65535 * (i / 199) ** 2) for i in range(200))),
    "para 0": parametric(0, 2.4),
    "para 1": parametric(1, 2.2, 0.9, 0.1),
    "para 2": parametric(2, 2.2, 0.9, 0.05, 0.02),
    "para 3": parametric(3, *SRGB_CURVE),
    "para 4": parametric(4, *SRGB_CURVE, 0.001, 0.001),
}


def with_curves(icc: bytes, *curves: bytes) -> bytes:
    """A profile with other curves for red, green and blue, put at its end."""
    changed = bytearray(icc)
    for letter, curve in zip("rgb", curves, strict=True):
        place = changed.index(f"{letter}TRC".encode(), 132)
        changed[place + 4 : place + 12] = struct.pack(">II", len(changed), len(curve))
        changed += curve + bytes(-len(curve) % 4)
    changed[:4] = struct.pack(">I", len(changed))
    return bytes(changed)


def read(icc: bytes) -> MatrixProfile:
    profile = MatrixProfile.read(icc)
    assert profile is not None
    return profile


def by_littlecms(samples: np.ndarray, source: bytes, target: bytes) -> np.ndarray:
    own, wanted = (ImageCms.ImageCmsProfile(io.BytesIO(icc)) for icc in (source, target))
    told = ImageCms.profileToProfile(
        Image.fromarray(samples), own, wanted, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    return np.asarray(told).astype(int)


def levels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("to_srgb", [True, False])
def test_every_curve_is_what_littlecms_makes_of_it(curve: str, to_srgb: bool) -> None:
    icc = with_curves(packed_profile(P3, SRGB_CURVE, "P3"), *[CURVES[curve]] * 3)
    source, target = (icc, SRGB) if to_srgb else (SRGB, icc)
    told = np.rint(read(source).converted_to(read(target), levels() / 255) * 255)
    apart = np.abs(told - by_littlecms(levels(), source, target))
    # In 8 bits LittleCMS keeps light in steps of 2**-14, which gammas make several levels near black.
    assert apart[told >= 16].max() <= 1 and apart.max() <= 4 and apart.mean() < 0.05
    back = read(target).converted_to(read(source), told / 255)
    inside = (told > 0).all(axis=-1) & (told < 255).all(axis=-1)
    assert inside.sum() > 500 and np.abs(back[inside] * 255 - levels()[inside]).mean() < 1


def test_channels_may_have_curves_of_their_own() -> None:
    icc = with_curves(packed_profile(P3, SRGB_CURVE, "P3"), CURVES["gamma"], CURVES["table"], CURVES["para 3"])
    told = np.rint(read(icc).converted_to(read(SRGB), levels() / 255) * 255)
    assert np.abs(told - by_littlecms(levels(), icc, SRGB)).max() <= 1


def test_profiles_packed_by_other_hands_are_read(matrix_profile: Profiles) -> None:
    for icc in (matrix_profile("p3"), matrix_profile("adobe")):
        told = np.rint(read(icc).converted_to(read(SRGB), levels() / 255) * 255)
        assert np.abs(told - by_littlecms(levels(), icc, SRGB)).max() <= 1


def test_what_is_packed_for_srgb_is_what_littlecms_has() -> None:
    own = ImageCms.ImageCmsProfile(io.BytesIO(SRGB)).profile
    theirs = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).profile
    for colour in ("red_colorant", "green_colorant", "blue_colorant"):
        np.testing.assert_allclose(getattr(own, colour)[0], getattr(theirs, colour)[0], atol=2 / 65536)
    assert np.abs(by_littlecms(levels(), SRGB, SRGB) - levels()).max() == 0


@pytest.mark.parametrize("primaries", [P3, WIDE])
def test_sixteen_bits_and_more_are_kept(primaries: tuple[float, ...]) -> None:
    """Beyond what LittleCMS gives Pillow: the formulas themselves, in this order."""
    red_green_blue = np.reshape(primaries, (4, 2))
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in red_green_blue]).T
    to_xyz = xyz[:, 1:] * np.linalg.solve(xyz[:, 1:], xyz[:, 0])
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    gain = (bradford @ [0.9642, 1, 0.8249]) / (bradford @ xyz[:, 0])
    to_xyz = np.linalg.inv(bradford) @ (gain[:, None] * bradford) @ to_xyz
    values = np.random.default_rng(1).random((1000, 3))
    own = read(packed_profile(primaries, (2.2, 1, 0, 0, 0), "own"))
    linear = read(packed_profile(WIDE, (1, 1, 0, 0, 0), "wide"))
    wide = read(packed_profile(WIDE, (1, 1, 0, 0, 0), "wide")).matrix
    expected = np.clip(values**2.2 @ (np.linalg.inv(wide) @ to_xyz).T, 0, 1)
    np.testing.assert_allclose(own.converted_to(linear, values), expected, atol=1e-4)
    assert np.abs(own.converted_to(own, values) - values).max() < 1e-4


def test_gray_stays_gray(matrix_profile: Profiles) -> None:
    ramp = np.repeat(np.linspace(0, 1, 256)[:, None], 3, axis=1)
    told = read(matrix_profile("gray")).converted_to(read(SRGB), ramp)
    np.testing.assert_allclose(told, told[:, :1].repeat(3, axis=1), atol=1e-4)
    light = ramp[:, 0] ** (563 / 256)
    np.testing.assert_allclose(told[64:, 0], 1.055 * light[64:] ** (1 / 2.4) - 0.055, atol=1e-4)


def test_what_is_no_such_profile_is_none(matrix_profile: Profiles, table_profile: Profiles) -> None:
    whole = matrix_profile("p3")
    assert MatrixProfile.read(table_profile("RGB")) is None
    assert MatrixProfile.read(whole.replace(b"rTRC", b"xTRC")) is None
    assert MatrixProfile.read(with_curves(whole, *[b"none" + bytes(8)] * 3)) is None
    assert MatrixProfile.read(whole.replace(b"gXYZ", b"xXYZ").replace(b"rXYZ", b"gXYZ")) is None
    flat = whole.replace(struct.pack(">3i", *GREEN), struct.pack(">3i", *RED))
    assert flat != whole and MatrixProfile.read(flat) is None, "no colour leads to it"
    for length in range(0, len(whole), 5):
        MatrixProfile.read(whole[:length])  # raises nothing


@pytest.mark.parametrize("bad", [(0.3127, 0, *P3[2:]), (*P3[:2], *P3[2:4] * 3), (*P3[:2], 9e9, 1e-9, *P3[4:])])
def test_primaries_that_make_no_colours_are_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        packed_profile(bad, SRGB_CURVE, "bad")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("curve", [parametric(0, -2), parametric(1, 99, 0, 0.1), parametric(4, -9, 0, 0, 9, 0, 9, 9)])
def test_curves_that_make_no_sense_are_clipped(curve: bytes) -> None:
    profile = read(with_curves(packed_profile(P3, SRGB_CURVE, "P3"), *[curve] * 3))
    for told in (profile.converted_to(read(SRGB), levels() / 255), read(SRGB).converted_to(profile, levels() / 255)):
        assert np.isfinite(told).all() and told.min() >= 0 and told.max() <= 1


def test_a_damaged_count_takes_no_memory() -> None:
    assert MatrixProfile.read(with_curves(SRGB, *[struct.pack(">4s4xIH", b"curv", 0xFFFFFFFF, 1)] * 3)) is None
