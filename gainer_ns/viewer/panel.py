"""The edit panel as a whole: a folder in nerfstudio's viewer, with a tab for each thing one does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from gainer_ns.preparation.config import SegmentationConfig
from gainer_ns.viewer.desk import Desk
from gainer_ns.viewer.files_tab import FilesTab
from gainer_ns.viewer.film_tab import FilmTab
from gainer_ns.viewer.move_tab import MoveTab
from gainer_ns.viewer.overlays import Overlays
from gainer_ns.viewer.select_tab import SelectTab
from gainer_ns.viewer.view_space import frame


def build(
    desk: Desk,
    segmentation: SegmentationConfig,
    source: Callable[[], Float[np.ndarray, "h w 3"] | None],
    order: float,
) -> None:
    """Builds the panel in a viewer's page.

    Args:
        desk: What its parts share.
        segmentation: What finds the object that is clicked on.
        source: The picture that was fitted, if it is at hand.
        order: Where in the page: after what has a lower number.
    """
    gui = desk.server.gui
    with gui.add_folder("Edit", order=order):
        desk.open()
        tabs = gui.add_tab_group()
        with tabs.add_tab("Select"):
            SelectTab(desk, segmentation)
            Overlays(desk, source)
        with tabs.add_tab("Move"):
            MoveTab(desk)
        with tabs.add_tab("Film"):
            FilmTab(desk)
        with tabs.add_tab("Files"):
            FilesTab(desk)
        gui.add_button("Frame the picture", hint="Puts the camera where it shows the picture exactly").on_click(
            desk.by_hand(lambda event: frame(event.client.camera, desk.subject))
        )
