"""How the edit panel is configured. Cheap to import: nerfstudio loads it at every start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gainer_ns.image.panel import Panel, PanelConfig
from gainer_ns.preparation.segmentation import SegmentationConfig


@dataclass
class EditPanelConfig(PanelConfig):
    """The panel by which pictures are edited in the viewer."""

    _target: type = field(default_factory=lambda: EditPanelConfig)
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    """What selects the object that is clicked on."""

    def setup(self, **kwargs: Any) -> Panel | None:
        """Makes the panel of a ``model``; it opens once a viewer finds it there."""
        from gainer_ns.viewer.control import EditControl

        return EditControl(self, kwargs["model"])
