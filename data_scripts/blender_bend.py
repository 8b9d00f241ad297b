"""Bends a cage with keyframes in Blender, and writes each frame as a mesh for ``gainer bind``.

Runs inside Blender, or in a Python that has Blender's module ``bpy``:

    blender --background --python data_scripts/blender_bend.py -- cage.obj FRAMES --degrees 40 --frames 24
    .venv/bin/python data_scripts/blender_bend.py cage.obj FRAMES --degrees 40 --frames 24

Blender and bpy are under the GPL, version 3. gainer_ns never imports this file: the two exchange files only.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import bpy  # pyright: ignore[reportMissingImports]

AXES = {"forward_axis": "Y", "up_axis": "Z"}
"""Coordinates as they stand in the file: x right, y up, z towards the viewer."""


def parse(words: list[str]) -> argparse.Namespace:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(prog="blender_bend.py", description=__doc__.splitlines()[0])
    parser.add_argument("cage", type=Path, help="mesh of gainer export: .obj or .ply")
    parser.add_argument("frames_folder", type=Path, metavar="FRAMES", help="folder for frame_00000 and so on")
    parser.add_argument("--degrees", type=float, default=40.0, help="bend of the last frame, counter-clockwise ends up")
    parser.add_argument("--frames", type=int, default=24, help="how many frames; the first is unmoved")
    arguments = parser.parse_args(words)
    if arguments.cage.suffix.lower() not in (".obj", ".ply") or not arguments.cage.is_file():
        parser.error(f"{arguments.cage}: no .obj or .ply file")
    if arguments.frames < 1:
        parser.error("--frames: at least one")
    return arguments


def imported(cage: Path) -> bpy.types.Object:
    """Reads a mesh into an empty scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if cage.suffix.lower() == ".obj":
        bpy.ops.wm.obj_import(filepath=str(cage), use_split_objects=False, validate_meshes=False, **AXES)
    else:
        bpy.ops.wm.ply_import(filepath=str(cage), merge_verts=False, **AXES)
    return bpy.context.selected_objects[0]


def bend(mesh: bpy.types.Object, degrees: float, frames: int) -> None:
    """Bends a mesh in the plane of the picture, from not at all to fully: its left and right ends go up."""
    # Simple Deform bends around its origin's axes. Around Z it curls x towards y, which is in the plane of the picture.
    modifier = mesh.modifiers.new("bend", "SIMPLE_DEFORM")
    modifier.deform_method, modifier.deform_axis = "BEND", "Z"
    for frame, angle in ((0, 0.0), (max(1, frames - 1), math.radians(degrees))):
        modifier.angle = angle
        modifier.keyframe_insert("angle", frame=frame)


def export(mesh: bpy.types.Object, folder: Path, suffix: str, frames: int) -> None:
    """Writes the mesh at each frame; vertices and faces keep their order."""
    folder.mkdir(parents=True, exist_ok=True)
    mesh.select_set(True)
    for frame in range(frames):
        bpy.context.scene.frame_set(frame)
        path = str(folder / f"frame_{frame:05d}{suffix}")
        if suffix == ".obj":
            bpy.ops.wm.obj_export(
                filepath=path, export_selected_objects=True, export_materials=False, export_normals=False, **AXES
            )
        else:
            # With texture coordinates Blender would write the vertices in another order.
            bpy.ops.wm.ply_export(filepath=path, export_selected_objects=True, export_uv=False, **AXES)


def main() -> None:
    """Bends the cage and writes the frames."""
    # Blender keeps its own arguments before the two dashes.
    words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    arguments = parse(words)
    mesh = imported(arguments.cage)
    bend(mesh, arguments.degrees, arguments.frames)
    export(mesh, arguments.frames_folder, arguments.cage.suffix.lower(), arguments.frames)


if __name__ == "__main__":
    main()
