"""Where nerfstudio's viewer, a model and the edit panel meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import viser
from jaxtyping import Float
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.viewer_elements import ViewerControl

from gainer_ns.errors import GainerError
from gainer_ns.image.fitted_model import FittedModel
from gainer_ns.image.trainer import PictureTrainer
from gainer_ns.io.outputs import is_exported
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.viewer.autosave import Autosave
from gainer_ns.viewer.config import EditPanelConfig
from gainer_ns.viewer.controls import draw_finely, hide_training, leave_depth_out
from gainer_ns.viewer.departures import survive_departures
from gainer_ns.viewer.desk import Desk
from gainer_ns.viewer.guard import guard
from gainer_ns.viewer.panel import build
from gainer_ns.viewer.picking import Picker
from gainer_ns.viewer.run_files import RunFiles
from gainer_ns.viewer.session import EditSession
from gainer_ns.viewer.subject import FlatSubject, LiftedSubject, Shown, Subject
from gainer_ns.viewer.view_space import keep_framed

if TYPE_CHECKING:
    from nerfstudio.viewer.viewer import Viewer

LOCAL = ("127.0.0.1", "localhost", "::1")


class EditControl(ViewerControl):
    """What a model carries, and nerfstudio's viewer finds there and sets up.

    Args:
        config: Of the panel.
    """

    def __init__(self, config: EditPanelConfig) -> None:
        self._config = config
        self._session: EditSession | None = None

    def edit(self, fitted: Shown) -> Shown:
        """Return the edited picture that pages are shown in place of the fitted one."""
        if self._session is None:
            return fitted
        if self._session.subject.fitted is not fitted:
            self._session.take(_subject(fitted))
        return self._session.shown

    def rest(self) -> None:
        """Leaves out of the page, if there is one, what only a training needs, and takes its time for the picture."""
        if self._session is None:
            return
        hide_training(self.viewer)
        if not self._session.subject.is_deep:
            draw_finely(self.viewer, self._session.subject.fitted.plane)

    def _setup(self, viewer: Viewer) -> None:
        super()._setup(viewer)
        guard(viewer.viser_server)
        survive_departures(viewer, self.edit)
        say_who_can_reach(viewer.config.websocket_host)
        subject = _subject(cast(FittedModel, viewer.pipeline.model).fitted())
        plane = subject.fitted.plane
        source = viewer.pipeline.datamanager.get_datapath()
        files = RunFiles(source if is_exported(source) else viewer.log_filename.parent)
        desk = Desk(viewer.viser_server, files)
        desk.session = self._session = EditSession(subject, viewer._trigger_rerender, desk.complain)
        desk.picker = Picker(plane.width, plane.height, files.write_mask)
        build(desk, self._config.segmentation, self._source, viewer.stats_markdown.order + 0.5)
        autosave = Autosave(desk)
        autosave.restore()
        desk.session.keep = autosave.keep
        viewer.viser_server.scene.set_up_direction("+y")
        viewer.config.max_num_display_images = 0  # the picture's camera stands where ours does, and would hide all
        viewer.hide_images.visible = viewer.show_images.visible = False
        if not subject.is_deep:
            leave_depth_out(viewer)
        if viewer.trainer is None:
            self.rest()
        elif isinstance(viewer.trainer, PictureTrainer):
            viewer.trainer.left_open_callbacks.append(self.rest)

        @viewer.viser_server.on_client_connect
        def _(client: viser.ClientHandle) -> None:
            keep_framed(client.camera, subject)

    def _source(self) -> Float[np.ndarray, "h w 3"] | None:
        data: Any = self.viewer.pipeline.datamanager.train_dataset
        try:
            return data[0]["image"].numpy()
        except (GainerError, OSError):
            return None


def _subject(fitted: Shown) -> Subject:
    return LiftedSubject(fitted) if isinstance(fitted, LiftedScene) else FlatSubject(fitted)


def say_who_can_reach(host: str) -> None:
    """Warns where others than this machine can open the page."""
    if host not in LOCAL:
        CONSOLE.print(
            f"Listening on {host}: anyone who can reach this machine over the network can use the viewer, edit and "
            "save; 127.0.0.1 as the host keeps it to this machine.",
            style="bold yellow",
        )
