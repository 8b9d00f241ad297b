"""What a person sets: of the scene, kept in its file, and of this Blender."""

import shutil

import bpy


class GainerPreferences(bpy.types.AddonPreferences):
    """Where the program is."""

    bl_idname = __package__

    program: bpy.props.StringProperty(
        name="Program",
        description="The program gainer, for example /home/me/venv/bin/gainer; empty: the one that the system finds",
        subtype="FILE_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the page of the preferences."""
        self.layout.prop(self, "program")


class GainerSettings(bpy.types.PropertyGroup):
    """What is drawn, and how."""

    picture: bpy.props.StringProperty(
        name="Picture",
        description="A picture, a .safetensors file of gainer fit, or the config.yml of a run",
        subtype="FILE_PATH",
    )
    cells: bpy.props.IntProperty(
        name="Cells", description="Cells of the cage along the picture's longer side", default=24, min=1, max=1000
    )
    scale: bpy.props.FloatProperty(
        name="Scale", description="Drawn pixels for each of the picture's", default=1.0, min=0.01, max=16.0
    )
    margin: bpy.props.FloatProperty(
        name="Margin",
        description="How much is drawn beyond the picture on each side, as a part of its size",
        default=25.0,
        min=0.0,
        max=500.0,
        subtype="PERCENTAGE",
    )
    frame_output: bpy.props.StringProperty(
        name="Frame",
        description="Picture that the current frame is drawn to; empty: beside the cage",
        subtype="FILE_PATH",
    )
    film_output: bpy.props.StringProperty(
        name="Film",
        description="Film (.mp4, .webm, .mov, .apng, .webp, .gif) or folder that the animation is drawn to; "
        "empty: beside the cage",
        subtype="FILE_PATH",
    )


def program(context: bpy.types.Context) -> str | None:
    """Return the program gainer; None where there is none."""
    addon = context.preferences.addons.get(__package__)
    named = bpy.path.abspath(addon.preferences.program) if addon is not None else ""
    return shutil.which(named or "gainer")
