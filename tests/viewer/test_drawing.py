"""What a page is sent while something moves, and once it rests."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nerfstudio.viewer.render_state_machine import RenderStateMachine
from nerfstudio.viewer_legacy.server.viewer_utils import IOChangeException, SetTrace

from gainer_ns.frames import ImagePlane
from gainer_ns.image.panel import PictureOverride, picture_override, picture_override_context
from gainer_ns.rendering.redrawing import Redrawer
from gainer_ns.viewer import drawing
from gainer_ns.viewer.control import draw_finely
from gainer_ns.viewer.departures import PageMachines
from gainer_ns.viewer.drawing import MAX_MOVE_SECONDS, MAX_REST_SECONDS, MIN_DRAFT_SIDE_PX, PageMachine


@pytest.fixture(scope="module")
def viewer(start: Callable[..., Any]) -> Any:
    return start()


def machine(max_res: int, state: str, speed: float | None = None, draft_speed: float | None = None) -> PageMachine:
    """A page's, that has drawn so many pixels a second, finely and coarsely."""
    viewer: Any = SimpleNamespace(control_panel=SimpleNamespace(max_res=max_res))
    made = PageMachine(viewer, 10.0, SimpleNamespace(), edit=lambda fitted: fitted)
    made.state = state  # pyright: ignore[reportAttributeAccessIssue]
    for is_draft, known in ((False, speed), (True, draft_speed)):
        made._speeds[is_draft].extend([] if known is None else [known])
    return made


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[bool, tuple[int, int]]]:
    """``drawn(machine, aspect)`` lets it draw; whether that was a draft, and its height and width."""

    def draw(made: PageMachine, aspect: float) -> tuple[bool, tuple[int, int]]:
        seen: list[Any] = []

        def render(self: Any, camera_state: Any) -> dict[str, Any]:
            override = picture_override()
            assert override is not None
            seen.append((override.is_draft, self._calculate_image_res(camera_state.aspect)))
            return {"rgb": torch.zeros(*seen[0][1], 3)}

        monkeypatch.setattr(RenderStateMachine, "_render_img", render)
        made._render_img(SimpleNamespace(aspect=aspect))
        return seen[0]

    return draw


@pytest.mark.parametrize("aspect", [0.4, 1.0, 1.28, 3.0])
@pytest.mark.parametrize("max_res", [64, 200, 512, 2048])
def test_sizes_are_bounded_by_the_page_the_time_and_what_can_be_recognised(
    drawn: Callable[..., Any], aspect: float, max_res: int
) -> None:
    is_draft, finest = drawn(machine(max_res, "high", 1.0), aspect)
    assert max(finest) == max_res and not is_draft
    least = min(MIN_DRAFT_SIDE_PX, *finest)
    for state, seconds in (("low_move", MAX_MOVE_SECONDS), ("low_static", MAX_REST_SECONDS)):
        for speed in (1e9, 1e6, 1.0):
            is_draft, (height, width) = drawn(machine(max_res, state, 1.0, speed), aspect)
            assert is_draft and least <= min(height, width) and height <= finest[0] and width <= finest[1]
            assert abs(width / height - finest[1] / finest[0]) < 0.03 * aspect, "nothing is distorted"
            in_time = height * width <= 1.02 * seconds * speed
            assert (height, width) == finest if speed == 1e9 else in_time or min(height, width) == least


@pytest.mark.parametrize("state", ["low_move", "low_static", "high"])
def test_what_there_is_time_for_is_drawn_finely_at_once(drawn: Callable[..., Any], state: str) -> None:
    for made in (machine(512, state), machine(512, state, 1e9)):
        assert drawn(made, 1.5) == (False, (341, 512))
        assert made.state == ("low_move" if state == "low_move" else "high"), "nothing finer is left to be drawn"
    slow = machine(512, state, 1.0)
    assert drawn(slow, 1.5)[0] == (state != "high") and slow.state == state


def test_one_drawing_that_was_held_up_makes_no_coarser_ones(drawn: Callable[..., Any]) -> None:
    made = machine(512, "low_move", 1e9)
    for _ in range(2):
        made._speeds[False].append(1.0)
        assert not drawn(made, 1.5)[0]
    made._speeds[False].extend([1.0] * 3)
    assert drawn(made, 1.5)[0], "always held up is slow"


def test_a_page_is_sent_coarse_pictures_and_then_all_pixels(
    viewer: Any, connected: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    full, coarse = (341, 512), (MIN_DRAFT_SIDE_PX, 1.5 * MIN_DRAFT_SIDE_PX)
    with connected(viewer) as page:
        monkeypatch.setattr(drawing, "MAX_MOVE_SECONDS", math.inf)  # however slow this machine is
        monkeypatch.setattr(drawing, "MAX_REST_SECONDS", math.inf)
        page.look()
        assert page.picture().shape[:2] == full
        viewer._trigger_rerender()  # as edits do
        assert [page.picture().shape[:2] for _ in range(2)] == [full, full], "and once more when it rests, less packed"
        monkeypatch.setattr(drawing, "MAX_MOVE_SECONDS", 0.0)  # however fast
        for number in range(20):
            page.look(0.01 * number)
        sizes = [page.picture().shape[:2]]
        while sizes[-1] != full:
            sizes.append(page.picture().shape[:2])
        assert coarse in sizes and set(sizes) <= {coarse, full}
        viewer._trigger_rerender()
        assert page.picture().shape[:2] == coarse, "at once: nothing has interrupted it"


@pytest.mark.parametrize(
    ("width", "height", "finest"), [(96, 64, 512), (64, 300, 1200), (768, 512, 1600), (6000, 10, 1600)]
)
def test_pictures_are_drawn_as_finely_as_they_are(viewer: Any, width: int, height: int, finest: int) -> None:
    before = viewer.control_panel.max_res
    assert before == 512 and not viewer.control_panel.layer_depth
    draw_finely(viewer, ImagePlane(width, height))
    assert viewer.control_panel.max_res == finest
    draw_finely(viewer, ImagePlane(96, 64))


class Dying:
    """What a library cleans up when it dies, in many lines."""

    ended = 0

    def __del__(self) -> None:
        self.held = 1
        Dying.ended += self.held


@pytest.mark.filterwarnings("error")  # such as of an exception in __del__
def test_a_drawing_gives_way_in_this_package_only() -> None:
    interrupted = machine(512, "high")
    override = PictureOverride(lambda fitted: fitted, is_draft=True, redrawer=Redrawer())
    with SetTrace(interrupted.check_interrupt):
        interrupted.interrupt_render_flag = True
        Dying()
        assert list(itertools.accumulate(value for value in (1, 2))) == [1, 3]
        with picture_override_context(override):  # a generator of ours
            pass
        assert Dying.ended == 1 and interrupted.interrupt_render_flag
        with pytest.raises(IOChangeException):
            ImagePlane(96, 64).pixel_from_plane(torch.zeros(1, 2))
    assert not interrupted.interrupt_render_flag


def test_pages_that_came_early_are_drawn_for_by_the_same_machine() -> None:
    viewer: Any = SimpleNamespace(ready=False)
    early = RenderStateMachine(viewer, 10.0, SimpleNamespace())  # pyright: ignore[reportArgumentType]
    early.start()
    late = RenderStateMachine(viewer, 10.0, SimpleNamespace())  # pyright: ignore[reportArgumentType]
    machines = PageMachines({7: early, 8: late}, lambda fitted: fitted)
    early.join(10)
    assert not early.is_alive() and machines[7].is_alive() and not machines[8].is_alive()
    assert all(isinstance(one, PageMachine) for one in machines.values())
    machines[7].running = False
    machines[7].join(10)
    assert not [one for one in threading.enumerate() if one in machines.values()]


def test_a_picture_that_was_hardly_painted_tells_nothing_of_the_next() -> None:
    """What stands still is drawn at once, and what then moves takes as long as it took before."""
    made = machine(512, "low_move")
    made._take_time(0.1, 100_000, 1.0)
    for _ in range(5):
        made._take_time(1e-4, 100_000, 0.0)
    assert not made._has_time_for(100_000, is_draft=False) and made._has_time_for(40_000, is_draft=False)


def test_where_a_part_changes_a_picture_takes_a_part_of_the_time() -> None:
    made = machine(512, "low_move")
    for _ in range(3):
        made._take_time(0.01, 100_000, 0.1)
    assert made._has_time_for(400_000, is_draft=False) and not made._has_time_for(600_000, is_draft=False)
    made._take_time(0.1, 100_000, 1.0)  # all of it has changed, and may change again
    assert not made._has_time_for(100_000, is_draft=False)
