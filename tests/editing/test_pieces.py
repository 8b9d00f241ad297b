"""Gaussians that move together."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gainer_ns.editing.borders import unframed
from gainer_ns.editing.operations import Move, Rotate, Scale
from gainer_ns.editing.pieces import Piece, parted
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.steps import Placed, Step, Weights, border_holds
from gainer_ns.frames import ImagePlane
from gainer_ns.rendering.plane import BakedPicture

BOX = (0.0, 0.0, 64.0, 48.0)
SOFT = Selection.model_validate({"disc": {"center": [30, 24], "radius": 12}, "feather": 8})


@pytest.fixture
def piece(landscape: BakedPicture) -> Piece:
    """The whole picture."""
    layer, border = unframed(landscape.only_layer, landscape.plane)
    return Piece(None, layer, landscape.plane, landscape.plane, border)


def close(actual: torch.Tensor, expected: object, within: float = 1e-4) -> None:
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected.expand_as(actual), rtol=0, atol=within)


def test_steps_are_taken_one_after_the_other(piece: Piece) -> None:
    turn, move = Rotate(degrees=90, center=(10, 10)), Move(by=(5, 0))
    piece.steps = (Step(0, (turn,), BOX), Step(1, (move,), BOX))
    placed = piece.placed([1.0, 1.0], torch.tensor([[20.0, 10.0]]))
    close(placed.points, [[15.0, 0.0]])  # what was to the right is above, since y points down
    close(placed.jacobians, [[[0.0, 1.0], [-1.0, 0.0]]])
    close(piece.placed([0.0, 1.0], torch.tensor([[20.0, 10.0]])).points, [[25.0, 10.0]])


def test_a_placed_picture_lies_on_the_canvas(landscape: BakedPicture) -> None:
    piece = Piece("other", landscape.only_layer, landscape.plane, ImagePlane(200, 100), None, (50.0, 20.0), 0.5)
    placed = piece.placed([])
    close(placed.points[0], [50.25, 20.25])
    close(placed.jacobians, 0.5 * torch.eye(2))
    gaussians = piece.posed([]).gaussians
    close(ImagePlane(200, 100).pixel_from_plane(gaussians.means)[0], [50.25, 20.25])
    sigma = float(gaussians.covariances[0, 0, 0].sqrt()) * 200  # in pixels of the canvas
    assert sigma == pytest.approx(0.5 * 0.64, rel=1e-4)


def test_soft_weights_come_with_their_gradients() -> None:
    points = torch.tensor([[30.0, 24.0], [41.0, 24.0], [30.0, 37.0], [55.0, 24.0]])
    weights, step = Weights.of(SOFT, points), 1e-2
    close(weights.values[[0, 3]], [1.0, 0.0])
    for axis in range(2):
        offset = torch.zeros(2)
        offset[axis] = step
        numeric = (SOFT.weights(points + offset) - SOFT.weights(points - offset)) / (2 * step)
        close(weights.gradients[:, axis], numeric, 1e-3)


def test_jacobians_of_soft_steps_are_those_of_the_map(piece: Piece) -> None:
    piece.steps = (
        Step(0, (Rotate(degrees=20),), (18, 12, 42, 36), SOFT),
        Step(1, (Scale(factor=(1.2, 0.9)),), BOX),
    )
    points, step = 20 + 20 * torch.rand(50, 2), 0.01
    placed = piece.placed([0.7, 1.0], points)
    for axis in range(2):
        offset = torch.zeros(2)
        offset[axis] = step
        ends = [piece.placed([0.7, 1.0], points + sign * offset).points for sign in (1, -1)]
        close(placed.jacobians[:, :, axis], (ends[0] - ends[1]) / (2 * step), 0.02)


def test_gaussians_are_deformed_as_the_plane_is_around_them(piece: Piece, landscape: BakedPicture) -> None:
    """Told on the plane, whose y points up, by differences of where points go."""
    piece.steps = (
        Step(0, (Scale(factor=(2.0, 0.5), center=(30, 20)), Rotate(degrees=30)), BOX),
        Step(1, (Rotate(degrees=40),), (18, 12, 42, 36), SOFT),
    )
    plane, step = landscape.plane, 1e-3
    start = plane.plane_from_pixel(piece.origins.double())
    columns = []
    for axis in range(2):
        offset = torch.zeros(2, dtype=torch.float64)
        offset[axis] = step
        ends = [
            plane.plane_from_pixel(piece.placed([1.0, 0.6], plane.pixel_from_plane(start + sign * offset)).points)
            for sign in (1, -1)
        ]
        columns.append((ends[0] - ends[1]) / (2 * step))
    jacobians = torch.stack(columns, dim=2)
    before, posed = piece.layer.gaussians, piece.posed([1.0, 0.6]).gaussians
    assert posed.inverse_jacobians is not None
    close(posed.inverse_jacobians.double() @ jacobians, torch.eye(2).double(), 0.1)
    covariances = jacobians @ before.covariances.double() @ jacobians.mT
    close(
        posed.covariances.double() / covariances.diagonal(dim1=1, dim2=2).mean(),
        covariances / covariances.diagonal(dim1=1, dim2=2).mean(),
        0.1,
    )


def diagonal(x: float, y: float) -> Placed:
    return Placed(torch.zeros(1, 2), torch.diag(torch.tensor([x, y]))[None])


@pytest.mark.parametrize(
    ("whole", "followed", "holds"),
    [
        ((1, 1), (1, 1), True),
        ((1, 1), (3.9, 1), True),
        ((1, 1), (4.1, 1), False),
        ((1, 1), (1, 0.26), True),
        ((1, 1), (1, 0.24), False),
        ((1, 1), (-1, 1), False),
        ((1, 1), (0, 1), False),
        ((-1, 1), (-1, 1), True),
        ((-1, 1), (1, 1), False),
        ((0.1, 0.1), (1, 1), True),
        ((0.1, 0.1), (0.03, 0.1), True),
        ((0.1, 0.1), (0.02, 0.1), False),
        ((5, 5), (19, 1), True),
        ((5, 5), (21, 1), False),
        ((5, 5), (1, 0.24), False),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_a_border_neither_folds_nor_tears(
    whole: tuple[float, float], followed: tuple[float, float], holds: bool, scale: float
) -> None:
    """By four times what the edit itself does, or what nothing does; however large the picture was placed."""
    placed = [diagonal(scale * x, scale * y) for x, y in ((1, 1), whole, followed)]
    assert border_holds(*placed) == holds
    still = Placed(torch.zeros(2, 2), torch.eye(2).expand(2, 2, 2))
    both = [Placed(torch.zeros(2, 2), torch.cat([one.jacobians, scale * torch.eye(2)[None]])) for one in placed]
    assert border_holds(*both) == holds, "one point that does not is enough"
    assert border_holds(still, still, still)


def test_an_unmoved_piece_keeps_its_frame(piece: Piece, landscape: BakedPicture) -> None:
    piece.steps = (Step(0, (Rotate(degrees=360),), BOX),)
    assert piece.is_still([0.0]) and piece.is_still([1.0]) and not piece.is_still([0.5])
    layer = piece.posed([1.0])
    assert layer.half_extent == landscape.only_layer.half_extent
    assert torch.equal(layer.gaussians.means, landscape.gaussians.means)
    assert piece.posed([0.5]).half_extent is None
    piece.steps = (Step(0, (Rotate(degrees=20),), (18, 12, 42, 36), SOFT),)
    layer = piece.posed([1.0])
    assert layer.half_extent == landscape.only_layer.half_extent, "what moves does not reach the frame"
    assert not torch.equal(layer.gaussians.means, landscape.gaussians.means)


def test_a_pose_is_kept_until_it_changes(piece: Piece) -> None:
    piece.steps = (Step(1, (Move(by=(5, 0)),), BOX),)
    pose = piece.posed([0.0, 0.5])
    assert piece.posed([1.0, 0.5]) is pose, "another edit changes it not"
    assert piece.posed([1.0, 0.6]) is not pose


def test_a_piece_in_two(piece: Piece, seen: Callable[..., Any], landscape: BakedPicture) -> None:
    selection = Selection.model_validate({"box": [10, 8, 30, 40]})
    left, taken = parted(piece, selection.field(piece.origins), upper=True)
    assert list(piece.remains) == [left, taken] and piece.parts == (left, taken)
    assert len(taken.layer.gaussians) < len(piece.layer.gaussians) / 2
    assert [seam.upper for seam in left.seams] == [taken] and not taken.seams
    again, other = parted(left, Selection.model_validate({"box": [50, 8, 60, 40]}).field(left.origins), upper=True)
    assert list(piece.remains) == [again, other, taken]
    assert not other.seams, "it is far from what was taken first"
    assert len(again.seams) == 2


def test_under_a_piece_the_other_goes_on_until_they_part(piece: Piece) -> None:
    """So that no crack shows along a cut as long as both sides lie as they did."""
    half = 0.5 + (piece.origins[:, 0] - 32.0)
    left, taken = parted(piece, half, upper=True)
    taken.steps = (Step(0, (Move(by=(10, 0)),), BOX),)
    (seam,) = left.seams
    beside = ((left.origins - torch.tensor([32.5, 20.5])).norm(dim=1) < 0.1).nonzero()[0, 0]
    together, apart = (seam.limit_after(left, [amount]).values[beside] for amount in (0.0, 1.0))
    assert together > 1.5 and -0.5 < apart < 0.2
    between = [float(seam.limit_after(left, [amount]).values[beside]) for amount in (0.05, 0.1, 0.15)]
    assert together > between[0] > between[1] > between[2] == pytest.approx(float(apart))


def test_a_picture_on_a_larger_canvas_is_placed_even_where_it_does_not_move(landscape: BakedPicture) -> None:
    """Its pixels stay where they were, but the plane's units are others."""
    canvas = ImagePlane(200, 100)
    piece = Piece("other", landscape.only_layer, landscape.plane, canvas)
    assert not piece.is_still([])
    close(canvas.pixel_from_plane(piece.posed([]).gaussians.means), piece.origins, 1e-3)


def test_what_only_turns_is_not_still(piece: Piece) -> None:
    number = len(piece.origins) // 2
    one = piece.part(torch.tensor([number]), None)
    x, y = piece.origins[number].tolist()
    one.steps = (Step(0, (Rotate(degrees=30, center=(x, y)),), BOX),)
    close(one.placed([1.0]).points, piece.origins[number])
    assert one.is_still([0.0]) and not one.is_still([1.0])


def test_parts_are_posed_anew(piece: Piece) -> None:
    whole = piece.posed([])
    left, taken = parted(piece, Selection.model_validate({"box": [10, 8, 30, 40]}).field(piece.origins), upper=True)
    for part in (left, taken):
        assert len(part.posed([]).gaussians) < len(whole.gaussians)


def test_along_a_soft_cut_pieces_part_more_slowly(piece: Piece) -> None:
    """And far from it their limits grow by 1 a pixel all the same."""
    width = 6.0
    left, taken = parted(piece, 0.5 + (piece.origins[:, 0] - 32.0) / width, upper=True, width=width)
    taken.steps = (Step(0, (Move(by=(10, 0)),), BOX),)
    (seam,) = left.seams
    beside = ((left.origins - torch.tensor([32.5, 20.5])).norm(dim=1) < 0.1).nonzero()[0, 0]
    values = [float(seam.limit_after(left, [amount]).values[beside]) for amount in (0.0, 0.3, 0.5, 0.6, 1.0)]
    assert values[0] > values[1] > values[2] > values[3] == pytest.approx(values[4])
    row = (left.origins[:, 1] - 20.5).abs() < 0.1
    far = [float(seam.limit.values[row & ((left.origins[:, 0] - x).abs() < 0.1)][0]) for x in (12.5, 16.5, 20.5)]
    assert far[0] - far[1] == pytest.approx(4, abs=0.4) and far[1] - far[2] == pytest.approx(4, abs=0.4)
