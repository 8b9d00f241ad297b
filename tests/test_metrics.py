"""Numbers between pictures, against values worked out by hand."""

import math
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gainer_ns import metrics
from gainer_ns.errors import GainerError
from gainer_ns.metrics import compare, exact_share, lpips, ms_ssim, ms_ssim_window, psnr, psnr_8bit


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A random picture of 8-bit values."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)) / 255


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to open a connection fails the test."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch hub cache."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    return tmp_path


@given(st.floats(1e-6, 0.5))
def test_psnr_of_a_constant_error_is_its_level(error: float) -> None:
    a = np.full((4, 5, 3), 0.25)
    assert psnr(a, a + error) == pytest.approx(-20 * math.log10(error), abs=1e-6)
    assert psnr(a + error, a) == psnr(a, a + error)


def test_psnr_by_hand() -> None:
    a, b = np.zeros((2, 2, 3)), np.zeros((2, 2, 3))
    b[0, 0, 0] = 0.3  # mse 0.09 / 12 = 0.0075
    assert psnr(a, b) == pytest.approx(21.2493874, abs=1e-6)
    assert psnr(a, a) == math.inf
    assert math.isnan(psnr(a, np.full_like(a, np.nan)))


def test_psnr_keeps_its_digits_in_float32() -> None:
    a = torch.full((300, 300, 3), 0.5)
    b = a.clone()
    b[0, 0, 0] += 2.0**-20  # one sample in 270,000
    assert psnr(a, b) == pytest.approx(20 * math.log10(2**20) + 10 * math.log10(270_000), abs=1e-6)


def test_arrays_tensors_precisions_and_strides_agree() -> None:
    a, b = noise(6, 8), noise(6, 8, seed=1)
    expected = psnr(a, b)
    assert psnr(torch.from_numpy(a).requires_grad_(), b) == expected
    assert psnr(a[::-1, ::-1], np.rot90(b, 2)) == pytest.approx(expected, abs=1e-9)
    assert psnr(a.astype(np.float32), b.astype(np.float32)) == pytest.approx(expected, abs=1e-5)
    assert psnr(torch.zeros(4, 3).bfloat16(), torch.full((4, 3), 0.5)) == pytest.approx(6.0206, abs=1e-4)


def test_8bit_rounds_and_clamps() -> None:
    a = noise(8, 8)
    assert psnr_8bit(a, a + 0.49 / 255) == math.inf
    assert psnr_8bit(np.ones((2, 2, 3)), np.full((2, 2, 3), 1.7)) == math.inf
    half = np.full((2, 2, 3), 100 / 255)
    assert psnr_8bit(half, half + 0.51 / 255) == pytest.approx(20 * math.log10(255), abs=1e-9)
    assert math.isnan(psnr_8bit(half, half * np.nan))


def test_exact_share_counts_pixels_not_samples() -> None:
    a = noise(4, 5).clip(0, 0.9)
    b = a.copy()
    b[0, 0, 1] += 1 / 255
    b[2, 3] += 1 / 255
    assert exact_share(a, b) == pytest.approx(18 / 20)
    assert exact_share(a, a + 0.3 / 255) == 1.0
    assert exact_share(a, a + 0.3 / 255, max_value=65535) == 0.0
    assert exact_share(a, a * np.nan) == 0.0


def test_mask_leaves_pixels_out() -> None:
    a = noise(4, 5).clip(0, 0.7)
    b = a.copy()
    b[:2] += 0.2
    b[2:] += 0.1
    top = np.arange(4)[:, None].repeat(5, axis=1) < 2
    assert psnr(a, b, mask=top) == pytest.approx(13.9794, abs=1e-4)
    assert psnr(a, b, mask=torch.from_numpy(~top)) == pytest.approx(20.0, abs=1e-9)
    assert exact_share(a, np.where(top[..., None], b, a), mask=~top) == 1.0
    assert psnr_8bit(a, np.where(top[..., None], a, b), mask=top) == math.inf


def test_window_of_ms_ssim_follows_the_shorter_side() -> None:
    sides = [512, 161, 160, 129, 128, 97, 96, 65, 64, 33, 32, 1]
    assert [ms_ssim_window(side, 600) for side in sides] == [11, 11, 9, 9, 7, 7, 5, 5, 3, 3, None, None]
    assert ms_ssim_window(600, 100) == 7


@pytest.mark.parametrize("side", [33, 65, 97, 129, 161])
def test_ms_ssim_is_one_when_equal_and_falls_with_noise(side: int) -> None:
    a = noise(side, side + 3)
    grain = np.random.default_rng(2).normal(size=a.shape)
    equal, a_little, a_lot = (ms_ssim(a, a + level * grain) for level in (0.0, 0.05, 0.3))
    assert equal == 1.0
    assert a_little is not None and a_lot is not None
    assert 1 > a_little > 0.95 > a_lot > 0.3


def test_ms_ssim_of_two_flat_pictures_is_the_luminance_term() -> None:
    a, b = np.full((176, 176, 3), 0.4), np.full((176, 176, 3), 0.6)  # even: odd sides are padded
    luminance = (2 * 0.4 * 0.6 + 1e-4) / (0.4**2 + 0.6**2 + 1e-4)
    assert ms_ssim(a, b) == pytest.approx(luminance**0.1333, abs=1e-9)
    assert ms_ssim(a[:32], b[:32]) is None


@pytest.mark.parametrize("side", [161, 100])
def test_ms_ssim_is_that_of_the_library(side: int) -> None:
    from pytorch_msssim import ms_ssim as library

    a, b = noise(side, side), noise(side, side, seed=1) * 0.3 + 0.7 * noise(side, side)
    pair = [torch.from_numpy(picture).permute(2, 0, 1)[None] for picture in (a, b)]
    window = {161: 11, 100: 7}[side]
    expected = library(*pair, data_range=1.0, win_size=window, win_sigma=1.5 * window / 11).item()
    assert 0.8 < expected < 0.999
    assert ms_ssim(a, b) == pytest.approx(expected, abs=1e-5)


def test_lpips_is_none_without_weights(hub: Path, no_network: None) -> None:
    assert lpips(noise(64, 64), noise(64, 64, seed=1)) is None
    assert not list(hub.rglob("*.pth"))


def test_lpips_uses_weights_that_are_there(hub: Path, no_network: None) -> None:
    from torchvision.models import alexnet

    torch.manual_seed(0)
    # LPIPS reads the features only: the classifier's 59 million numbers become one repeated zero, which stores small.
    state = {k: v if "features" in k else torch.zeros(()).expand(v.shape) for k, v in alexnet().state_dict().items()}
    metrics.lpips_weights().parent.mkdir(parents=True)
    torch.save(state, metrics.lpips_weights())
    a, b = noise(64, 64), noise(64, 64, seed=1)
    distance, overshot = lpips(a, b), lpips(a, b + (b == 1))
    assert lpips(a, a) == 0.0
    assert distance is not None and distance > 0
    assert overshot == pytest.approx(distance)  # clamped
    assert lpips(a, b) == pytest.approx(distance)  # nothing is carried over from call to call
    assert lpips(a[:30], b[:30]) is None
    assert lpips(a[:31], b[:31]) is not None


def test_lpips_names_a_damaged_file(hub: Path, no_network: None) -> None:
    metrics.lpips_weights().parent.mkdir(parents=True)
    metrics.lpips_weights().write_bytes(b"half a download")
    with pytest.raises(GainerError, match="alexnet-owt"):
        lpips(noise(64, 64), noise(64, 64))


def test_compare_clamps_and_fills_every_number(hub: Path, no_network: None) -> None:
    target = noise(40, 50)
    found = compare(target + np.where(target == 1, 0.5, 0), target)
    assert found == (math.inf, math.inf, 1.0, 1.0, None)
    off = compare(torch.from_numpy(target).float(), (target - 2 / 255).clip(0, 1))
    assert 42 < off.psnr < 42.3
    assert off.psnr_8bit == pytest.approx(off.psnr, abs=1e-4)
    assert off.exact_share == pytest.approx((target == 0).all(-1).mean())


def test_compare_with_a_mask_leaves_window_measures_out(no_network: None) -> None:
    target = noise(40, 50)
    keep = np.zeros((40, 50), bool)
    keep[10:20, 10:30] = True
    found = compare(np.where(keep[..., None], target, 0.0), target, keep)
    assert found == (math.inf, math.inf, 1.0, None, None)


def test_compare_takes_alpha(no_network: None) -> None:
    rgba = np.concatenate([noise(40, 40), np.ones((40, 40, 1))], axis=-1)
    assert compare(rgba, rgba) == (math.inf, math.inf, 1.0, 1.0, None)


@pytest.mark.parametrize(
    ("a", "b", "mask"),
    [
        (np.zeros((4, 5, 3)), np.zeros((5, 4, 3)), None),
        (np.zeros((4, 5, 3)), np.zeros((4, 5, 1)), None),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5, 3), np.uint8), None),
        (np.zeros((4, 5, 3)), np.zeros((4, 5, 3)), np.zeros((4, 5), bool)),
        (np.zeros((4, 5, 3)), np.zeros((4, 5, 3)), np.ones((5, 4), bool)),
        (np.zeros((4, 5, 3)), np.zeros((4, 5, 3)), np.ones((4, 5))),
        (np.zeros((0, 5, 3)), np.zeros((0, 5, 3)), None),
    ],
    ids=["sizes", "channels", "integers", "empty mask", "mask size", "mask type", "empty picture"],
)
def test_what_cannot_be_compared_is_refused(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None) -> None:
    for measure in (psnr, psnr_8bit, exact_share):
        with pytest.raises((GainerError, TypeError)):  # a TypeError where jaxtyping's checks are on
            measure(a, b, mask=mask)
