"""Sums of Gaussians against plain torch in float64, and the baseline that is made of them."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gainer_bench.baselines.gaussian_image import GaussianImage, GaussianImageConfig
from gainer_bench.baselines.gaussian_image_kernels import CUT
from gainer_bench.baselines.gaussian_sums import sum_at_pixels, sum_at_points, sum_densely
from gainer_ns.frames import ImagePlane

without_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
on_devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=without_gpu)])
SIZES = [(50, 37), (7, 90), (1, 1), (33, 1)]


def pixel_places(width: int, height: int) -> Tensor:
    index = torch.arange(width * height)
    return torch.stack([index % width, index // width], dim=1) + 0.5


def off_the_grid(width: int, height: int) -> Tensor:
    """Points within and around the picture, and far from it."""
    points = (torch.rand(400, 2) * 1.6 - 0.3) * torch.tensor([width, height])
    points[0], points[1] = torch.tensor([-500.0, 3.0]), torch.tensor([4.0, 900.0])
    return points


def gaussians(width: int, height: int, count: int = 120) -> list[Tensor]:
    """Gaussians in and around a picture: usual ones, and tiny, huge, elongated and mirrored ones."""
    means = (torch.rand(count, 2) * 1.4 - 0.2) * torch.tensor([width, height])
    factors = torch.stack([torch.rand(count) + 0.5, torch.randn(count), torch.rand(count) + 0.5], dim=1)
    factors[:10] *= 0.1
    factors[10:20] *= 30
    factors[20:40] *= torch.tensor([8.0, 20.0, 0.3])
    factors[40:50] *= torch.tensor([0.3, 1.0, 9.0])
    factors[50:60, 0] *= -1
    factors[60:70, 2] *= -1
    return [means, factors, torch.randn(count, 3)]


def away_from_the_cut(places: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """Places that no Gaussian is cut off at: there float32 and float64 may choose differently."""
    offsets = places.double()[:, None] - means.double()
    first = offsets[..., 0] / factors[:, 0].double()
    second = (offsets[..., 1] - factors[:, 1] * first) / factors[:, 2]
    return ((first**2 + second**2 - CUT).abs() > 1e-2).all(dim=1)


@on_devices
@pytest.mark.parametrize("way", ["pixels", "points at pixels", "points"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_values_and_gradients(width: int, height: int, way: str, device: str) -> None:
    places = off_the_grid(width, height) if way == "points" else pixel_places(width, height)
    values = gaussians(width, height)
    kept = away_from_the_cut(places, values[0], values[1])
    assert kept.float().mean() > 0.8 or len(kept) == 1
    reference = [value.double().requires_grad_() for value in values]
    expected = sum_densely(*reference, places.double()) * kept[:, None]
    inputs = [value.to(device).requires_grad_() for value in values]
    points = places.to(device)
    found = sum_at_pixels(*inputs, width, height) if way == "pixels" else sum_at_points(*inputs, points)
    found = found.cpu() * kept[:, None]
    assert (expected.abs() > 0.1).any()
    torch.testing.assert_close(found.double(), expected, atol=5e-5, rtol=1e-5)
    if way != "pixels":
        assert not found.requires_grad
        return
    pull = torch.randn(len(places), 3)
    (found * pull).sum().backward()
    (expected * pull).sum().backward()
    for one, other in zip(inputs, reference, strict=True):
        assert one.grad is not None and other.grad is not None
        torch.testing.assert_close(
            one.grad.cpu().double(), other.grad, atol=3e-5 * float(other.grad.abs().max()), rtol=1e-4
        )


def test_reference() -> None:
    """The reference is right: by finite differences, and by the formula with inverse covariances."""
    means, factors, colours = (value.double().requires_grad_() for value in gaussians(6, 5, 72)[:3])
    places = off_the_grid(6, 5)[:30].double()
    kept = places[away_from_the_cut(places, means.detach(), factors.detach())]
    assert torch.autograd.gradcheck(lambda *values: sum_densely(*values, kept), (means, factors, colours))
    lower = torch.zeros(len(factors), 2, 2, dtype=torch.float64)
    lower[:, 0, 0], lower[:, 1, 0], lower[:, 1, 1] = factors.detach().unbind(-1)
    offsets = kept[:, None] - means.detach()
    squared = torch.einsum("mni,nij,mnj->mn", offsets, torch.linalg.inv(lower @ lower.mT), offsets)
    expected = (torch.exp(-0.5 * squared) * (squared <= CUT)) @ colours.detach()
    torch.testing.assert_close(sum_densely(means, factors, colours, kept).detach(), expected)


def test_long_rows() -> None:
    """Weights follow from one another along a row: errors do not add up over a thousand pixels."""
    values = [torch.tensor([[400.3, 0.4]]), torch.tensor([[290.0, 0.1, 0.6]]), torch.ones(1, 3)]
    found, expected = sum_at_pixels(*values, 1000, 1), sum_densely(*values, pixel_places(1000, 1))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("wrong", ["nan", "infinite", "flat", "far"])
@pytest.mark.parametrize("way", ["pixels", "points"])
def test_what_cannot_be_drawn(wrong: str, way: str) -> None:
    """Gaussians that are no Gaussians add nothing, and get gradients of 0."""
    values = gaussians(20, 10, 72)
    clean = [value[1:] for value in values]
    values[0][0] = torch.tensor([10.0, 5.0])
    if wrong == "nan":
        values[1][0, 1] = math.nan
    elif wrong == "infinite":
        values[1][0, 0] = math.inf
    elif wrong == "flat":
        values[1][0] = torch.tensor([3.0, 1.0, 0.0])
    else:
        values[0][0, 0] = 1e30
    inputs = [value.requires_grad_() for value in values]
    if way == "pixels":
        found, expected = sum_at_pixels(*inputs, 20, 10), sum_at_pixels(*clean, 20, 10)
    else:
        places = pixel_places(20, 10)
        found, expected = sum_at_points(*inputs, places), sum_at_points(*clean, places)
    assert torch.equal(found, expected)
    if way != "pixels":
        return
    found.sum().backward()
    assert all(value.grad is not None and not value.grad[0].any() and value.grad[1:].any() for value in inputs)


def test_threads_change_no_bit() -> None:
    values = gaussians(160, 120, 9000)
    pull = torch.randn(160 * 120, 3)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            inputs = [value.clone().requires_grad_() for value in values]
            drawn = sum_at_pixels(*inputs, 160, 120)
            drawn.backward(pull)
            results.append([drawn.detach(), *(value.grad for value in inputs)])
        finally:
            torch.set_num_threads(1)
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def read(path: Path) -> Tensor:
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).float() / 255


def build(picture: Tensor, **settings: object) -> GaussianImage:
    plane = ImagePlane(picture.shape[1], picture.shape[0])
    return GaussianImage(GaussianImageConfig(**settings), plane, seed=3)  # type: ignore[arg-type]


def fitted(picture: Tensor, steps: int, **settings: object) -> tuple[GaussianImage, float]:
    """A fit of so many steps, and its PSNR in dB."""
    function = build(picture, **settings)
    function.begin(picture)
    points, target = function.plane.pixel_centres(torch.arange(function.plane.pixels)), picture.reshape(-1, 3)
    rates = {"means": 0.1, "covariances": 0.05, "colours": 0.02}
    groups = [{"params": group, "lr": rates[name]} for name, group in function.param_groups().items()]
    adam = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15)
    for _ in range(steps):
        adam.zero_grad()
        (function(points) - target).square().mean().backward()
        adam.step()
    with torch.no_grad():
        return function, -10 * math.log10(float((function(points).clamp(0, 1) - target).square().mean()))


def test_size_and_start(photo: Path) -> None:
    picture = read(photo)
    function = build(picture)
    assert sum(value.numel() for value in function.parameters()) == 8 * round(0.18 * 96 * 64)
    assert sum(len(group) for group in function.param_groups().values()) == 3
    assert len(build(picture, num_gaussians=77).places) == 77
    smallest = build(picture[:1, :1])
    smallest.begin(picture[:1, :1])
    assert len(smallest.places) == 1 and all(value.isfinite().all() for value in smallest.parameters())
    # As published: positions over the whole picture, factors from (1/2, 0, 1/2) to (3/2, 1, 3/2).
    low, high = function.places.amin(dim=0), function.places.amax(dim=0)
    assert (low >= 0).all() and (low < 3).all() and (high > torch.tensor([93, 61])).all()
    assert function.factors.amin(dim=0).tolist() == pytest.approx([0.5, 0, 0.5], abs=0.02)
    assert function.factors.amax(dim=0).tolist() == pytest.approx([1.5, 1, 1.5], abs=0.02)
    before = [value.clone() for value in function.parameters()]
    published = build(picture, start="published")
    published.begin(picture)
    assert all(torch.equal(one, two) for one, two in zip(before, published.parameters(), strict=True))
    function.begin(picture)
    assert [value.shape for value in function.parameters()] == [value.shape for value in before]


def test_more_gaussians_where_there_is_detail() -> None:
    picture = torch.full((40, 60, 3), 0.5)
    picture[:, 30:] = torch.rand(40, 30, 3)
    function = build(picture)
    function.begin(picture)
    busy = function.places[:, 0] > 30
    assert 0.75 < float(busy.float().mean()) < 0.95  # 0.3 are spread evenly
    assert function.factors[busy, 0].median() < 0.6 * function.factors[~busy, 0].median()


def test_solved_colours_beat_all_others(photo: Path) -> None:
    """Conjugate gradients reach what plain least squares does."""
    picture = read(photo)[:20, :24]
    function = build(picture, solver_steps=400, num_gaussians=40)
    function.begin(picture)
    places = pixel_places(24, 20)
    ones = torch.eye(40)
    columns = [
        sum_densely(function.places, function.factors, part, places)
        for part in torch.nn.functional.pad(ones, (0, 2)).split(3, dim=1)
    ]
    system = torch.cat(columns, dim=1)[:, :40].detach().double()
    best = torch.linalg.lstsq(system, picture.reshape(-1, 3).double()).solution
    least = (system @ best - picture.reshape(-1, 3)).square().mean()
    found = (system @ function.colours.detach().double() - picture.reshape(-1, 3)).square().mean()
    assert float(found) < 1.001 * float(least)


def test_fit(photo: Path) -> None:
    picture = read(photo)
    _, start = fitted(picture, 0)
    _, after = fitted(picture, 150)
    _, published = fitted(picture, 150, start="published")
    assert start > 14 and published > 31 and after > 36


def test_same_seed_same_bits(photo: Path) -> None:
    picture = read(photo)[:32, :40]
    state = torch.get_rng_state()
    first, again = (fitted(picture, 8)[0] for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one, two) for one, two in zip(first.parameters(), again.parameters(), strict=True))
    other = GaussianImage(GaussianImageConfig(), first.plane, seed=4)
    assert not torch.equal(other.places, build(picture).places)


def test_checkpoint(photo: Path, tmp_path: Path) -> None:
    picture = read(photo)[:32, :40]
    function, _ = fitted(picture, 8)
    torch.save(function.state_dict(), tmp_path / "state.pt")
    loaded = build(picture)
    loaded.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert set(loaded.state_dict()) == {"places", "factors", "colours"}
    points = torch.rand(50, 2) - 0.5
    assert torch.equal(loaded(points), function(points)) and function(points).any()


@pytest.mark.parametrize("size", [(24, 16), (9, 31), (1, 1)])
def test_both_ways_of_drawing_agree(size: tuple[int, int]) -> None:
    """All pixel centres at once, and the same points one after the other."""
    function = build(torch.rand(size[1], size[0], 3), num_gaussians=60)
    points = function.plane.pixel_centres(torch.arange(function.plane.pixels))
    if len(points) > 1:
        torch.testing.assert_close(function(points), torch.cat([function(points[:1]), function(points[1:])]))
    backwards = function(points.flip(0)).flip(0)
    torch.testing.assert_close(function(points), backwards)
    assert function(points[:0]).shape == (0, 3)


def test_some_pixels_have_the_gradients_of_the_whole_picture() -> None:
    """As of a picture with holes, of which only what shows is fitted."""
    function = build(torch.rand(16, 24, 3), num_gaussians=60)
    points = function.plane.pixel_centres(torch.arange(function.plane.pixels))
    shown = torch.arange(0, len(points), 3)
    wanted = torch.autograd.grad(function(points)[shown].square().sum(), list(function.parameters()))
    found = torch.autograd.grad(function(points[shown]).square().sum(), list(function.parameters()))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_plane_units() -> None:
    """The formula with means and covariances in plane units gives the colours."""
    function = build(torch.rand(32, 40, 3))
    points = torch.rand(60, 2) * torch.tensor([1.0, 0.8]) - torch.tensor([0.5, 0.4])
    offsets = points[:, None].double() - function.means.double()
    squared = torch.einsum("mni,nij,mnj->mn", offsets, torch.linalg.inv(function.covariances.double()), offsets)
    expected = (torch.exp(-0.5 * squared) * (squared <= CUT)) @ function.colours.detach().double()
    clear = ((squared - CUT).abs() > 1e-2).all(dim=1)
    assert int(clear.sum()) > 20
    torch.testing.assert_close(function(points).detach().double()[clear], expected[clear], rtol=0, atol=1e-4)


def test_move() -> None:
    """Means and covariances turned by a right angle turn the picture."""
    function = build(torch.rand(40, 40, 3))
    points = function.plane.pixel_centres(torch.arange(1600))
    clear = away_from_the_cut(pixel_places(40, 40), function.places.detach(), function.factors.detach()).view(40, 40)
    assert int(clear.sum()) > 800
    before = function(points).detach().view(40, 40, 3)
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    function.move(function.means @ turn.T, turn @ function.covariances @ turn.T)
    after = function(points).detach().view(40, 40, 3)
    error = (after - torch.rot90(before))[torch.rot90(clear)].abs()
    # Moving adds 1e-6 of a covariance's trace (1.5 at most) to its axes (0.04 at least): 1.5e-5 of a weight at most.
    assert float(error.max()) < 1e-4 * float(before.max())
    assert (after - before).abs().mean() > 0.05


def test_lines_and_points_are_moved_too() -> None:
    """A fit makes some Gaussians so thin that rounding leaves their covariance with no second axis, or none at all."""
    function = GaussianImage(GaussianImageConfig(num_gaussians=3), ImagePlane(20, 10))
    function.factors.data = torch.tensor([[1.0, 0.7, 1e-6], [0.0, 0.0, 0.0], [1.0, 0.3, 2.0]])
    function.move(function.means + 0.1, function.covariances)
    assert bool(function.factors.isfinite().all())
    kept = torch.tensor([1.0, 0.3, 2.0])
    torch.testing.assert_close(function.factors[2].detach().abs(), kept, rtol=1e-3, atol=1e-3)
