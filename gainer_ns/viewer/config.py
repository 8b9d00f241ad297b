"""How the edit panel is configured. Cheap to import: nerfstudio loads it at every start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gainer_ns.image.panel import PanelConfig
from gainer_ns.preparation.config import SegmentationConfig

if TYPE_CHECKING:
    from gainer_ns.viewer.control import EditControl


@dataclass
class EditPanelConfig(PanelConfig):
    """The panel by which pictures are edited in the viewer."""

    _target: type = field(default_factory=lambda: EditPanelConfig)
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    """What selects the object that is clicked on."""

    def setup(self, **kwargs: Any) -> EditControl:
        """Make the control that opens the panel once a viewer finds it."""
        from gainer_ns.viewer.control import EditControl

        return EditControl(self.segmentation)
