"""The tab that selects: by rectangle, object or polygon, and by what is made of that."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any, get_args

import numpy as np
import torch
import viser

from gainer_ns.editing.selection import Selection
from gainer_ns.errors import GainerError
from gainer_ns.preparation.config import SegmentationConfig
from gainer_ns.preparation.offers import Offers, Proposer
from gainer_ns.preparation.segmentation import load_proposer
from gainer_ns.viewer.context import PanelContext
from gainer_ns.viewer.picking import Joining
from gainer_ns.viewer.subject import PixelPoint
from gainer_ns.viewer.view_space import OVERLAY_LIFT, clicked_point, point_on_page, to_page

LOOK, RECTANGLE, OBJECT, POLYGON = POINTERS = ("look around", "rectangle", "object", "polygon")
CORNER_COLOUR = (255, 0, 255)
SAME_PLACE_SHARE = 0.015
"""How far apart two clicks on the same place may be, as a share of the picture's longer side."""


@dataclass(frozen=True)
class ObjectClick:
    """A click on an object.

    Attributes:
        point: Where.
        offers: What may be meant.
        level: Which of these is selected.
        before: What was selected before.
    """

    point: PixelPoint
    offers: Offers
    level: int
    before: Selection | None


class SelectTab:
    """The tab, built where the page is just being built.

    Args:
        segmentation: What finds the object that is clicked on.
    """

    def __init__(self, context: PanelContext, segmentation: SegmentationConfig) -> None:
        self._context, self._segmentation = context, segmentation
        self._corners: list[PixelPoint] = []
        self._cloud: viser.PointCloudHandle | None = None
        self._clicks: list[ObjectClick] = []
        gui, by_hand = context.server.gui, context.by_hand
        self._pointer = gui.add_dropdown("Pointer", POINTERS, hint="What a click or a drag in the picture does")
        self._pointer.on_update(by_hand(lambda: self._point()))
        self._close = gui.add_button("Close polygon", visible=False)
        self._close.on_click(context.by_user(lambda _: self._close_polygon()))
        self._joining = gui.add_dropdown("New parts", get_args(Joining), hint="What becomes of the selection")
        self._joining.on_update(by_hand(lambda: self._join()))
        picker = context.picker
        changes = {"all": picker.everything, "invert": picker.invert, "clear": picker.clear}
        buttons = {name: lambda _, change=change: self._change(change, whole=True) for name, change in changes.items()}
        context.buttons("Selection", buttons)
        self._step = gui.add_number("Step, px", 5.0, min=1.0, max=200.0, step=1.0)
        context.buttons("Border", {"grow": lambda _: self._grow(1), "shrink": lambda _: self._grow(-1)})
        context.before_moving.append(self._look_around)
        self._feather = gui.add_slider("Feather, px", 0.0, 100.0, 1.0, 0.0, hint="Width of the soft border")
        self._feather.on_update(by_hand(lambda: self._change(lambda: picker.feather(self._feather.value))))

    def _change(self, change: Callable[[], None], *, whole: bool = False) -> None:
        """Change the selection; an edit that was under way is finished with the old one."""
        if whole:
            self._clicks = []
        self._context.session.history.finish()
        change()
        selection = self._context.picker.selection
        self._context.say("Nothing is selected." if selection is None else "Selected. Move it in the tab Move.")
        self._context.changed()
        if selection is not None:
            self._context.session.expect(selection)

    def _look_around(self) -> None:
        """Put the pointer down, so that the gizmo can be taken hold of."""
        if self._pointer.value != LOOK:
            self._pointer.value = LOOK
            self._point()

    def _point(self) -> None:
        pointer, scene = self._pointer.value, self._context.server.scene
        self._corners, self._clicks = [], []
        self._draw_corners()
        self._close.visible = pointer == POLYGON
        self._context.session.show_unedited(pointer != LOOK)
        if pointer == LOOK:
            scene.remove_pointer_callback()
            return
        handlers: dict[str, tuple[Any, Callable[[viser.ScenePointerEvent], None], str]] = {
            RECTANGLE: ("rect-select", self._rectangle, "Drag a rectangle over the picture, shown as it was fitted."),
            OBJECT: ("click", self._object, "Click on an object; again for more, elsewhere to add."),
            POLYGON: ("click", self._corner, "Click the corners, then close the polygon."),
        }
        kind, handler, help_text = handlers[pointer]
        scene.on_pointer_event(kind)(self._context.by_user(handler))
        self._context.say(help_text)

    def _rectangle(self, event: viser.ScenePointerEvent) -> None:
        (left, top), (right, bottom) = event.screen_pos
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        points = [point_on_page(event.client.camera, self._context.subject, *corner) for corner in corners]
        if any(point is None for point in points):
            raise GainerError("the rectangle reaches beyond what is there; draw it over the picture")
        self._look_around()
        self._change(lambda: self._context.picker.polygon([point for point in points if point is not None]))

    def _object(self, event: viser.ScenePointerEvent) -> None:
        self.click(clicked_point(event, self._context.subject))

    def click(self, point: PixelPoint) -> None:
        """Select what is clicked on: the region that stands out most there, or, clicked on again, the next larger."""
        picker, again = self._context.picker, False
        if self._clicks:
            near = SAME_PLACE_SHARE * max(picker.width, picker.height)
            again = math.dist(self._clicks[-1].point, point) <= near
        if again:
            *others, last = self._clicks
            now = replace(last, level=(last.level + 1) % len(last.offers.masks))
        else:
            self._context.say("Looking for the object ...")
            others = self._clicks if picker.joining == "replace" else []
            offers = self._proposer(self._colours, point)
            now = ObjectClick(point, offers, offers.first, picker.selection)
        clicks = [*others, now]
        mask = reduce(np.maximum, [click.offers.masks[click.level]() for click in clicks])

        def change() -> None:
            picker.selection = now.before if picker.joining != "replace" else picker.selection
            picker.mask(mask)

        self._change(change)
        self._clicks = clicks
        self._context.say(f"Region {now.level + 1} of {len(now.offers.masks)}; click again for the next larger.")

    def _corner(self, event: viser.ScenePointerEvent) -> None:
        self._corners.append(clicked_point(event, self._context.subject))
        self._draw_corners()
        self._context.say(f"{len(self._corners)} corners.")

    def _close_polygon(self) -> None:
        corners, self._corners = self._corners, []
        self._draw_corners()
        if len(corners) < 3:
            raise GainerError(f"a polygon has at least 3 corners, not {len(corners)}; click them in the picture")
        self._look_around()
        self._change(lambda: self._context.picker.polygon(corners))

    def _draw_corners(self) -> None:
        if self._cloud is not None:
            self._cloud.remove()
            self._cloud = None
        if self._corners:
            points = to_page(self._context.subject.in_world(torch.tensor(self._corners)), lift=OVERLAY_LIFT)
            self._cloud = self._context.server.scene.add_point_cloud(
                "/gainer/corners", points, CORNER_COLOUR, point_size=0.08
            )

    def _join(self) -> None:
        self._context.picker.joining = self._joining.value
        self._clicks = []

    def _grow(self, sign: int) -> None:
        self._change(lambda: self._context.picker.grow(sign * self._step.value))

    @cached_property
    def _proposer(self) -> Proposer:
        return load_proposer(self._segmentation, self._context.subject.fitted.device)

    @cached_property
    def _colours(self) -> Any:
        return self._context.subject.fitted.raster()[0].cpu().numpy()
