"""Where an edit panel, if there is one, has its say in what the viewer shows of a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from nerfstudio.configs.base_config import InstantiateConfig

Picture = TypeVar("Picture")


class Panel(Protocol):
    """Shows something else than what was fitted."""

    def wants_drafts(self) -> bool:
        """Whether the picture being drawn is one of many while something moves: wanted fast rather than fine."""
        ...

    def shown(self, fitted: Picture) -> Picture:
        """What cameras are to see, given what was fitted."""
        ...

    def rest(self) -> None:
        """To be called in a viewer where nothing is fitted any more."""
        ...


@dataclass
class PanelConfig(InstantiateConfig):
    """No panel: the viewer shows what was fitted. ``gainer_ns.viewer`` has one."""

    _target: type = field(default_factory=lambda: PanelConfig)

    def setup(self, **kwargs: Any) -> Panel | None:
        """Makes the panel of a ``model``."""
        return None
