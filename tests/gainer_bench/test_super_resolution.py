"""Enlarged photographs beside library calls and a network: what is compared, the command, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainer_bench.__main__ import main
from gainer_bench.super_resolution import enlarged_results, enlarged_table, enlargers
from gainer_ns.errors import GainerError


@pytest.fixture(scope="module")
def full() -> np.ndarray:
    from skimage.data import astronaut

    return (astronaut()[:203, :302] / 255).astype(np.float32)


def repeating(path: Path, factor: int, channels: int = 3, sides: tuple[int | str, int | str] = ("h", "w")) -> Path:
    """Write a network that repeats each pixel so many times along each side."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    made, kind = onnx.helper, onnx.TensorProto.FLOAT
    scales = onnx.numpy_helper.from_array(np.array([1, 1, factor, factor], np.float32), "scales")
    nodes = [
        made.make_node("Resize", ["picture", "", "scales"], ["large"], mode="nearest"),
        made.make_node("Slice", ["large", "first", "last", "axis"], ["enlarged"]),
    ]
    bounds = [
        onnx.numpy_helper.from_array(np.array([at]), name)
        for name, at in (("first", 0), ("last", channels), ("axis", 1))
    ]
    graph = made.make_graph(
        nodes,
        "repeating",
        [made.make_tensor_value_info("picture", kind, [1, 3, *sides])],
        [made.make_tensor_value_info("enlarged", kind, [1, channels, "H", "W"])],
        [scales, *bounds],
    )
    model = made.make_model(graph, opset_imports=[made.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def test_nobody_is_half_a_pixel_off(full: np.ndarray) -> None:
    for factor in (2, 4):
        found = enlarged_results(full, factor, enlargers(factor))
        assert list(found) == ["gainer", "spline", "Lanczos-3", "bicubic"]
        assert max(one.psnr for one in found.values()) - min(one.psnr for one in found.values()) < 0.6
        assert all(one.seconds > 0 for one in found.values())


def test_the_truth_is_the_photograph(full: np.ndarray) -> None:
    perfect = {"all": lambda small: full[:200, :300], "half a pixel off": lambda small: np.roll(full[:200, :300], 1, 0)}
    found = enlarged_results(full, 4, perfect)
    assert found["all"].psnr == np.inf and found["half a pixel off"].psnr < 35
    assert "| 4x | all | inf |" in enlarged_table({4: [found]}).markdown()


def test_a_network_is_compared_at_its_own_factor(
    full: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.rint(full * 255).astype(np.uint8)).save(tmp_path / "photo.png")
    network = repeating(tmp_path / "repeating.onnx", 2)
    table = tmp_path / "table.md"
    main(
        [*("super-resolution", "--pictures", str(tmp_path / "photo.png"), "--upscaler", str(network))]
        + ["--output", str(table)]
    )
    lines = table.read_text("utf8").splitlines()
    assert table.read_text("utf8") in capsys.readouterr().out and len(lines) == 2 + 5 + 4
    (repeated,) = [line for line in lines if "repeating" in line]
    lanczos = next(line for line in lines if "2x | Lanczos-3" in line)
    assert repeated.startswith("| 2x |")
    assert float(repeated.split("|")[3]) < float(lanczos.split("|")[3]) - 1


def test_what_cannot_be_compared_is_refused_in_a_line(tmp_path: Path) -> None:
    Image.new("RGBA", (90, 90)).save(tmp_path / "clear.png")
    Image.new("RGB", (90, 40)).save(tmp_path / "small.png")

    def run(picture: str, *options: object) -> None:
        main(["super-resolution", "--pictures", str(tmp_path / picture), *map(str, options)])

    with pytest.raises(GainerError, match="has alpha; give a photograph"):
        run("clear.png")
    with pytest.raises(GainerError, match="90 x 40 px are too few; at least 52 are needed"):
        run("small.png")
    with pytest.raises(GainerError, match="--factors: give whole numbers from 2 to 16"):
        run("small.png", "--factors", 1)
    with pytest.raises(GainerError, match=r"three.onnx: enlarges 3 times; name that in --factors"):
        run("small.png", "--upscaler", repeating(tmp_path / "three.onnx", 3))
    with pytest.raises(GainerError, match=r"grey.onnx: answers with \[1, 1, 128, 128\]"):
        run("small.png", "--upscaler", repeating(tmp_path / "grey.onnx", 2, channels=1))
    with pytest.raises(GainerError, match=r"fixed.onnx: enlarges no picture of 64 x 64 px"):
        run("small.png", "--upscaler", repeating(tmp_path / "fixed.onnx", 2, sides=(32, 32)))
