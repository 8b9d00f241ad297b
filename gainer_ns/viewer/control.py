"""The control by which nerfstudio's viewer opens the edit panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import viser
from jaxtyping import Float
from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.viewer_elements import ViewerControl

from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.image.fitted_model import FittedModel
from gainer_ns.image.trainer import PictureTrainer
from gainer_ns.io.outputs import is_exported
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.viewer.arrange_tab import ArrangeTab
from gainer_ns.viewer.bones_tab import BonesTab
from gainer_ns.viewer.context import PanelContext
from gainer_ns.viewer.departures import survive_departures
from gainer_ns.viewer.edit_chooser import EditChooser
from gainer_ns.viewer.files_tab import Autosave, FilesTab
from gainer_ns.viewer.film_tab import FilmTab
from gainer_ns.viewer.guard import guard
from gainer_ns.viewer.move_tab import MoveTab
from gainer_ns.viewer.overlays import Overlays
from gainer_ns.viewer.picking import Picker
from gainer_ns.viewer.pins_tab import PinsTab
from gainer_ns.viewer.run_files import RunFiles
from gainer_ns.viewer.select_tab import SelectTab
from gainer_ns.viewer.session import EditSession
from gainer_ns.viewer.simulate_tab import SimulateTab
from gainer_ns.viewer.subject import AnyPicture, FlatSubject, LiftedSubject, Subject
from gainer_ns.viewer.view_space import frame, keep_framed

if TYPE_CHECKING:
    from nerfstudio.viewer.viewer import Viewer

    from gainer_ns.preparation.config import SegmentationConfig

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
MAX_PAGE_SIDE_PX, MIN_PAGE_SIDE_PX = 1600, 512
"""Longer side of what the page is sent, at most and at least: what two cores draw within a second, and what fills a
usual screen; and nerfstudio's own."""
MAX_PAGE_PX_PER_PIXEL = 4
"""Pixels of the page for one of the picture, along a side, beyond which there is nothing finer to be seen."""
JPEG_QUALITY = 90
"""Of a JPEG that is to be looked at, which nerfstudio's own 75 is not."""


class EditControl(ViewerControl):
    """The control that nerfstudio's viewer finds among a model's attributes and sets up: it opens the panel.

    nerfstudio's own controls have no public names; those that do not suit a picture are set by their private ones.

    Args:
        segmentation: What selects the object that is clicked on.
    """

    def __init__(self, segmentation: SegmentationConfig) -> None:
        self._segmentation = segmentation
        self._session: EditSession | None = None

    def edit(self, fitted: AnyPicture) -> AnyPicture:
        """Return the edited picture that pages are shown in place of the fitted one."""
        if self._session is None:
            return fitted
        if self._session.subject.fitted is not fitted:
            self._session.take(_subject(fitted))
        return self._session.shown

    def is_playing(self) -> bool:
        """Return whether a film plays."""
        return self._session is not None and self._session.is_playing

    def rest(self) -> None:
        """Leave out of the page, if there is one, what only a training needs, and draw more finely."""
        if self._session is None:
            return
        panel = self.viewer.control_panel
        for part in (self.viewer.pause_train, self.viewer.resume_train, self.viewer.stats_markdown):
            part.visible = False  # nothing but a press of these very buttons would show them again
        for element in (panel._train_speed, panel._train_util):
            element.set_visible(False)
        if not self._session.subject.is_deep:
            draw_finely(self.viewer, self._session.subject.fitted.plane)

    def _setup(self, viewer: Viewer) -> None:
        super()._setup(viewer)
        guard(viewer.viser_server)
        survive_departures(viewer, self.edit, self.is_playing)
        say_who_can_reach(viewer.config.websocket_host)
        subject = _subject(cast(FittedModel, viewer.pipeline.model).fitted())
        plane = subject.fitted.plane
        source = viewer.pipeline.datamanager.get_datapath()
        files = RunFiles(source if is_exported(source) else viewer.log_filename.parent)
        context = PanelContext(viewer.viser_server, files)
        context.session = self._session = EditSession(subject, viewer._trigger_rerender, context.complain)
        context.picker = Picker(plane.width, plane.height, files.write_mask)
        self._build(context)
        autosave = Autosave(context)
        autosave.restore()
        context.session.watchers.append(autosave.keep)
        viewer.viser_server.scene.set_up_direction("+y")
        viewer.config.max_num_display_images = 0  # the picture's camera stands where ours does, and would hide all
        viewer.hide_images.visible = viewer.show_images.visible = False
        if not subject.is_deep:  # depth takes longer to send than to draw, and hides nothing but what lies behind
            viewer.control_panel._layer_depth.value = False
        if viewer.trainer is None:
            self.rest()
        elif isinstance(viewer.trainer, PictureTrainer):
            viewer.trainer.left_open_callbacks.append(self.rest)

        @viewer.viser_server.on_client_connect
        def _(client: viser.ClientHandle) -> None:
            keep_framed(client.camera, subject)

    def _build(self, context: PanelContext) -> None:
        """Build the panel in the page: a folder with a tab for each thing one does."""
        gui = context.server.gui
        with gui.add_folder("Edit", order=self.viewer.stats_markdown.order + 0.5):
            context.open()
            chooser = EditChooser(context)
            tabs = gui.add_tab_group()
            with tabs.add_tab("Select"):
                SelectTab(context, self._segmentation)
                Overlays(context, self._source)
            with tabs.add_tab("Move"):
                MoveTab(context)
            if not context.subject.is_deep:
                with tabs.add_tab("Pins"):
                    PinsTab(context, chooser)
                with tabs.add_tab("Bones"):
                    BonesTab(context, chooser)
            with tabs.add_tab("Arrange"):
                ArrangeTab(context, chooser)
            with tabs.add_tab("Film"):
                FilmTab(context, chooser)
            with tabs.add_tab("Simulate"):
                SimulateTab(context)
            with tabs.add_tab("Files"):
                FilesTab(context)
            gui.add_button("Frame the picture", hint="Puts the camera where it shows the picture exactly").on_click(
                context.by_user(lambda event: frame(event.client.camera, context.subject))
            )

    def _source(self) -> Float[np.ndarray, "h w 3"] | None:
        """Return the picture that was fitted, if it is at hand."""
        data: Any = self.viewer.pipeline.datamanager.train_dataset
        try:
            return data[0]["image"].numpy()
        except (GainerError, OSError):
            return None


def _subject(fitted: AnyPicture) -> Subject:
    return LiftedSubject(fitted) if isinstance(fitted, LiftedScene) else FlatSubject(fitted)


def draw_finely(viewer: Viewer, plane: ImagePlane) -> None:
    """Draw a flat picture as finely as pages show it; they do not tell how many pixels they have."""
    if viewer.config.jpeg_quality == ViewerConfig().jpeg_quality:  # and nobody has asked for another
        viewer.config.jpeg_quality = JPEG_QUALITY
    side = MAX_PAGE_PX_PER_PIXEL * max(plane.width, plane.height)
    viewer.control_panel._max_res.value = min(MAX_PAGE_SIDE_PX, max(MIN_PAGE_SIDE_PX, side))


def say_who_can_reach(host: str) -> None:
    """Warn where others than this machine can open the page."""
    if host not in LOOPBACK_HOSTS:
        CONSOLE.print(
            f"Listening on {host}: anyone who can reach this machine over the network can use the viewer, edit and "
            "save; 127.0.0.1 as the host keeps it to this machine.",
            style="bold yellow",
        )
