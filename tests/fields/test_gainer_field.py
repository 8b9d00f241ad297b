"""What points in space read of discs: colour, density, and the surface between."""

from typing import Any

import pytest
import torch
from nerfstudio.cameras.rays import Frustums, RaySamples
from nerfstudio.field_components.field_heads import FieldHeadNames
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fields.gainer_field import RGBA_CHANNELS, SHELL_THICKNESSES, SOLID_TRANSMITTANCE, GainerField
from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic

PIXEL, THICKNESS = 0.1, 0.025
SIDE = 14
DECODER = Decoder(8, RGBA_CHANNELS, hidden_layers=0)


def turned_by(tilt: float) -> Tensor:
    """A rotation about the y axis [3, 3]."""
    cosine, sine = torch.tensor(tilt).cos(), torch.tensor(tilt).sin()
    return torch.tensor([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


def field_of(colours: Tensor, opacity: Tensor, tilt: float = 0.0) -> GainerField:
    """A plane through (0, 0, -2) of SIDE x SIDE discs, that faces along z and then is turned."""
    steps = (torch.arange(SIDE) - (SIDE - 1) / 2) * PIXEL
    x, y = torch.meshgrid(steps, steps, indexing="xy")
    flat = torch.stack([x.flatten(), y.flatten(), torch.zeros(SIDE * SIDE)], dim=1)
    rotation = turned_by(tilt)
    jacobian = rotation @ torch.diag(torch.tensor([PIXEL, PIXEL, THICKNESS]))
    gaussians = GaussianSet(
        flat @ rotation.T + torch.tensor([0.0, 0.0, -2.0]),
        0.64**2 * (jacobian @ jacobian.T)[None],
        DECODER.features_for(torch.cat([colours, opacity[:, None]], dim=1)),
        3.5,
        inverse_jacobians=jacobian.inverse().expand(SIDE * SIDE, 3, 3),
    )
    return GainerField(gaussians, DECODER, 16)


@pytest.fixture
def colours() -> Tensor:
    return torch.rand(SIDE * SIDE, 3)


@pytest.fixture
def field(colours: Tensor) -> GainerField:
    """An opaque plane that leans."""
    return field_of(colours, torch.ones(SIDE * SIDE), tilt=0.6)


def on_plane(field: GainerField, offsets: Tensor | float = 0.0, count: int = 150) -> Tensor:
    """Random points at offsets (thicknesses) from the middle of the plane."""
    inverse = field.gaussians.inverse_jacobians
    assert inverse is not None
    steps = torch.cat([6 * torch.rand(count, 2) - 3, torch.zeros(count, 1)], dim=1)
    steps[:, 2] = offsets
    return torch.tensor([0.0, 0.0, -2.0]) + steps @ inverse[0].inverse().T


def samples_at(points: Tensor) -> RaySamples:
    """Ray samples [m] whose middles are points."""
    zeros = torch.zeros(len(points), 1)
    directions = torch.tensor([0.0, 0.0, -1.0]).expand_as(points)
    return RaySamples(frustums=Frustums(points, directions, zeros, zeros, zeros))


def test_offsets_are_thicknesses_from_the_plane(field: GainerField) -> None:
    heights = 4 * torch.rand(150) - 2
    reading = field.read(on_plane(field, heights))
    assert reading.seen.all()
    torch.testing.assert_close(reading.offsets, heights, rtol=1e-3, atol=1e-3)
    assert (field.read(on_plane(field)).offsets.abs() < 1e-3).all()
    normals = torch.tensor([0.0, 0.0, 1.0]) @ turned_by(0.6).T / THICKNESS
    torch.testing.assert_close(reading.normals, normals.expand(150, 3), rtol=1e-4, atol=1e-3)


def test_offsets_keep_their_precision_far_away(colours: Tensor) -> None:
    near = field_of(colours, torch.ones(SIDE * SIDE))
    shift = torch.tensor([0.0, 0.0, -64.0])
    far = GainerField(near.gaussians.transformed(near.gaussians.means + shift, torch.eye(3)[None]), DECODER, 16)
    assert (far.read(on_plane(near) + shift).offsets.abs() < 0.01).all()


def test_density_times_length_is_opacity(colours: Tensor) -> None:
    for opacity in (0.0, 0.25, 0.9, 1.0, 1.7, -0.5):
        field = field_of(colours, torch.full((SIDE * SIDE,), opacity), tilt=0.6)
        points = on_plane(field, 2 * torch.rand(150) - 1)
        density = field(samples_at(points))[FieldHeadNames.DENSITY]
        assert density.shape == (150, 1)
        passed = torch.exp(-density * SHELL_THICKNESSES * THICKNESS)
        shown = min(max(opacity, 0.0), 1.0)
        torch.testing.assert_close(
            1 - passed, torch.full_like(passed, shown), rtol=0, atol=1e-3 if shown < 1 else 2 * SOLID_TRANSMITTANCE
        )


def test_there_is_nothing_beyond_the_shell(field: GainerField) -> None:
    half = SHELL_THICKNESSES / 2
    inside = field(samples_at(on_plane(field, 0.97 * half)))[FieldHeadNames.DENSITY]
    assert (inside > 0).all()
    for offset in (1.03 * half, -1.03 * half, 1.5 * half, 3 * half, 1000.0, -1e6):
        outside = field(samples_at(on_plane(field, offset)))[FieldHeadNames.DENSITY]
        assert torch.equal(outside, torch.zeros(150, 1)), offset


def test_there_is_nothing_where_no_disc_is_near(field: GainerField) -> None:
    beside = on_plane(field) + turned_by(0.6) @ torch.tensor([3.0, 0.0, 0.0])
    assert not field.read(beside).seen.any()
    outputs = field(samples_at(beside))
    assert (outputs[FieldHeadNames.DENSITY] == 0).all() and outputs[FieldHeadNames.RGB].isfinite().all()


def test_no_discs_at_all() -> None:
    empty = GaussianSet(torch.zeros(0, 3), isotropic(1.0, 3), torch.zeros(0, 8), 3.5, None, torch.eye(3)[None])
    assert (GainerField(empty, DECODER, 16)(samples_at(torch.rand(5, 3)))[FieldHeadNames.DENSITY] == 0).all()


def test_colours_are_clamped_and_of_the_nearest(colours: Tensor) -> None:
    field = field_of(3 * colours - 1, torch.ones(SIDE * SIDE))
    means = field.gaussians.means
    rgb = field(samples_at(means))[FieldHeadNames.RGB]
    assert rgb.shape == (SIDE * SIDE, 3) and float(rgb.min()) == 0 and float(rgb.max()) == 1
    even = field_of(torch.tensor([[0.2, 0.5, 0.7]]).expand(SIDE * SIDE, 3), torch.ones(SIDE * SIDE))
    rgb = even(samples_at(on_plane(even)))[FieldHeadNames.RGB]
    torch.testing.assert_close(rgb, torch.tensor([0.2, 0.5, 0.7]).expand(150, 3), rtol=0, atol=1e-4)


def test_any_batch_shape(field: GainerField) -> None:
    points = on_plane(field, count=24)
    flat, shaped = field(samples_at(points)), field(samples_at(points)[:, None])
    zeros = torch.zeros(2, 3, 4, 1)
    frustums = Frustums(points.view(2, 3, 4, 3), torch.ones(2, 3, 4, 3), zeros, zeros, zeros)
    outputs = field(RaySamples(frustums=frustums))
    for head in (FieldHeadNames.RGB, FieldHeadNames.DENSITY):
        assert outputs[head].shape[:3] == (2, 3, 4)
        assert torch.equal(outputs[head].reshape(24, -1), flat[head])
        assert torch.equal(shaped[head][:, 0], flat[head])


@pytest.mark.parametrize("bent", [False, True], ids=["rigid", "sheared"])
def test_moving_the_gaussians_moves_the_field(colours: Tensor, bent: bool) -> None:
    field = field_of(colours, torch.rand(SIDE * SIDE), tilt=0.3)
    matrix, _ = torch.linalg.qr(torch.randn(3, 3))
    if bent:
        matrix = matrix @ torch.tensor([[1.3, 0.4, 0.0], [0.0, 0.7, 0.0], [0.0, 0.2, 1.1]])
    shift = torch.tensor([0.5, -2.0, 3.0])
    moved = GainerField(
        field.gaussians.transformed(field.gaussians.means @ matrix.T + shift, matrix[None]), DECODER, 16
    )
    points = on_plane(field, 2.4 * torch.rand(150) - 1.2)
    before, after = field.read(points), moved.read(points @ matrix.T + shift)
    assert torch.equal(before.seen, after.seen)
    torch.testing.assert_close(before.features, after.features, rtol=0, atol=1e-2)
    torch.testing.assert_close(before.offsets, after.offsets, rtol=0, atol=2e-3)
    torch.testing.assert_close(before.normals @ matrix.inverse(), after.normals, rtol=1e-3, atol=1e-2)
    if not bent:  # otherwise the shell's thickness is another
        heads = [one(samples_at(at)) for one, at in ((field, points), (moved, points @ matrix.T + shift))]
        torch.testing.assert_close(heads[0][FieldHeadNames.RGB], heads[1][FieldHeadNames.RGB], rtol=0, atol=5e-3)
        passed = [torch.exp(-head[FieldHeadNames.DENSITY] * SHELL_THICKNESSES * THICKNESS) for head in heads]
        torch.testing.assert_close(passed[0], passed[1], rtol=0, atol=5e-3)


def test_no_absolute_position_reaches_the_decoder(colours: Tensor) -> None:
    """Wherever the plane lies, and however far away."""
    field = field_of(colours, torch.ones(SIDE * SIDE))
    points = on_plane(field)
    before: Any = field(samples_at(points))
    shift = torch.tensor([30.0, 10.0, -20.0])
    moved = GainerField(field.gaussians.transformed(field.gaussians.means + shift, torch.eye(3)[None]), DECODER, 16)
    after = moved(samples_at(points + shift))
    torch.testing.assert_close(before[FieldHeadNames.RGB], after[FieldHeadNames.RGB], rtol=0, atol=5e-3)
    assert (after[FieldHeadNames.DENSITY] > 0).all()
