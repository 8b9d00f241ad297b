"""The tab *GaINeR* in the sidebar of the 3D view."""

import bpy

from .cages import MODEL


class GainerPanel(bpy.types.Panel):
    """Choose a picture, import it as a cage, render the cage."""

    bl_idname = "VIEW3D_PT_gainer"
    bl_label = "GaINeR"
    bl_category = "GaINeR"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        asked, layout = context.scene.gainer, self.layout
        for name in ("picture", "cells"):
            layout.prop(asked, name)
        layout.operator("gainer.import_cage", icon="MESH_GRID")
        layout.separator()
        if context.object is None or MODEL not in context.object:
            layout.label(text="Select a cage to render it", icon="INFO")
        for name in ("scale", "margin", "frame_output"):
            layout.prop(asked, name)
        layout.operator("gainer.render_frame", icon="RENDER_STILL")
        layout.prop(asked, "film_output")
        layout.operator("gainer.render_animation", icon="RENDER_ANIMATION")
