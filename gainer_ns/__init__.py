"""GaINeR: a picture as Gaussians on a plane that a person can move.

>>> import gainer_ns as gn
>>> picture = gn.fit("cat.png")
>>> picture.edit({"rotate": {"degrees": 20}}).save("cat_turned.png")

What is listed here is imported when it is first asked for, so ``import gainer_ns`` itself takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gainer_ns.api import fit, lift, load
    from gainer_ns.errors import GainerError
    from gainer_ns.film import Film
    from gainer_ns.picture import Picture

    __version__: str

__all__ = ["Film", "GainerError", "Picture", "__version__", "fit", "lift", "load"]

_HOMES = {
    "Film": "gainer_ns.film",
    "GainerError": "gainer_ns.errors",
    "Picture": "gainer_ns.picture",
    "fit": "gainer_ns.api",
    "lift": "gainer_ns.api",
    "load": "gainer_ns.api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("gainer_ns")
    if name not in _HOMES:
        raise AttributeError(f"module 'gainer_ns' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
