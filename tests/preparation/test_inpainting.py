"""Holes filled by OpenCV beside OpenCV itself, and by networks small enough to be made here."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.preparation.inpainting import (
    DiffusersInpainter,
    InpaintMethod,
    LamaInpainter,
    OpenCVInpainter,
    inpainter_for,
)

METHODS: list[InpaintMethod] = ["telea", "navier-stokes"]


def waves(height: int = 60, width: int = 80) -> Tensor:
    """A smooth picture."""
    y, x = torch.meshgrid(torch.arange(height) / 20, torch.arange(width) / 20, indexing="ij")
    return torch.stack([0.5 + 0.4 * torch.sin(x + y), 0.5 + 0.3 * torch.cos(2 * y), 0.2 + 0.1 * x], dim=-1)


def some_holes(height: int = 60, width: int = 80) -> Tensor:
    """Holes of three kinds: inside, at a corner, and two that lie close to each other."""
    hole = torch.zeros(height, width, dtype=torch.bool)
    hole[20:32, 10:25] = True
    hole[:6, :5] = True
    hole[40:46, 50:56] = True
    hole[42:50, 59:66] = True
    return hole


class TestOpenCV:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("radius", [3, 5])
    def test_equals_opencv_on_the_whole_picture(self, method: InpaintMethod, radius: int) -> None:
        colours, hole = waves(), some_holes()
        colours[hole] = torch.nan
        filled = OpenCVInpainter(method, radius=radius)(colours, hole)
        flag = {"telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS}[method]
        for channel in range(3):
            samples = np.rint(np.nan_to_num(colours[..., channel].numpy()) * 65535).astype(np.uint16)
            expected = cv2.inpaint(samples, hole.numpy().astype(np.uint8), radius, flag) / 65535
            np.testing.assert_allclose(filled[..., channel][hole], expected[hole.numpy()], atol=1e-3)

    @pytest.mark.parametrize("method", METHODS)
    def test_known_pixels_come_back_bit_by_bit(self, method: InpaintMethod) -> None:
        colours, hole = waves() * 1.5 - 0.2, some_holes()  # Beyond [0, 1] too, as a fit may be.
        before = colours.clone()
        filled = OpenCVInpainter(method)(colours, hole)
        assert torch.equal(filled[~hole], before[~hole])
        assert torch.equal(colours, before)
        assert filled[hole].min() >= 0 and filled[hole].max() <= 1

    @pytest.mark.parametrize("method", METHODS)
    def test_fills_finer_than_8_bits(self, method: InpaintMethod) -> None:
        colours = torch.full((30, 30, 3), 0.5)
        colours += torch.linspace(0, 1 / 255, 30)[None, :, None]
        hole = torch.zeros(30, 30, dtype=torch.bool)
        hole[12:18, 12:18] = True
        filled = OpenCVInpainter(method)(colours, hole)
        assert (filled - colours)[hole].abs().max() < 0.4 / 255
        assert len(filled[hole].unique()) > 10

    def test_many_specks(self) -> None:
        hole = torch.rand(200, 200, generator=torch.Generator().manual_seed(0)) < 0.01
        colours = waves(200, 200).clamp(0, 1)
        filled = OpenCVInpainter()(torch.where(hole[..., None], 9.0, colours), hole)
        inner = slice(4, -4)
        assert (filled - colours)[inner, inner].abs().max() < 0.05

    def test_whole_holes_and_no_holes(self) -> None:
        colours = waves()
        empty = torch.zeros(60, 80, dtype=torch.bool)
        assert torch.equal(OpenCVInpainter()(colours, empty), colours)
        with pytest.raises(GainerError, match="whole picture"):
            OpenCVInpainter()(colours, ~empty)
        with pytest.raises(ValueError, match="does not fit"):
            OpenCVInpainter()(colours, empty[:-1])


class Filler(torch.nn.Module):
    """Fills with the mean of what is known, and checks the form of what it gets."""

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        assert image.shape[1] == 3 and mask.shape[1] == 1
        assert image.shape[2] % 8 == 0 and image.shape[3] % 8 == 0
        known = 1 - mask
        mean = (image * known).sum(dim=(2, 3), keepdim=True) / known.sum(dim=(2, 3), keepdim=True)
        return image * known * 0.9 + mean * mask  # Known pixels come back changed, as networks do.


class Wrong(torch.nn.Module):
    """Answers in another size."""

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return image[:, :, ::2, ::2] * mask[:, :, ::2, ::2]


def saved(module: torch.nn.Module, path: Path) -> Path:
    torch.jit.script(module).save(str(path))
    return path


class TestLama:
    @pytest.mark.parametrize(("height", "width"), [(60, 80), (61, 83), (5, 7)])
    def test_only_the_hole_changes(self, tmp_path: Path, height: int, width: int) -> None:
        colours = torch.full((height, width, 3), 0.25)
        hole = torch.zeros(height, width, dtype=torch.bool)
        hole[1:3, 2:5] = True
        colours[hole] = torch.nan
        filled = LamaInpainter(saved(Filler(), tmp_path / "lama.pt"))(colours, hole)
        torch.testing.assert_close(filled, torch.full((height, width, 3), 0.25))
        assert torch.equal(filled[~hole], colours[~hole])

    def test_it_sees_the_surroundings_of_the_hole_only(self, tmp_path: Path) -> None:
        colours = torch.full((40, 1500, 3), 0.25)
        colours[:, 800:] = 1.0
        hole = torch.zeros(40, 1500, dtype=torch.bool)
        hole[10:20, 100:110] = True
        filled = LamaInpainter(saved(Filler(), tmp_path / "lama.pt"))(colours, hole)
        torch.testing.assert_close(filled, colours)

    def test_bad_files_are_said_in_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(GainerError, match="is no file"):
            LamaInpainter(tmp_path / "missing.pt")
        (tmp_path / "text.pt").write_text("not a network")
        with pytest.raises(GainerError, match="TorchScript") as caught:
            LamaInpainter(tmp_path / "text.pt")
        assert "\n" not in str(caught.value)
        torch.save({"weights": torch.zeros(2)}, tmp_path / "weights.pt")
        with pytest.raises(GainerError, match="TorchScript"):
            LamaInpainter(tmp_path / "weights.pt")

    def test_other_networks_are_said_in_one_line(self, tmp_path: Path) -> None:
        wrong = LamaInpainter(saved(Wrong(), tmp_path / "wrong.pt"))
        with pytest.raises(GainerError, match="no picture of the size"):
            wrong(waves(), some_holes())
        linear = LamaInpainter(saved(torch.nn.Linear(2, 2), tmp_path / "linear.pt"))
        with pytest.raises(GainerError, match="could not fill") as caught:
            linear(waves(), some_holes())
        assert "\n" not in str(caught.value)


class StubPipeline:
    """Stands for a diffusers pipeline: remembers what it was asked, and paints gray 0.5."""

    def __init__(self, **loading: Any) -> None:
        self.loading, self.calls, self.device = loading, [], None

    def set_progress_bar_config(self, *, disable: bool) -> None:
        assert disable

    def to(self, device: str) -> StubPipeline:
        self.device = device
        return self

    def __call__(self, **asked: Any) -> SimpleNamespace:
        self.calls.append(asked)
        return SimpleNamespace(images=np.full((1, asked["height"], asked["width"], 3), 0.5, np.float32))


@pytest.fixture
def pipelines(monkeypatch: pytest.MonkeyPatch) -> list[StubPipeline]:
    """The pipelines that a stub of diffusers loads."""
    made: list[StubPipeline] = []

    def from_pretrained(name: str, **options: Any) -> StubPipeline:
        if name == "nobody/nothing":
            raise OSError("nobody/nothing is not a local folder\nand is not a valid model identifier")
        made.append(StubPipeline(name=name, **options))
        return made[-1]

    module = ModuleType("diffusers")
    module.AutoPipelineForInpainting = SimpleNamespace(from_pretrained=from_pretrained)  # pyright: ignore
    monkeypatch.setitem(sys.modules, "diffusers", module)
    return made


class TestDiffusers:
    def test_it_gets_the_hole_in_multiples_of_8(self, pipelines: list[StubPipeline], tmp_path: Path) -> None:
        colours, hole = waves(61, 83), some_holes(61, 83)
        filled = DiffusersInpainter(str(tmp_path), prompt="a meadow")(colours, hole)
        assert torch.equal(filled[~hole], colours[~hole])
        assert torch.equal(filled[hole], torch.full((int(hole.sum()), 3), 0.5))
        (asked,) = pipelines[0].calls
        assert asked["prompt"] == "a meadow"
        assert (asked["width"], asked["height"]) == asked["image"].size == asked["mask_image"].size == (88, 64)
        np.testing.assert_array_equal(np.array(asked["mask_image"])[:61, :83] > 0, hole)
        np.testing.assert_allclose(np.array(asked["image"])[60, 82] / 255, colours[60, 82].clamp(0, 1), atol=0.002)
        assert asked["generator"].initial_seed() == 0

    def test_a_folder_never_leads_to_the_hub(self, pipelines: list[StubPipeline], tmp_path: Path) -> None:
        DiffusersInpainter(str(tmp_path))
        DiffusersInpainter("someone/some-model")
        assert [pipeline.loading["local_files_only"] for pipeline in pipelines] == [True, False]

    @pytest.mark.usefixtures("pipelines")
    def test_a_missing_model_is_said_in_one_line(self) -> None:
        with pytest.raises(GainerError, match="nobody/nothing") as caught:
            DiffusersInpainter("nobody/nothing")
        assert "\n" not in str(caught.value)

    def test_without_diffusers_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "diffusers", None)
        with pytest.raises(GainerError, match="pip install diffusers"):
            DiffusersInpainter("someone/some-model")


class TestChoice:
    @pytest.mark.usefixtures("pipelines")
    def test_a_simple_value_chooses(self, tmp_path: Path) -> None:
        lama = saved(Filler(), tmp_path / "lama.pt")
        assert isinstance(inpainter_for({"lama": str(lama)}), LamaInpainter)
        assert isinstance(inpainter_for({"diffusers": "some/model", "prompt": ""}), DiffusersInpainter)
        for method in METHODS:
            inpainter = inpainter_for(method)
            assert isinstance(inpainter, OpenCVInpainter) and inpainter.method == method

    @pytest.mark.parametrize(
        "spec", ["magic", {}, {"lama": 3}, {"lama": "a", "prompt": ""}, {"diffusers": None}, None, 7, ["telea"]]
    )
    def test_other_values_are_refused_with_the_choices(self, spec: Any) -> None:
        with pytest.raises(GainerError, match="choose telea") as caught:
            inpainter_for(spec)
        assert "\n" not in str(caught.value)
