import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.preparation.config import Normalisation, PreparationConfig, SegmentationConfig
from gainer_ns.preparation.prompts import Prompt
from gainer_ns.preparation.segmentation import check_mask, load_proposer, load_segmenter

LEFT, RIGHT = np.s_[10:30, 6:20], np.s_[14:40, 36:56]
SHAPE = 48, 64


@pytest.fixture
def colours() -> np.ndarray:
    """Two red boxes on grey."""
    picture = np.full((*SHAPE, 3), 0.4, np.float32)
    for place in (LEFT, RIGHT):
        picture[place] = 0.9, 0.1, 0.1
    return picture


def truth(*places: tuple[slice, slice]) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for place in places:
        mask[place] = True
    return mask


def redness(
    path: Path,
    *,
    side: int | str = "side",
    ends_with: str = "Sigmoid",
    channels: int = 3,
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225),
) -> Path:
    """Write a network that finds what is red by 0.4: of colours less ImageNet's mean, by a deviation."""
    onnx = pytest.importorskip("onnx")
    made, kind = onnx.helper, onnx.TensorProto.FLOAT
    mean = np.array([0.485, 0.456, 0.406][:channels])
    colour = np.array([1.0, -0.5, -0.5][:channels])
    weights = (20 * colour * np.array(deviation[:channels])).astype(np.float32).reshape(1, channels, 1, 1)
    bias = np.array([20 * (colour @ mean - 0.4)], np.float32)
    nodes = [made.make_node("Conv", ["picture", "weights", "bias"], ["logits"])]
    if ends_with != "Conv":
        nodes.append(made.make_node(ends_with, ["logits"], ["mask"]))
    last = "logits" if ends_with == "Conv" else "mask"
    graph = made.make_graph(
        nodes,
        "redness",
        [made.make_tensor_value_info("picture", kind, [1, channels, side, side])],
        [made.make_tensor_value_info(last, kind, [1, 1, side, side])],
        [onnx.numpy_helper.from_array(weights, "weights"), onnx.numpy_helper.from_array(bias, "bias")],
    )
    model = made.make_model(graph, opset_imports=[made.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def config(path: Path) -> SegmentationConfig:
    pytest.importorskip("onnxruntime")
    return SegmentationConfig(model=str(path))


@pytest.mark.parametrize("ends_with", ["Sigmoid", "Conv"])
@pytest.mark.parametrize("side", ["side", 96])
def test_what_stands_out_is_found_without_a_click(tmp_path, colours, ends_with, side):
    segmenter = load_segmenter(config(redness(tmp_path / "red.onnx", side=side, ends_with=ends_with)))
    mask = segmenter(colours, Prompt())
    assert mask.shape == SHAPE
    assert mask.dtype == np.float32
    assert (mask.min(), mask.max()) == (0, 1)
    wrong = (mask >= 0.5) != truth(LEFT, RIGHT)
    assert wrong.sum() <= (0 if side == "side" else 40)  # a network that sees another size may miss by half a pixel


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        (Prompt(clicks=((10.5, 20.5),)), [LEFT]),
        (Prompt(negative_clicks=((10.5, 20.5),)), [RIGHT]),
        (Prompt(box=(30, 8, 64, 48)), [RIGHT]),
        (Prompt(clicks=((10.5, 20.5), (40, 20))), [LEFT, RIGHT]),
        (Prompt(clicks=((2, 2),)), []),
    ],
)
def test_prompts_choose_among_what_was_found(tmp_path, colours, prompt, found):
    mask = load_segmenter(config(redness(tmp_path / "red.onnx")))(colours, prompt)
    np.testing.assert_array_equal(mask >= 0.5, truth(*found))


def test_a_click_is_offered_its_part_and_then_all(tmp_path, colours):
    offers = load_proposer(config(redness(tmp_path / "red.onnx")))(colours, (10.5, 20.5))
    assert offers.first == 0
    for mask, found in zip([mask() for mask in offers.masks], [[LEFT], [LEFT, RIGHT]], strict=True):
        np.testing.assert_array_equal(mask >= 0.5, truth(*found))


def test_a_picture_without_an_object_has_an_empty_mask(tmp_path):
    mask = load_segmenter(config(redness(tmp_path / "red.onnx")))(np.full((*SHAPE, 3), 0.4, np.float32), Prompt())
    with pytest.raises(GainerError, match="its mask is empty"):
        check_mask(mask, "photo.png")


def test_colours_are_normalised_as_asked_for(tmp_path):
    network = config(redness(tmp_path / "red.onnx")).model
    pale = np.full((*SHAPE, 3), 0.4, np.float32)
    pale[LEFT] = 0.5, 0.3, 0.3  # too pale for the network as it was trained, by 0.2 of 0.4

    def found(normalisation: Normalisation) -> bool:
        return bool(load_segmenter(SegmentationConfig(network, normalisation=normalisation))(pale, Prompt()).any())

    assert found("imagenet") is False
    network = config(redness(tmp_path / "centred.onnx", deviation=(1.0, 1.0, 1.0))).model
    assert found("centred") is False
    assert found("imagenet") is True  # four times as red as it is


def test_files_that_are_none_are_refused_in_a_line(tmp_path):
    pytest.importorskip("onnxruntime")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(GainerError, match=r"broken.onnx: cannot be read as an ONNX network .*; fetch it again"):
        load_segmenter(config(broken))
    with pytest.raises(GainerError, match=r"absent.onnx: does not exist"):
        load_segmenter(config(tmp_path / "absent.onnx"))
    with pytest.raises(
        GainerError, match=r"takes picture tensor\(float\) \[1, 1, .*; name a network that takes one picture"
    ):
        load_segmenter(config(redness(tmp_path / "grey.onnx", channels=1)))


def test_missing_onnxruntime_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "red.onnx").write_bytes(b"")
    with pytest.raises(GainerError, match=r'pip install "gainer-ns\[onnx\]"'):
        load_segmenter(SegmentationConfig(model=str(tmp_path / "red.onnx")))


def test_the_mask_is_made_anew_when_the_network_is_another(tmp_path):
    def key(**said: str) -> object:
        return PreparationConfig(segmentation=SegmentationConfig(**said)).mask_key  # pyright: ignore[reportArgumentType]

    assert key() is None
    assert key(model="sam.pth") is None
    assert (
        len({str(key(model="a.onnx")), str(key(model="b.onnx")), str(key(model="a.onnx", normalisation="centred"))})
        == 3
    )


def test_prepare_masks_a_photo_without_a_click(tmp_path, colours, monkeypatch):
    from gainer_ns.cli.main import entrypoint

    network = redness(tmp_path / "red.onnx")
    photo = tmp_path / "photo.png"
    Image.fromarray((colours * 255).round().astype(np.uint8)).save(photo)
    command = [
        "prepare",
        photo,
        "--no-depth",
        "--hard-edge",
        "--segmentation.model",
        network,
        "--output",
        tmp_path / "out",
    ]
    monkeypatch.setattr(sys, "argv", ["gainer", *map(str, command)])
    entrypoint()
    mask = np.asarray(Image.open(tmp_path / "out" / "mask.png").convert("L"))
    np.testing.assert_array_equal(mask >= 128, truth(LEFT, RIGHT))
