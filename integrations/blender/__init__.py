"""Blender extension: a picture as a cage of triangles, moved by Blender and drawn by the program ``gainer``.

Under the GPL, version 3 or later, as what imports Blender is; the rest of the project is not.
"""

import bpy

from . import operators, panel, settings

_CLASSES = (
    settings.GainerPreferences,
    settings.GainerSettings,
    operators.ImportCage,
    operators.RenderFrame,
    operators.RenderAnimation,
    panel.GainerPanel,
)


def register() -> None:
    """Let Blender know the extension; called when it is switched on."""
    for one in _CLASSES:
        bpy.utils.register_class(one)
    bpy.types.Scene.gainer = bpy.props.PointerProperty(type=settings.GainerSettings)


def unregister() -> None:
    """Take the extension out; files keep its settings."""
    del bpy.types.Scene.gainer
    for one in reversed(_CLASSES):
        bpy.utils.unregister_class(one)
