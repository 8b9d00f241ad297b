"""What the buttons do."""

import tempfile
from pathlib import Path

import bpy

from .cages import MODEL, REFERENCE, import_cage, size_px, write_cages
from .running import GainerProblem, gainer


class _Operator(bpy.types.Operator):
    """Shows a problem as a message of Blender's."""

    bl_options = {"REGISTER"}  # noqa: RUF012 (Blender's own protocol)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Run the button's work."""
        try:
            self.report({"INFO"}, self.work(context))
        except GainerProblem as problem:
            self.report({"ERROR"}, str(problem))
            return {"CANCELLED"}
        return {"FINISHED"}


class ImportCage(_Operator):
    """Fit the picture, and add a mesh over it that shows it and can be bent."""

    bl_idname = "gainer.import_cage"
    bl_label = "Import as cage"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    def work(self, context: bpy.types.Context) -> str:
        """Import the cage; return what to tell."""
        asked = context.scene.gainer
        if not asked.picture:
            raise GainerProblem("choose a picture first")
        cage = import_cage(context, Path(bpy.path.abspath(asked.picture)), asked.cells)
        return f"{cage.name}: {len(cage.data.vertices)} vertices; bend it, and render it with gainer"


class _Render(_Operator):
    """Draws the active cage by ``gainer bind``."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Return whether a cage is active."""
        return context.object is not None and MODEL in context.object

    def bind(self, context: bpy.types.Context, output: Path, first: int, last: int) -> None:
        """Draw frames of the active cage into a file or a folder."""
        cage, asked = context.object, context.scene.gainer
        width, height = size_px(cage)
        part = asked.margin / 100
        canvas = (-part * width, -part * height, (1 + part) * width, (1 + part) * height)
        rate = context.scene.render.fps / context.scene.render.fps_base
        with tempfile.TemporaryDirectory() as folder:
            write_cages(context, cage, Path(folder), first, last)
            words = ["--load-config", cage[MODEL], "--reference", cage[REFERENCE], "--frames", folder]
            words += ["--output", output, "--scale", asked.scale, "--fps", rate, "--canvas", *canvas]
            gainer(context, "bind", *words)


class RenderFrame(_Render):
    """Draw the current frame of the active cage with gainer, and show it in the Image Editor."""

    bl_idname = "gainer.render_frame"
    bl_label = "Render frame"

    def work(self, context: bpy.types.Context) -> str:
        """Draw the frame; return what to tell."""
        output = _output(context, context.scene.gainer.frame_output, "frame.png")
        now = context.scene.frame_current
        self.bind(context, output, now, now)
        image = bpy.data.images.load(str(output), check_existing=True)
        image.reload()
        for area in context.screen.areas if context.screen else ():
            if area.type == "IMAGE_EDITOR":
                area.spaces.active.image = image
        return f"Wrote {output}"


class RenderAnimation(_Render):
    """Draw all frames of the scene with gainer, as a film or a folder."""

    bl_idname = "gainer.render_animation"
    bl_label = "Render animation"

    def work(self, context: bpy.types.Context) -> str:
        """Draw the film; return what to tell."""
        output = _output(context, context.scene.gainer.film_output, "film.mp4")
        self.bind(context, output, context.scene.frame_start, context.scene.frame_end)
        return f"Wrote {output}"


def _output(context: bpy.types.Context, asked: str, usual: str) -> Path:
    return Path(bpy.path.abspath(asked)) if asked else Path(context.object[REFERENCE]).with_name(usual)
