"""Runs in a Python that has Blender's module bpy: installs the extension, and uses it as its buttons do.

python blender_session.py EXTENSION.zip PICTURE PROGRAM OUTPUT_FOLDER
"""

import json
import math
import sys
from pathlib import Path

import bpy

extension, picture, program, folder = sys.argv[1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.extensions.package_install_files(filepath=extension, repo="user_default", enable_on_install=True)
(addon,) = (one for one in bpy.context.preferences.addons if one.module.endswith(".gainer"))
addon.preferences.program = program

said: dict[str, object] = {}


def refused(call, **words) -> str:
    """What a button says of wrong input."""
    try:
        call(**words)
    except RuntimeError as error:
        return str(error)
    return ""


scene = bpy.context.scene
scene.frame_start, scene.frame_end = 1, 3
said["no picture"] = refused(bpy.ops.gainer.import_cage)
scene.gainer.picture = __file__
said["no such kind"] = refused(bpy.ops.gainer.import_cage)
said["is polled"] = bpy.ops.gainer.render_frame.poll()

scene.gainer.picture, scene.gainer.cells, scene.gainer.margin = picture, 16, 50
scene.gainer.frame_output, scene.gainer.film_output = f"{folder}/frame.png", f"{folder}/frames"
assert bpy.ops.gainer.import_cage() == {"FINISHED"}
cage = bpy.context.object
(texture,) = (node for node in cage.active_material.node_tree.nodes if node.type == "TEX_IMAGE")
said["cage"] = {
    "reference": cage["gainer_reference"],
    "model": cage["gainer_model"],
    "size": list(texture.image.size),
    "vertices": [tuple(vertex.co) for vertex in cage.data.vertices],
    "uv": [tuple(loop.uv) for loop in cage.data.uv_layers.active.data],
    "corners": [loop.vertex_index for loop in cage.data.loops],
}

bend = cage.modifiers.new("bend", "SIMPLE_DEFORM")
bend.deform_method, bend.deform_axis = "BEND", "Z"
for frame, angle in ((1, 0.0), (3, math.radians(40))):
    bend.angle = angle
    bend.keyframe_insert("angle", frame=frame)
scene.frame_set(3)
assert bpy.ops.gainer.render_frame() == {"FINISHED"}
assert bpy.ops.gainer.render_animation() == {"FINISHED"}

bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/kept.blend")
bpy.ops.wm.open_mainfile(filepath=f"{folder}/kept.blend")
kept = bpy.context.scene.gainer
said["kept"] = [kept.picture, kept.cells, kept.margin, bpy.context.object["gainer_model"]]

bpy.context.object.modifiers.new("finer", "SUBSURF")
said["other vertices"] = refused(bpy.ops.gainer.render_frame)
Path(folder, "said.json").write_text(json.dumps(said), "utf8")
