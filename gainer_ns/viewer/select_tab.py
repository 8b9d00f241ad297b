"""The tab that selects: by rectangle, object or polygon, and by what is made of that."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, get_args

import torch
import viser

from gainer_ns.errors import GainerError
from gainer_ns.preparation.config import SegmentationConfig
from gainer_ns.preparation.prompts import Prompt
from gainer_ns.preparation.segmentation import Segmenter
from gainer_ns.viewer.desk import Desk
from gainer_ns.viewer.picking import Joining
from gainer_ns.viewer.subject import Place
from gainer_ns.viewer.view_space import LIFT, place_on_page, to_page

LOOK, RECTANGLE, OBJECT, POLYGON = POINTERS = ("look around", "rectangle", "object", "polygon")
CORNER_COLOUR = (255, 0, 255)


class SelectTab:
    """Builds the tab where the page is just being built.

    Args:
        desk: What the panel shares.
        segmentation: What finds the object that is clicked on.
    """

    def __init__(self, desk: Desk, segmentation: SegmentationConfig) -> None:
        self._desk, self._segmentation = desk, segmentation
        self._corners: list[Place] = []
        self._cloud: viser.PointCloudHandle | None = None
        self._clicks: list[Place] = []
        gui, by_hand = desk.server.gui, desk.by_hand
        self._pointer = gui.add_dropdown("Pointer", POINTERS, hint="What a click or a drag in the picture does")
        self._pointer.on_update(by_hand(lambda _: self._point()))
        self._close = gui.add_button("Close polygon", visible=False)
        self._close.on_click(by_hand(lambda _: self._close_polygon()))
        self._joining = gui.add_dropdown("New parts", get_args(Joining), hint="What becomes of the selection")
        self._joining.on_update(by_hand(lambda _: self._join()))
        picker = desk.picker
        whole = {"all": picker.everything, "invert": picker.invert, "clear": picker.clear}
        desk.buttons(
            "Selection", {name: lambda _, change=change: self._whole(change) for name, change in whole.items()}
        )
        self._step = gui.add_number("Step, px", 5.0, min=1.0, max=200.0, step=1.0)
        desk.buttons("Border", {"grow": lambda _: self._grow(1), "shrink": lambda _: self._grow(-1)})
        desk.before_moving.append(self._look_around)
        self._feather = gui.add_slider("Feather, px", 0.0, 100.0, 1.0, 0.0, hint="Width of the soft border")
        self._feather.on_update(by_hand(lambda _: self._then(lambda: desk.picker.feather(self._feather.value))))

    def _then(self, action: Callable[[], None]) -> None:
        """Changes the selection; an edit that was under way is finished with the old one."""
        self._desk.session.history.finish()
        action()
        selection = self._desk.picker.selection
        self._desk.say("Nothing is selected." if selection is None else "Selected. Move it in the tab Move.")
        self._desk.changed()
        if selection is not None:
            self._desk.session.expect(selection)

    def _look_around(self) -> None:
        """Puts the pointer down, so that the gizmo can be taken hold of."""
        if self._pointer.value != LOOK:
            self._pointer.value = LOOK
            self._point()

    def _point(self) -> None:
        pointer, scene = self._pointer.value, self._desk.server.scene
        self._corners, self._clicks = [], []
        self._draw_corners()
        self._close.visible = pointer == POLYGON
        self._desk.session.show_unedited(pointer != LOOK)
        if pointer == LOOK:
            scene.remove_pointer_callback()
            return
        handlers: dict[str, tuple[Any, Callable[[viser.ScenePointerEvent], None], str]] = {
            RECTANGLE: ("rect-select", self._rectangle, "Drag a rectangle over the picture, shown as it was fitted."),
            OBJECT: ("click", self._object, "Click on an object; further clicks add to it."),
            POLYGON: ("click", self._corner, "Click the corners, then close the polygon."),
        }
        kind, handler, help_text = handlers[pointer]
        scene.on_pointer_event(kind)(self._desk.by_hand(handler))
        self._desk.say(help_text)

    def _rectangle(self, event: viser.ScenePointerEvent) -> None:
        (left, top), (right, bottom) = event.screen_pos
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        places = [place_on_page(event.client.camera, self._desk.subject, *corner) for corner in corners]
        if any(place is None for place in places):
            raise GainerError("the rectangle reaches beyond what is there; draw it over the picture")
        self._look_around()
        self._then(lambda: self._desk.picker.polygon([place for place in places if place is not None]))

    def _object(self, event: viser.ScenePointerEvent) -> None:
        picker = self._desk.picker
        place = self._clicked(event)
        self._clicks = [*self._clicks, place] if picker.joining == "replace" else [place]
        prompt = Prompt(clicks=tuple(self._clicks))
        prompt.check(picker.width, picker.height)
        self._desk.say("Looking for the object ...")
        mask = self._segmenter(self._colours, prompt)
        self._then(lambda: picker.mask(mask))

    def _corner(self, event: viser.ScenePointerEvent) -> None:
        self._corners.append(self._clicked(event))
        self._draw_corners()
        self._desk.say(f"{len(self._corners)} corners.")

    def _clicked(self, event: viser.ScenePointerEvent) -> Place:
        place = place_on_page(event.client.camera, self._desk.subject, *event.screen_pos[0])
        if place is None:
            raise GainerError("there is nothing there; click on the picture")
        return place

    def _close_polygon(self) -> None:
        corners, self._corners = self._corners, []
        self._draw_corners()
        if len(corners) < 3:
            raise GainerError(f"a polygon has at least 3 corners, not {len(corners)}; click them in the picture")
        self._look_around()
        self._then(lambda: self._desk.picker.polygon(corners))

    def _draw_corners(self) -> None:
        if self._cloud is not None:
            self._cloud.remove()
            self._cloud = None
        if self._corners:
            points = to_page(self._desk.subject.in_world(torch.tensor(self._corners)), lift=LIFT)
            self._cloud = self._desk.server.scene.add_point_cloud(
                "/gainer/corners", points, CORNER_COLOUR, point_size=0.08
            )

    def _join(self) -> None:
        self._desk.picker.joining = self._joining.value
        self._clicks = []

    def _whole(self, change: Callable[[], None]) -> None:
        self._clicks = []
        self._then(change)

    def _grow(self, way: int) -> None:
        self._then(lambda: self._desk.picker.grow(way * self._step.value))

    @cached_property
    def _segmenter(self) -> Segmenter:
        return self._segmentation.segmenter(self._desk.subject.fitted.device)

    @cached_property
    def _colours(self) -> Any:
        return self._desk.subject.fitted.raster()[0].cpu().numpy()
