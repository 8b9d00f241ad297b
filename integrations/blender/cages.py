"""The cage of a picture as an object: made, shown with its picture, and written as it is posed."""

from pathlib import Path

import bpy

from .running import GainerProblem, gainer

AXES = {"forward_axis": "Y", "up_axis": "Z"}
"""Coordinates as they stand in the file: x right, y up, z towards the viewer."""
MODEL, REFERENCE = "gainer_model", "gainer_reference"
"""Properties of a cage: the fitted picture, and the mesh as it was before it moved."""
_MODELS = (".safetensors", ".yml", ".yaml")


def import_cage(context: bpy.types.Context, picture: Path, cells: int) -> bpy.types.Object:
    """Fit a picture unless it is fitted, and add its cage to the scene.

    What that takes is written to a folder beside the picture.

    Raises:
        GainerProblem: gainer refuses the picture.
    """
    if not picture.is_file():
        raise GainerProblem(f"{picture}: there is no such file")
    folder = picture.parent / f"{picture.stem}_gainer"
    model = picture
    if picture.suffix.lower() not in _MODELS:
        model = folder / "picture.safetensors"
        gainer(context, "fit", picture, "--output", model)
    reference, pixels = folder / f"cage_{cells}.obj", folder / "picture.png"
    gainer(context, "export", "--load-config", model, "--format", "cage", "--cells", cells, "--output", reference)
    gainer(context, "render", "--load-config", model, "--output", pixels)
    bpy.ops.object.select_all(action="DESELECT")
    bpy.ops.wm.obj_import(filepath=str(reference), use_split_objects=False, validate_meshes=False, **AXES)
    cage = context.selected_objects[0]
    cage.name = picture.stem
    cage[MODEL], cage[REFERENCE] = str(model), str(reference)
    cage.data.materials.clear()
    cage.data.materials.append(_material(pixels))
    context.view_layer.objects.active = cage
    return cage


def write_cages(context: bpy.types.Context, cage: bpy.types.Object, folder: Path, first: int, last: int) -> None:
    """Write a cage as it is posed in each frame, frame_0001.obj and so on.

    Raises:
        GainerProblem: A modifier has made other vertices of it.
    """
    posed = cage.evaluated_get(context.evaluated_depsgraph_get())
    if len(posed.data.vertices) != len(cage.data.vertices):
        raise GainerProblem(
            f"{cage.name}: its modifiers make {len(posed.data.vertices)} of {len(cage.data.vertices)} vertices; "
            "leave out Subdivision, Mirror, Decimate and the like, or import a finer cage"
        )
    bpy.ops.object.select_all(action="DESELECT")
    cage.select_set(True)
    bpy.ops.wm.obj_export(
        filepath=str(folder / "frame_.obj"),
        export_animation=True,
        start_frame=first,
        end_frame=last,
        export_selected_objects=True,
        export_materials=False,
        export_normals=False,
        export_uv=False,
        **AXES,
    )


def size_px(cage: bpy.types.Object) -> tuple[int, int]:
    """Return the width and height of a cage's picture."""
    nodes = cage.active_material.node_tree.nodes
    return tuple(next(node.image.size for node in nodes if node.type == "TEX_IMAGE"))


def _material(pixels: Path) -> bpy.types.Material:
    """Make a material that shows a picture as it is, without light, and nothing beyond it."""
    material = bpy.data.materials.new(pixels.parent.stem)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    texture, clear = nodes.new("ShaderNodeTexImage"), nodes.new("ShaderNodeBsdfTransparent")
    shown, mixed = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeMixShader")
    output = nodes.new("ShaderNodeOutputMaterial")
    texture.image, texture.extension = bpy.data.images.load(str(pixels), check_existing=True), "CLIP"
    texture.image.reload()
    for source, target in (
        (texture.outputs["Color"], shown.inputs["Color"]),
        (texture.outputs["Alpha"], mixed.inputs["Fac"]),
        (clear.outputs[0], mixed.inputs[1]),
        (shown.outputs[0], mixed.inputs[2]),
        (mixed.outputs[0], output.inputs["Surface"]),
    ):
        links.new(source, target)
    return material
