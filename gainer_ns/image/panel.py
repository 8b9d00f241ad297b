"""What a panel in nerfstudio's viewer needs of a model: a place to be found at, and another picture to be drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nerfstudio.configs.base_config import InstantiateConfig

from gainer_ns.rendering.redrawing import Redrawer


@dataclass
class PanelConfig(InstantiateConfig):
    """No panel: the viewer shows what was fitted. ``gainer_ns.viewer`` has one."""

    _target: type = field(default_factory=lambda: PanelConfig)

    def setup(self, **kwargs: Any) -> Any:
        """Make the ``ViewerControl`` that nerfstudio's viewer finds among a model's attributes; None for none."""
        return None


class PictureOverride(NamedTuple):
    """What cameras see in place of the fitted picture.

    Attributes:
        edit: Makes the picture to draw out of the fitted one.
        is_draft: Whether a fast picture is wanted rather than a fine one.
        redrawer: Keeps what was drawn for the same page before.
    """

    edit: Callable[[Any], Any]
    is_draft: bool
    redrawer: Redrawer


_override: ContextVar[PictureOverride | None] = ContextVar("_override", default=None)


@contextmanager
def picture_override_context(override: PictureOverride) -> Iterator[None]:
    """Draw another picture than the fitted one within this context, which other threads are not in."""
    token = _override.set(override)
    try:
        yield
    finally:
        _override.reset(token)


def picture_override() -> PictureOverride | None:
    """Return what is to be drawn in place of the fitted picture, if anything is."""
    return _override.get()
