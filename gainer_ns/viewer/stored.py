"""A stored picture in nerfstudio's viewer: what a run would have had of it, made of the file alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.pipelines.base_pipeline import VanillaPipelineConfig

from gainer_ns.image.datamanager import PictureDataManagerConfig
from gainer_ns.image.dataparser import PictureDataParser, PictureDataParserConfig
from gainer_ns.image.picture_model import PictureModel, PictureModelConfig
from gainer_ns.image.trainer import PictureTrainerConfig
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer.config import EditPanelConfig


class StoredModel(PictureModel):
    """Draws a stored picture; nothing of it is fitted."""

    checkpoint_version = 0

    def fitted(self) -> BakedPicture:
        """Return the picture."""
        return self.kwargs["metadata"]["picture"]


@dataclass
class StoredParserConfig(PictureDataParserConfig):
    """A stored picture instead of a picture file."""

    _target: type = field(default_factory=lambda: StoredParser)
    picture: BakedPicture | None = None
    """What ``data`` holds."""


class StoredParser(PictureDataParser):
    """Places a camera before a stored picture; whoever asks for what it was fitted to is told that there is none."""

    config: StoredParserConfig

    def _generate_dataparser_outputs(self, split: str = "train", **_: Any) -> DataparserOutputs:
        picture = self.config.picture
        assert picture is not None
        facts = {"bit_depth": picture.bit_depth, "profile": picture.profile, "opacity": None, "picture": picture}
        return self._outputs(picture.plane, picture.plane, facts)


@dataclass
class StoredConfig(PictureTrainerConfig):
    """Of a run that never was."""

    def get_base_dir(self) -> Path:
        """Return the folder of the stored picture, which is there: nothing is made until something is to be kept."""
        path = self.pipeline.datamanager.data
        assert path is not None
        return path.parent


def view_stored(path: Path, picture: BakedPicture, viewer: ViewerConfig) -> None:
    """Start nerfstudio's viewer, which runs until it is interrupted.

    Args:
        path: The file, beside which edits are kept.
        picture: What it holds, where it is to be drawn.
        viewer: How the viewer listens.
    """
    from nerfstudio.scripts.viewer import run_viewer

    path = path.absolute()
    data = PictureDataManagerConfig(data=path, dataparser=StoredParserConfig(data=path, picture=picture))
    model = PictureModelConfig(_target=StoredModel, panel=EditPanelConfig())
    config = StoredConfig(
        method_name="gainer",
        pipeline=VanillaPipelineConfig(datamanager=data, model=model),
        vis="viewer",
        viewer=viewer,
    )
    pipeline = config.pipeline.setup(device=str(picture.device), test_mode="inference")  # which reads no pixels
    run_viewer._start_viewer(config, pipeline, 0)
