"""The nodes of ComfyUI, loaded and called as ComfyUI does it."""

import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

import gainer_ns as gn

FOLDER = Path(__file__).parents[1] / "integrations" / "comfyui"
PAGE = FOLDER.parents[1] / "docs" / "comfyui.md"


@pytest.fixture(scope="module")
def pack() -> ModuleType:
    """The folder as ComfyUI imports it: by its path, under a name that is no identifier."""
    name = "/custom_nodes/gainer"
    spec = importlib.util.spec_from_file_location(
        name, FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def call(pack: ModuleType):
    """``call("FitPicture", image=...)`` runs a node with named inputs, as ComfyUI's executor does."""

    def run(name: str, **inputs: object) -> tuple:
        node = pack.NODE_CLASS_MAPPINGS[f"Gainer{name}"]
        found = getattr(node(), node.FUNCTION)(**inputs)
        assert len(found) == len(node.RETURN_TYPES)
        return found

    return run


def _image(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.asarray(Image.open(path)).astype(np.float32) / 255)[None]


def test_each_node_says_what_its_function_takes(pack: ModuleType) -> None:
    assert set(pack.NODE_CLASS_MAPPINGS) == set(pack.NODE_DISPLAY_NAME_MAPPINGS)
    page = PAGE.read_text("utf8")
    for name, node in pack.NODE_CLASS_MAPPINGS.items():
        inputs = node.INPUT_TYPES()
        parameters = inspect.signature(getattr(node, node.FUNCTION)).parameters
        assert list(parameters)[1:] == [*inputs["required"], *inputs.get("optional", {})], name
        optional = {key for key, one in parameters.items() if one.default is not inspect.Parameter.empty}
        assert optional == set(inputs.get("optional", {})), name
        assert pack.NODE_DISPLAY_NAME_MAPPINGS[name].partition(": ")[2] in page, name


def test_a_picture_goes_through_fit_edit_and_render_as_in_python(call, photo: Path) -> None:
    (picture,) = call("FitPicture", image=_image(photo), method="gainer", mask=torch.zeros(1, 64, 64))
    same, clear = call("RenderPicture", picture=picture, scale=1.0)
    assert torch.allclose(same, _image(photo), atol=1e-4) and not clear.any()
    (turned,) = call("EditPicture", picture=picture, script="rotate: {degrees: 12}")
    pixels, clear = call("RenderPicture", picture=turned, scale=2.0)
    wanted = gn.fit(photo).edit({"rotate": {"degrees": 12}}).render(scale=2, dtype="float32")
    assert pixels.shape == (1, 128, 192, 3) and clear.shape == (1, 128, 192)
    assert np.array_equal(pixels[0], wanted[..., :3]) and np.allclose(1 - clear[0], wanted[..., 3], atol=1e-6)


def test_a_mask_cuts_out_and_comes_back(call, photo: Path) -> None:
    mask = torch.zeros(1, 64, 96)
    mask[:, :, :40] = 1
    (picture,) = call("FitPicture", image=_image(photo), method="gainer", mask=mask)
    _, clear = call("RenderPicture", picture=picture, scale=1.0)
    assert torch.allclose(clear, mask, atol=1e-4)


def test_files_keep_a_picture(call, photo: Path, tmp_path: Path) -> None:
    (picture,) = call("FitPicture", image=_image(photo), method="gainer")
    path = str(tmp_path / "picture.safetensors")
    assert call("SavePicture", picture=picture, path=path) == ()
    (again,) = call("LoadPicture", path=path)
    assert np.array_equal(again.render(), picture.render())


def test_films_are_batches(call, photo: Path) -> None:
    (picture,) = call("FitPicture", image=_image(photo), method="gainer")
    (script,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf8"), re.DOTALL)
    frames, clear = call("FilmPicture", picture=picture, script=script.replace("24", "3"))
    assert frames.shape == (3, 64, 96, 3) and clear.shape == (3, 64, 96)
    assert not torch.equal(frames[0], frames[1]) and torch.equal(frames[0], frames[2])
    scene = "bodies: [{material: soft}]\ncolliders: [{floor: {}}]\nduration: 0.1\nfps: 20\n"
    frames, clear = call("SimulatePicture", picture=picture, scene=scene)
    assert len(frames) == len(clear) >= 2 and clear.min() < 0.01


def test_what_a_node_starts_with_runs(pack: ModuleType, call, photo: Path) -> None:
    picture = gn.fit(photo)
    for name, node in pack.NODE_CLASS_MAPPINGS.items():
        for word, (kind, *options) in node.INPUT_TYPES()["required"].items():
            if kind == "STRING" and options[0].get("multiline"):
                text = re.sub(
                    "frames: 24|duration: 1.0", lambda found: found[0].split()[0] + " 2", options[0]["default"]
                )
                text = text.replace("duration: 2", "duration: 0.1")
                assert call(name.removeprefix("Gainer"), picture=picture, **{word: text})


def test_a_lifted_photo_is_filmed(call, photo: Path) -> None:
    near = torch.linspace(0.2, 1, 64)[None, :, None, None].expand(1, 64, 96, 3)
    (lifted,) = call("LiftPhoto", image=_image(photo), depth=near, depth_kind="inverse")
    turning = "edits: [{rotate: {degrees: 8, axis: y}, keyframes: {0: 0, 1: 1}}]\nframes: 2"
    frames, _ = call("FilmPicture", picture=lifted, script=turning)
    assert len(frames) == 2 and (frames[0] - frames[1]).abs().mean() > 0.01


@pytest.mark.parametrize(
    ("node", "inputs", "problem"),
    [
        ("FitPicture", {"image": torch.ones(2, 8, 8, 3), "method": "gainer"}, "2 pictures"),
        ("FitPicture", {"image": torch.ones(1, 8, 8, 3), "method": "gainer", "mask": torch.ones(1, 4, 4)}, "4 x 4"),
        ("EditPicture", {"script": "rotate: {degrees: ["}, "no YAML"),
        ("EditPicture", {"script": "rotate"}, "words and values"),
        ("EditPicture", {"script": "edits: [{spin: 1}]"}, "spin"),
        ("SimulatePicture", {"scene": "bodies: []"}, "bodies"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(call, node: str, inputs: dict, problem: str, photo: Path) -> None:
    if node != "FitPicture":
        inputs = {"picture": gn.fit(photo), **inputs}
    with pytest.raises(gn.GainerError, match=problem) as caught:
        call(node, **inputs)
    assert "\n" not in str(caught.value)
