"""The closed form: exact on the pixels, whatever shows, and as good between them as the steps that it replaces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gainer_ns import memory
from gainer_ns.errors import GainerError
from gainer_ns.fitting.lattice_fit import LatticeFit
from gainer_ns.fitting.picture_fit import PictureFit
from gainer_ns.fitting.trainer import fit_layer
from gainer_ns.frames import ImagePlane
from gainer_ns.recipes import RECIPES
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.spline import CubicSpline

RECIPE, ADAM = RECIPES["gainer"]


def smooth(height: int, width: int, seed: int = 0) -> torch.Tensor:
    noise = torch.rand(1, 3, height // 3 + 2, width // 3 + 2, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, (height, width), mode="bicubic")[0].clamp(0, 1).permute(1, 2, 0)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([8, 16]), st.integers(0, 2**31))
def test_every_value_is_exact(height: int, width: int, bits: int, seed: int) -> None:
    if height * width == 1:
        return
    top = 2**bits - 1
    random = torch.Generator().manual_seed(seed)
    levels = torch.randint(0, top + 1, (height, width, 3), generator=random)
    shows = torch.rand(height, width, generator=random) < 0.7
    alpha = torch.randint(0, top + 1, (height, width), generator=random) * shows
    alpha[0, 0] = top
    opacity = alpha / top
    layer, fit = fit_layer((levels / top).float(), opacity.float(), RECIPE, ADAM, bit_depth=bits)
    assert isinstance(fit, LatticeFit) and fit.exact and fit.step == 0
    rgb, drawn = BakedPicture(ImagePlane(width, height), (layer,), bits).raster()
    shows = alpha > 0
    assert torch.equal((rgb.clamp(0, 1) * top).round()[shows].long(), levels[shows])
    assert torch.equal((drawn[..., 0] * top).round().long(), alpha)


def test_it_reads_between_the_pixels_as_a_spline_does() -> None:
    colours = smooth(48, 64)
    layer, _ = fit_layer(colours, None, RECIPE, ADAM)
    stepwise, by_steps = fit_layer(colours, None, replace(RECIPE, hidden_layers=2, feature_dim=8), ADAM)
    assert isinstance(by_steps, PictureFit)
    x, y = np.meshgrid(np.arange(8, 56) + 0.1, np.arange(8, 40) + 0.3)
    points = np.stack([x, y], axis=-1).reshape(-1, 2)
    wanted = CubicSpline(colours.numpy()).at(points)
    plane = ImagePlane(64, 48)

    def error(one: object) -> float:
        picture = BakedPicture(plane, (one,))  # type: ignore[arg-type]
        drawn = picture.at(plane.plane_from_pixel(torch.from_numpy(points)).float())
        return float(np.abs(drawn.rgb.numpy() - wanted).mean())

    assert error(layer) < 2e-3 and error(layer) < 1.2 * error(stepwise)


@pytest.mark.parametrize(
    "option",
    [
        {"gaussians_per_pixel": 2.0},
        {"gaussians_per_pixel": 0.5},
        {"jitter": 0.1},
        {"placement": "uniform"},
        {"hidden_layers": 1},
        {"feature_dim": 2},
        {"adam_steps": 3},
        {"encoding": replace(RECIPE.encoding, sigma=1.5)},
        {"encoding": replace(RECIPE.encoding, num_neighbours=16)},
        {"encoding": replace(RECIPE.encoding, covariances="full")},
    ],
)
def test_other_recipes_take_steps(option: dict[str, object]) -> None:
    assert RECIPE.has_closed_form(100)
    assert not replace(RECIPE, **option).has_closed_form(100)


def test_a_tall_picture_tells_how_far_it_is() -> None:
    shown = torch.rand(300, 20).round()
    for opacity in (None, shown, 0.5 * shown):
        shares: list[float] = []
        fit_layer(smooth(300, 20), opacity, RECIPE, ADAM, progress=shares.append)
        assert len(shares) > 3 and shares == sorted(shares) and 0 < shares[0] < 0.5 and shares[-1] == 1


def test_memory_is_asked_for_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    free = 1 << 20
    monkeypatch.setattr(memory, "free_memory", lambda root=None: free)
    with pytest.raises(
        GainerError, match=r"^fitting 0\.1 megapixels takes about 3\.4 MiB of memory, 1\.0 MiB are free; "
    ):
        fit_layer(torch.rand(250, 400, 3), None, RECIPE, ADAM)
    free = 10 << 20
    with pytest.raises(GainerError, match=r"^fitting 0\.1 megapixels takes about 19\.1 MiB of memory, 10\.0 MiB are"):
        fit_layer(torch.rand(250, 400, 3), torch.rand(250, 400), RECIPE, ADAM)
    fit_layer(torch.rand(250, 400, 3), None, RECIPE, ADAM)


def test_a_step_of_nerfstudios_loop_sees_what_was_fitted() -> None:
    """Of pictures beyond a megapixel it sees the topmost rows."""
    for height, width, opacity in ((90, 60, None), (1100, 1000, None), (90, 60, (torch.rand(90, 60) < 0.7).float())):
        colours = smooth(height, width)
        _, fit = fit_layer(colours, opacity, RECIPE, ADAM)
        seen = fit.outputs()
        assert len(seen["rgb"]) == len(seen["target"]) > 0.6 * min(height * width, 1 << 20)
        assert float((seen["rgb"] - seen["target"]).abs().max()) < 1e-3
        shown = colours.view(-1, 3) if opacity is None else colours[opacity > 0]
        assert torch.equal(seen["target"], shown[: len(seen["target"])])
