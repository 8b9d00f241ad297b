"""Draws the figure of docs/blender.md with Blender's module bpy: a cage, the same bent, and what gainer makes of it.

python docs/scripts/blender_figure.py docs/images/blender.webp
"""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import bpy
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
WIDTH, CELLS, MARGIN = 384, 12, 25
"""Of the picture in pixels; cells of the cage along it; and how much around it is shown, in percent."""
BEND_DEGREES = 50
LINE_WIDTH = 0.004
"""Of the cage's edges, in widths of the picture."""
GAP_PX = 12


def installed(folder: Path) -> None:
    """Install the extension, and tell it where gainer is."""
    with zipfile.ZipFile(folder / "gainer.zip", "w") as archive:
        for path in (ROOT / "integrations" / "blender").glob("*.*"):
            archive.write(path, path.name)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(
        filepath=str(folder / "gainer.zip"), repo="user_default", enable_on_install=True
    )
    (addon,) = (one for one in bpy.context.preferences.addons if one.module.endswith(".gainer"))
    addon.preferences.program = shutil.which("gainer") or str(Path(sys.executable).with_name("gainer"))


def with_lines(cage: bpy.types.Object) -> bpy.types.Object:
    """Add the cage's edges, as an object that moves as it does."""
    lines = cage.copy()
    bpy.context.scene.collection.objects.link(lines)
    black = bpy.data.materials.new("lines")
    black.use_nodes = True
    black.node_tree.nodes.clear()
    emission, output = (black.node_tree.nodes.new(kind) for kind in ("ShaderNodeEmission", "ShaderNodeOutputMaterial"))
    emission.inputs["Color"].default_value = (1, 0.45, 0.05, 1)
    black.node_tree.links.new(emission.outputs[0], output.inputs[0])
    lines.data = cage.data.copy()
    lines.data.materials.clear()
    lines.data.materials.append(black)
    wire = lines.modifiers.new("lines", "WIREFRAME")
    wire.thickness, wire.use_even_offset = LINE_WIDTH, False
    lines.location.z = 0.01
    return lines


def looked_at(path: Path, width: int, height: int) -> None:
    """Draw the scene from above, so that a pixel of the picture is a pixel."""
    scene = bpy.context.scene
    if scene.camera is None:
        camera = bpy.data.cameras.new("above")
        camera.type = "ORTHO"
        scene.camera = bpy.data.objects.new("above", camera)
        scene.collection.objects.link(scene.camera)
        scene.camera.location.z = 2
    scene.camera.data.ortho_scale = width / WIDTH
    render = scene.render
    render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 32, "CPU"
    render.film_transparent, scene.view_settings.view_transform = True, "Standard"
    render.resolution_x, render.resolution_y, render.filepath = width, height, str(path)
    bpy.ops.render.render(write_still=True)


def main(target: Path) -> None:
    """Draw three pictures, and put them side by side."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        installed(folder)
        picture = folder / "photo.png"
        subprocess.run([sys.executable, ROOT / "data_scripts" / "draw_picture.py", picture, str(WIDTH)], check=True)
        words = bpy.context.scene.gainer
        words.scale = 1
        words.picture, words.cells, words.margin, words.frame_output = (
            str(picture),
            CELLS,
            MARGIN,
            f"{name}/made.png",
        )
        bpy.ops.gainer.import_cage()
        cage = bpy.context.object
        with Image.open(picture) as image:
            size = tuple(side * (100 + 2 * MARGIN) // 100 for side in image.size)
        lines = with_lines(cage)
        looked_at(folder / "cage.png", *size)
        for one in (cage, lines):
            bend = one.modifiers.new("bend", "SIMPLE_DEFORM")
            bend.deform_method, bend.deform_axis, bend.angle = "BEND", "Z", math.radians(BEND_DEGREES)
            if one is lines:
                bpy.context.view_layer.objects.active = lines
                bpy.ops.object.modifier_move_to_index(modifier="bend", index=0)
        looked_at(folder / "bent.png", *size)
        bpy.data.objects.remove(lines)
        bpy.context.view_layer.objects.active = cage
        cage.select_set(True)
        bpy.ops.gainer.render_frame()
        row = Image.new("RGBA", (3 * size[0] + 2 * GAP_PX, size[1]), "white")
        for place, drawn in enumerate(("cage", "bent", "made")):
            with Image.open(folder / f"{drawn}.png") as image:
                row.alpha_composite(image.convert("RGBA"), (place * (size[0] + GAP_PX), 0))
        row.convert("RGB").save(target, quality=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
