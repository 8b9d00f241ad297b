"""Gaussians that gsplat draws: what can be told without a GPU, with a slow rasteriser in its place."""

import builtins
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gainer_bench.baselines.flat_gaussians import FlatGaussians, FlatGaussiansConfig, camera, gsplat_rasteriser
from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane

PLANE = ImagePlane(24, 16)
without_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
kinds = pytest.mark.parametrize("flat", [True, False])


def rotations(quats: Tensor) -> Tensor:
    w, x, y, z = quats.unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


class SlowRasteriser:
    """Takes what ``gsplat.rasterization`` takes, and blends all Gaussians at all pixels."""

    def __init__(self) -> None:
        self.seen: dict[str, Tensor] = {}

    def __call__(
        self, means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor, viewmats: Tensor,
        Ks: Tensor, width: int, height: int, eps2d: float, camera_model: str,
    ) -> tuple[Tensor, Tensor, dict]:  # fmt: skip
        self.seen = {"means": means, "quats": quats, "scales": scales, "opacities": opacities, "colors": colors}
        view, intrinsics = viewmats[0], Ks[0]
        there = means @ view[:3, :3].T + view[:3, 3]
        assert (there[:, 2] > 0.01).all()
        spread = view[:3, :3] @ rotations(quats) @ torch.diag_embed(scales)
        depth = there[:, 2:] if camera_model == "pinhole" else torch.ones_like(there[:, 2:])
        focal = intrinsics[[0, 1], [0, 1]]
        places = there[:, :2] / depth * focal + intrinsics[:2, 2]
        on_screen = spread[:, :2] * focal[:, None] / depth[..., None]
        covariances = on_screen @ on_screen.mT + eps2d * torch.eye(2)
        index = torch.arange(width * height)
        pixels = torch.stack([index % width, index // width], dim=1) + 0.5
        offsets = pixels[:, None] - places
        squared = torch.einsum("mni,nij,mnj->mn", offsets, torch.linalg.inv(covariances), offsets)
        order = there[:, 2].argsort(stable=True)
        alpha = (opacities * torch.exp(-0.5 * squared)).clamp(max=0.999)[:, order]
        through = torch.cumprod(torch.nn.functional.pad(1 - alpha[:, :-1], (1, 0), value=1.0), dim=1)
        picture = (through * alpha) @ colors[order]
        return picture.view(1, height, width, 3), through, {}


def build(**settings: object) -> tuple[FlatGaussians, SlowRasteriser]:
    rasteriser = SlowRasteriser()
    config = FlatGaussiansConfig(**settings)  # type: ignore[arg-type]
    return FlatGaussians(config, PLANE, seed=5, rasterise=rasteriser), rasteriser


def target() -> Tensor:
    """A picture whose left top is red, right top green, and bottom blue."""
    picture = torch.zeros(16, 24, 3)
    picture[:8, :12, 0], picture[:8, 12:, 1], picture[8:, :, 2] = 0.9, 0.8, 0.7
    return picture + 0.05


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
def test_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so in one line, and gsplat, which might compile for minutes, stays unimported."""
    real: Callable = builtins.__import__

    def careful(name: str, *rest: object, **more: object) -> object:
        assert not name.startswith("gsplat"), "it imports gsplat"
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", careful)
    with pytest.raises(GainerError, match=r"NVIDIA GPU; fit gaussian-image instead") as failure:
        FlatGaussiansConfig().setup(plane=PLANE, seed=0)
    assert "\n" not in str(failure.value)


def test_needs_gsplat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "gsplat", None)
    with pytest.raises(GainerError, match=r"pip install gsplat"):
        gsplat_rasteriser()


def test_import_is_light() -> None:
    code = "import sys, gainer_bench.baselines.flat_gaussians; sys.exit('gsplat' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@kinds
def test_sizes(flat: bool) -> None:
    function, rasteriser = build(flat=flat, num_gaussians=50)
    groups = function.param_groups()
    assert set(groups) == {"means", "covariances", "opacities", "colours"}
    grouped = [parameter for group in groups.values() for parameter in group]
    assert {id(value) for value in grouped} == {id(value) for value in function.parameters()}
    function.draw()
    shapes = {name: tuple(value.shape) for name, value in rasteriser.seen.items()}
    expected = {"means": (50, 3), "quats": (50, 4), "scales": (50, 3), "opacities": (50,), "colors": (50, 3)}
    assert shapes == expected
    assert len(build()[0].places) == round(0.18 * 24 * 16)
    torch.testing.assert_close(rasteriser.seen["quats"].norm(dim=1), torch.ones(50))
    torch.testing.assert_close(rasteriser.seen["opacities"], torch.full((50,), 0.5))


def test_flat_ones_stay_in_the_plane() -> None:
    function, rasteriser = build(flat=True)
    function.draw()
    seen = rasteriser.seen
    assert not seen["means"][:, 2].any() and (seen["scales"][:, 2] < 1e-5).all()
    third_axes = rotations(seen["quats"])[:, :, 2]
    torch.testing.assert_close(third_axes, torch.tensor([0.0, 0, 1]).expand_as(third_axes))
    assert rotations(seen["quats"])[:, 0, 0].std() > 0.3  # they are turned within the plane


def test_free_ones_start_round_and_in_space() -> None:
    function, rasteriser = build(flat=False)
    function.draw()
    scales = rasteriser.seen["scales"]
    assert torch.equal(scales, scales[:1, :1].expand_as(scales))
    assert 0.001 < float(rasteriser.seen["means"][:, 2].detach().std()) < 0.05


@pytest.mark.parametrize("size", [(24, 16), (16, 24), (7, 7)])
@pytest.mark.parametrize("orthographic", [True, False])
def test_camera_sees_pixels(size: tuple[int, int], orthographic: bool) -> None:
    """Points of the plane are seen at their pixel coordinates."""
    plane = ImagePlane(*size)
    view, intrinsics = camera(plane, orthographic=orthographic)
    pixels = torch.rand(40, 2) * torch.tensor(size)
    points = torch.nn.functional.pad(plane.plane_from_pixel(pixels), (0, 1))
    there = points @ view[:3, :3].T + view[:3, 3]
    assert torch.linalg.det(view[:3, :3]) == 1 and (there[:, 2] > 0).all()
    seen = there if orthographic else there / there[:, 2:]
    seen = torch.cat([seen[:, :2], torch.ones(40, 1)], dim=1) @ intrinsics.T
    torch.testing.assert_close(seen[:, :2], pixels, atol=1e-4, rtol=0)


@kinds
def test_begins_with_the_colours_of_the_picture(flat: bool) -> None:
    function, _ = build(flat=flat, num_gaussians=200)
    shapes = [value.shape for value in function.parameters()]
    function.begin(target())
    assert [value.shape for value in function.parameters()] == shapes
    drawn = function.draw()
    for place, channel in (((3, 3), 0), ((3, 20), 1), ((13, 12), 2)):
        assert int(drawn[place].argmax()) == channel


def test_other_points_lie_between_pixels() -> None:
    function, _ = build(flat=True)
    function.begin(target())
    pixels = PLANE.pixel_centres(torch.arange(PLANE.pixels))
    whole = function(pixels)
    assert torch.equal(whole, function.draw().reshape(-1, 3))
    torch.testing.assert_close(function(pixels[5:300]), whole[5:300], atol=1e-5, rtol=0)
    between = function(0.5 * (pixels[30:31] + pixels[31:32]))
    torch.testing.assert_close(between[0], 0.5 * (whole[30] + whole[31]), atol=1e-5, rtol=0)
    below = function(0.5 * (pixels[30:31] + pixels[54:55]))
    torch.testing.assert_close(below[0], 0.5 * (whole[30] + whole[54]), atol=1e-5, rtol=0)


@kinds
def test_fit(flat: bool) -> None:
    function, _ = build(flat=flat)
    function.begin(target())
    pixels, wanted = PLANE.pixel_centres(torch.arange(PLANE.pixels)), target().reshape(-1, 3)
    first = float((function(pixels) - wanted).detach().square().mean())
    adam = torch.optim.Adam(function.parameters(), lr=0.01)
    for _ in range(40):
        adam.zero_grad()
        (function(pixels) - wanted).square().mean().backward()
        adam.step()
    assert all(value.grad is not None and value.grad.any() for value in function.parameters())
    assert float((function(pixels) - wanted).detach().square().mean()) < 0.3 * first


@kinds
def test_seeds_and_checkpoint(flat: bool, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    function, again = build(flat=flat)[0], build(flat=flat)[0]
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one, two) for one, two in zip(function.parameters(), again.parameters(), strict=True))
    function.begin(target())
    torch.save(function.state_dict(), tmp_path / "state.pt")
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(again.draw(), function.draw()) and not torch.equal(build(flat=flat)[0].draw(), function.draw())


@without_gpu
@kinds
@pytest.mark.parametrize("orthographic", [True, False])
def test_cuda(flat: bool, orthographic: bool) -> None:
    """Gsplat draws what the slow rasteriser does."""
    pytest.importorskip("gsplat")
    slow, _ = build(flat=flat, orthographic=orthographic)
    slow.begin(target())
    fast = FlatGaussians(slow.config, PLANE, seed=5)
    fast.load_state_dict(slow.state_dict())
    # gsplat leaves out what is fainter than 1/255, and clamps alpha
    torch.testing.assert_close(fast.cuda().draw().cpu(), slow.draw(), atol=0.02, rtol=0)
