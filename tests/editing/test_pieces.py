"""Parts of pictures that move together."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import gainer_ns as gn
from gainer_ns.editing.operation import Operation
from gainer_ns.editing.operations import Mirror, Move, Rotate, Scale
from gainer_ns.editing.pieces import Piece, parted
from gainer_ns.editing.rest_picture import RestPicture
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.steps import Placed, Step, Weights, border_holds
from gainer_ns.frames import ImagePlane
from gainer_ns.rendering.plane import BakedPicture

BOX = (0.0, 0.0, 64.0, 48.0)
SOFT = Selection.model_validate({"disc": {"center": [30, 24], "radius": 12}, "feather": 8})


@pytest.fixture
def piece(landscape: BakedPicture) -> Piece:
    """The whole picture."""
    return Piece(None, RestPicture(landscape.only_layer, landscape.plane), landscape.plane)


def field(piece: Piece, **shape: object) -> torch.Tensor:
    """How far inside a shape the pixels of a piece are."""
    return Selection.model_validate(shape).field(piece.rest.pixels).view(piece.rest.shape)


def at(piece: Piece, values: torch.Tensor, x: float, y: float) -> float:
    """What a field says of the pixel at a point."""
    left, top = piece.rest.corner
    return float(values[int(y) - top, int(x) - left])


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
    canvas = ImagePlane(200, 100)
    piece = Piece("other", RestPicture(landscape.only_layer, landscape.plane), canvas, (50.0, 20.0), 0.5)
    placed = piece.placed([], torch.tensor([[0.5, 0.5]]))
    close(placed.points, [[50.25, 20.25]])
    close(placed.jacobians, 0.5 * torch.eye(2))
    gaussians = piece.posed([]).gaussians
    first = canvas.pixel_from_plane(gaussians.means)[0]
    close(first, [50.25, 20.25], 1e-3)
    sigma = float(gaussians.covariances[0, 0, 0].sqrt()) * 200  # in pixels of the canvas
    assert sigma == pytest.approx(0.5 * 0.64, rel=1e-3)


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


def test_without_jacobians_points_go_the_same_way(piece: Piece) -> None:
    piece.steps = (
        Step(0, (Scale(factor=(2.0, 0.5), center=(30, 20)), Rotate(degrees=30)), BOX),
        Step(1, (Rotate(degrees=40),), (18, 12, 42, 36), SOFT),
    )
    points = 60 * torch.rand(200, 2).double()
    expected = piece.placed([1.0, 0.6], points).points
    for _ in range(2):  # the second time by what is kept of the first
        close(piece.carried([1.0, 0.6], points, "points"), expected, 1e-6)


def test_gaussians_are_deformed_as_the_plane_is_around_them(piece: Piece, landscape: BakedPicture) -> None:
    """Told on the plane, whose y points up, by differences of where points go."""
    piece.steps = (
        Step(0, (Scale(factor=(2.0, 0.5), center=(30, 20)), Rotate(degrees=30)), BOX),
        Step(1, (Rotate(degrees=40),), (18, 12, 42, 36), SOFT),
    )
    plane, step, before = landscape.plane, 1e-3, landscape.gaussians
    start = before.means.double()

    def moved(points: torch.Tensor) -> torch.Tensor:
        return plane.plane_from_pixel(piece.carried([1.0, 0.6], plane.pixel_from_plane(points)))

    offsets = step * torch.eye(2).double()
    columns = [(moved(start + offset) - moved(start - offset)) / (2 * step) for offset in offsets]
    jacobians = torch.stack(columns, dim=2)
    posed = piece.posed([1.0, 0.6]).gaussians
    close(posed.means.double(), moved(start), 0.1 * plane.pixel_size)
    covariances = jacobians @ before.covariances.double() @ jacobians.mT
    size = covariances.diagonal(dim1=1, dim2=2).mean()
    apart = (posed.covariances.double() - covariances).abs() / size
    assert float(apart.max()) < 0.3 and float(apart.mean()) < 0.01, "but for the kinks of a soft border"


def diagonal(x: float, y: float) -> Placed:
    return Placed(torch.zeros(1, 2), torch.diag(torch.tensor([x, y]))[None])


@pytest.mark.parametrize(
    ("whole", "followed", "holds"),
    [
        ((1, 1), (1, 1), True),
        ((1, 1), (2.9, 1), True),
        ((1, 1), (3.1, 1), False),
        ((1, 1), (1, 0.35), True),
        ((1, 1), (1, 0.32), False),
        ((1, 1), (-1, 1), False),
        ((1, 1), (0, 1), False),
        ((-1, 1), (-1, 1), True),
        ((-1, 1), (1, 1), False),
        ((0.1, 0.1), (1, 1), True),
        ((0.1, 0.1), (0.035, 0.1), True),
        ((0.1, 0.1), (0.02, 0.1), False),
        ((5, 5), (14, 1), True),
        ((5, 5), (16, 1), False),
        ((5, 5), (1, 0.24), False),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_a_border_neither_folds_nor_tears(
    whole: tuple[float, float], followed: tuple[float, float], holds: bool, scale: float
) -> None:
    """By three times what the edit itself does, or what nothing does; however large the picture was placed."""
    placed = [diagonal(scale * x, scale * y) for x, y in ((1, 1), whole, followed)]
    assert border_holds(*placed) == holds
    still = Placed(torch.zeros(2, 2), torch.eye(2).expand(2, 2, 2))
    both = [Placed(torch.zeros(2, 2), torch.cat([one.jacobians, scale * torch.eye(2)[None]])) for one in placed]
    assert border_holds(*both) == holds, "one point that does not is enough"
    assert border_holds(still, still, still)


def test_an_unmoved_piece_is_the_picture_itself(piece: Piece, landscape: BakedPicture) -> None:
    piece.steps = (Step(0, (Rotate(degrees=360),), BOX),)
    assert piece.is_still([0.0]) and piece.is_still([1.0]) and not piece.is_still([0.5])
    assert piece.posed([1.0]) is landscape.only_layer
    assert piece.posed([0.5]).has_alpha, "what has turned no longer fills its frame"


def test_a_pose_is_kept_until_it_changes(piece: Piece) -> None:
    piece.steps = (Step(1, (Move(by=(5, 0)),), BOX),)
    pose = piece.posed([0.0, 0.5])
    assert piece.posed([1.0, 0.5]) is pose, "another edit changes it not"
    assert piece.posed([1.0, 0.6]) is not pose


def test_a_piece_in_two(piece: Piece) -> None:
    left, taken = parted(piece, field(piece, box=[10, 8, 30, 40]), upper=True)
    assert list(piece.remains) == [left, taken] and piece.parts == (left, taken)
    assert 0.9 * 20 * 32 < int(taken.is_visible.sum()) < 1.2 * 20 * 32
    assert [seam.upper for seam in left.seams] == [taken] and not taken.seams
    again, other = parted(left, field(left, box=[50, 8, 60, 40]), upper=True)
    assert list(piece.remains) == [again, other, taken]
    assert not other.seams, "it is far from what was taken first"
    assert len(again.seams) == 2
    alone = other.posed([]).gaussians
    assert 0.8 * 10 * 32 < len(alone) < 1.3 * 10 * 32, "what was cut out has its own Gaussians only"


def test_under_a_piece_the_other_goes_on_until_they_part(piece: Piece) -> None:
    """So that no crack shows along a cut as long as both sides lie as they did."""
    half = (0.5 + (piece.rest.pixels[:, 0] - 32.0)).view(piece.rest.shape)
    left, taken = parted(piece, half, upper=True)
    taken.steps = (Step(0, (Move(by=(10, 0)),), BOX),)
    (seam,) = left.seams
    amounts = (0.0, 0.05, 0.1, 0.15, 1.0)
    beside = [at(left, seam.limit_after(left, [amount]), 32.5, 20.5) for amount in amounts]
    assert beside[0] > 1.5 and beside[0] > beside[1] > beside[2] > beside[3] == pytest.approx(beside[4])
    assert -0.5 < beside[4] < 0.2


@pytest.mark.parametrize("width", [1.0, 6.0])
def test_along_a_soft_cut_pieces_part_more_slowly(width: float, piece: Piece) -> None:
    half = (0.5 + (piece.rest.pixels[:, 0] - 32.0) / width).view(piece.rest.shape)
    left, taken = parted(piece, half, upper=True, width=width)
    taken.steps = (Step(0, (Move(by=(10, 0)),), BOX),)
    (seam,) = left.seams
    shares = [at(left, seam.limit_after(left, [amount]), 32.5, 20.5) for amount in (0.0, 0.1, 0.3, 0.6)]
    assert shares[0] > shares[1] > shares[3] and (shares[1] > shares[2]) and shares[2] >= shares[3]
    assert (shares[2] == pytest.approx(shares[3])) == (width == 1.0)


def shown_beside(piece: Piece, landscape: BakedPicture, seam: float, operation: Operation) -> torch.Tensor:
    """Return the alpha of each column after what is right of a seam was moved, in front."""
    right = (0.5 + (piece.rest.pixels[:, 0] - seam)).view(piece.rest.shape)
    left, taken = parted(piece, right, upper=True)
    taken.steps = (Step(0, (operation,), BOX),)
    _, alpha = replace(landscape, layers=(left.posed([1.0]), taken.posed([1.0]))).raster()
    return alpha[10:30, :, 0].mean(dim=0)


@pytest.mark.parametrize("crease", [31.5, 31.8, 32.0, 32.3])
def test_a_fold_ends_at_its_crease(crease: float, piece: Piece, landscape: BakedPicture) -> None:
    """What is folded over no longer covers what lies beyond the crease."""
    shown = shown_beside(piece, landscape, crease, Mirror(direction="horizontal", center=(crease, 20)))
    assert float(shown[:31].min()) > 0.99 and float(shown[34:].max()) < 0.01
    assert abs(float(shown[31:34].sum()) - (crease - 31)) <= 0.5


@pytest.mark.parametrize("seam", [31.5, 31.8, 32.0, 32.3])
def test_no_crack_shows_along_what_has_hardly_moved(seam: float, piece: Piece, landscape: BakedPicture) -> None:
    assert float(shown_beside(piece, landscape, seam, Move(by=(0.3, 0)))[:60].min()) > 0.97


def test_what_is_half_clear_has_no_dark_seam() -> None:
    """Not where a piece has hardly moved either: what would hide a crack shows through it."""
    whole = gn.fit(np.full((48, 64, 4), 128, np.uint8))._drawn
    assert isinstance(whole, BakedPicture)
    dark = []
    for degrees in (0.3, 20.0):
        piece = Piece(None, RestPicture(whole.only_layer, whole.plane), whole.plane)
        left, taken = parted(piece, field(piece, disc={"center": [32, 24], "radius": 14}), upper=True)
        taken.steps = (Step(0, (Rotate(degrees=degrees),), (18, 10, 46, 38)),)
        _, alpha = replace(whole, layers=(left.posed([1.0]), taken.posed([1.0]))).raster()
        assert float(alpha[4:-4, 4:-4].min()) > 0.45
        dark.append(int((alpha > 0.55).sum()))
    assert dark[0] <= dark[1] < 80, "pixels of the border alone, of 88"


@pytest.mark.parametrize("amount", [0.5, 0.9, 1.0])
def test_a_feathered_fold_has_no_step(amount: float, piece: Piece, landscape: BakedPicture) -> None:
    right = (0.5 + (piece.rest.pixels[:, 0] - 32.0) / 8).view(piece.rest.shape)
    left, taken = parted(piece, right, upper=True, width=8.0)
    taken.steps = (Step(0, (Mirror(direction="horizontal", center=(32, 20)),), BOX),)
    _, alpha = replace(landscape, layers=(left.posed([amount]), taken.posed([amount]))).raster()
    shown = alpha[20, :, 0]
    assert float(shown[:26].min()) > 0.99 and float(shown.diff().abs().max()) < 0.3


@pytest.mark.parametrize("selection", [{"box": [10, 8, 30, 40]}, {"disc": {"center": [30, 20], "radius": 12}}])
def test_pieces_that_lie_as_they_did_are_the_picture(
    selection: dict[str, object], piece: Piece, landscape: BakedPicture
) -> None:
    """Whatever the selection, over one another they show what there was, with no seam."""
    left, taken = parted(piece, field(piece, **selection), upper=True)
    rgb, alpha = replace(landscape, layers=(left.posed([]), taken.posed([]))).raster()
    expected, _ = landscape.raster()
    close(alpha, torch.ones(1), 1e-3)
    close(rgb, expected, 1e-3)


def test_a_picture_on_a_larger_canvas_is_placed_even_where_it_does_not_move(landscape: BakedPicture) -> None:
    """Its pixels stay where they were, but the plane's units are others."""
    canvas = ImagePlane(200, 100)
    piece = Piece("other", RestPicture(landscape.only_layer, landscape.plane), canvas)
    assert not piece.is_still([])
    means = landscape.plane.pixel_from_plane(landscape.gaussians.means)
    close(canvas.pixel_from_plane(piece.posed([]).gaussians.means), means, 1e-3)


def test_what_was_posed_is_posed_again(piece: Piece, landscape: BakedPicture) -> None:
    """A sheet of a sheet: twice by a half is once by the whole."""
    piece.steps = (Step(0, (Rotate(degrees=20),), BOX),)
    half, whole = piece.posed([0.5]), piece.posed([1.0])
    again = Piece(None, RestPicture(half, landscape.plane), landscape.plane, steps=piece.steps).posed([0.5])
    inside = (slice(12, 36), slice(16, 48))
    found, expected = (replace(landscape, layers=(one,)).raster()[0][inside] for one in (again, whole))
    close(found, expected, 2e-3)
