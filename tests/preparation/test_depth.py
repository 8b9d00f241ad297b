"""Depth models of transformers, small and with random weights, saved and loaded as users do, beside their formulas."""

from __future__ import annotations

import json
import math
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from gainer_ns.errors import GainerError
from gainer_ns.io.depth_files import inverse_to_depth
from gainer_ns.preparation import depth_model
from gainer_ns.preparation.config import DepthConfig, PreparationError
from gainer_ns.preparation.depth import TransformersDepth

HEIGHT, WIDTH = 20, 30

transformers = pytest.importorskip("transformers", reason="transformers, the extra hf, is not installed")


@pytest.fixture(scope="session")
def colours() -> np.ndarray:
    """A picture of 8-bit samples, so that none are lost on the way to a network."""
    return np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.float32) / 255


def save(model: Any, processor: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def enliven(model: Any, processor: Any, answers: dict[torch.nn.Conv2d, tuple[float, float]]) -> None:
    """Makes pictures matter to a network, which they hardly do as it is initialised.

    ``answers`` has the mean and the spread that the answers of last layers shall have.
    """
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            torch.nn.init.xavier_normal_(parameter)
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    given: dict[torch.nn.Conv2d, torch.Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda layer, _, answer: given.__setitem__(layer, answer)) for layer in answers
    ]
    with torch.no_grad():
        model.eval()(**processor(images=picture, return_tensors="pt"))
        for hook in hooks:
            hook.remove()
        for layer, (mean, spread) in answers.items():
            gain = spread / given[layer].std() if spread else torch.tensor(1e-3)
            assert layer.bias is not None
            layer.bias.copy_(mean + gain * (layer.bias - given[layer].mean()))
            layer.weight.mul_(gain)


def dinov2(**more: Any) -> dict[str, Any]:
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2}
    return {"model_type": "dinov2", "image_size": 24, "patch_size": 4, **shape, **more}


def depth_pro_config(**more: Any) -> Any:
    return transformers.DepthProConfig(
        patch_size=24,
        fusion_hidden_size=16,
        intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[8, 8],
        scaled_images_feature_dims=[8, 8, 8],
        merge_padding_value=1,
        image_model_config=dinov2(),
        patch_model_config=dinov2(),
        fov_model_config=dinov2(),
        **{"use_fov_model": True, **more},
    )


@pytest.fixture(scope="session")
def depth_pro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small Depth-Pro whose canonical inverse depth is about 0.3 and whose field of view 50 degrees."""
    torch.manual_seed(0)
    model = transformers.DepthProForDepthEstimation(depth_pro_config())
    processor = transformers.DepthProImageProcessor(size={"height": 96, "width": 96})
    enliven(model, processor, {model.head.layers[4]: (0.3, 0.05), model.fov_model.head.layers[-1]: (50.0, 0.0)})
    return save(model, processor, tmp_path_factory.mktemp("models") / "depth-pro")


@pytest.fixture(scope="session")
def depth_anything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small Depth-Anything whose answer is relative inverse depth."""
    return save_depth_anything(tmp_path_factory.mktemp("models") / "relative")


def save_depth_anything(folder: Path, **more: Any) -> Path:
    torch.manual_seed(2)
    backbone = dinov2(out_features=["stage1", "stage2"], reshape_hidden_states=False)
    settings = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=4,
        reassemble_hidden_size=16,
        reassemble_factors=[2, 1],
        neck_hidden_sizes=[8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
        **more,
    )
    model = transformers.DepthAnythingForDepthEstimation(settings)
    processor = transformers.DPTImageProcessor(size={"height": 24, "width": 24})
    enliven(model, processor, {model.head.conv3: (1.0, 0.2)})
    return save(model, processor, folder)


def raw(folder: Path, colours: np.ndarray) -> Any:
    """What a model in a folder answers, without any of our code."""
    from PIL import Image

    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    model = transformers.AutoModelForDepthEstimation.from_pretrained(folder)
    with torch.inference_mode():
        return model(**processor(images=Image.fromarray(np.rint(colours * 255).astype(np.uint8)), return_tensors="pt"))


def resized(answer: Any, mode: str, times: int = 1) -> np.ndarray:
    size = (times * HEIGHT, times * WIDTH)
    return torch.nn.functional.interpolate(answer.predicted_depth[None], size, mode=mode)[0, 0].numpy()


def complaint(model: Path | str, **more: Any) -> str:
    with pytest.raises(GainerError) as caught:
        TransformersDepth(DepthConfig(model=str(model), **more), "cpu")
    error = caught.value
    message = str(error.with_options("--") if isinstance(error, PreparationError) else error)
    assert "\n" not in message and (";" in message or ":" in message)
    return message


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Refuses every connection, and lists the attempts."""
    attempts: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> Any:
        attempts.append(arguments)
        raise OSError("network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return attempts


class TestDepthPro:
    @pytest.mark.parametrize("focal_length", [12.0, 30.0, 200.0])
    def test_a_given_focal_length_scales_depth(
        self, depth_pro: Path, colours: np.ndarray, focal_length: float, no_network: list[Any]
    ) -> None:
        result = TransformersDepth(DepthConfig(model=str(depth_pro)), "cpu")(colours, focal_length)
        inverse = resized(raw(depth_pro, colours), "bilinear")
        assert inverse.std() > 0.01  # The picture matters.
        np.testing.assert_allclose(result.depth, 1 / np.clip(inverse * WIDTH / focal_length, 1e-4, 1e4), rtol=1e-4)
        assert result.depth.shape == (HEIGHT, WIDTH) and result.depth.dtype == np.float32
        assert (result.units, result.focal_length) == ("metres", focal_length)
        assert result.made_by == f"{depth_pro} (depth_pro)"
        assert not no_network

    def test_without_one_it_estimates_one(self, depth_pro: Path, colours: np.ndarray) -> None:
        estimator = TransformersDepth(DepthConfig(model=str(depth_pro)), "cpu")
        result, answer = estimator(colours, None), raw(depth_pro, colours)
        expected = 0.5 * WIDTH / math.tan(math.radians(0.5 * answer.field_of_view.item()))
        assert result.focal_length == pytest.approx(expected, rel=1e-5)
        assert 0.4 * WIDTH < expected < 3 * WIDTH
        np.testing.assert_allclose(estimator(colours, result.focal_length).depth, result.depth, rtol=1e-4)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_fewer_bits_hardly_change_depth(self, depth_pro: Path, colours: np.ndarray, dtype: Any) -> None:
        full, half = (
            TransformersDepth(DepthConfig(model=str(depth_pro), dtype=name), "cpu")(colours)
            for name in ("float32", dtype)
        )
        assert full.focal_length is not None and half.focal_length == pytest.approx(full.focal_length, rel=0.02)
        assert np.median(np.abs(half.depth / full.depth - 1)) < 0.02

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_answers_are_not_rounded_to_fewer_bits(self, depth_pro: Path, colours: np.ndarray, dtype: Any) -> None:
        estimator = TransformersDepth(DepthConfig(model=str(depth_pro), dtype=dtype), "cpu")
        network, answers = estimator._model.network, []  # pyright: ignore
        for last in (network.head.layers[4], network.fov_model.head.layers[-1]):
            last.register_forward_hook(lambda _, __, answer: answers.append(answer))
        estimator(colours)
        assert len(answers) == 2
        for answer in answers:
            assert (answer != answer.to(getattr(torch, dtype))).float().mean() > 0.5

    @pytest.mark.parametrize("share", [20.0, 7.0, 3.0])
    def test_memory_chooses_the_bits(self, depth_pro: Path, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
        parameters = sum(
            parameter.numel()
            for parameter in transformers.DepthProForDepthEstimation.from_pretrained(depth_pro).parameters()
        )
        monkeypatch.setattr(depth_model, "_free_memory", lambda _: int(share * parameters))
        if share < 5:
            assert "GB are free" in complaint(depth_pro)
            return
        model = TransformersDepth(DepthConfig(model=str(depth_pro)), "cpu")._model  # pyright: ignore
        assert model.dtype == (torch.float32 if share > 9 else torch.bfloat16)

    def test_no_estimate_of_the_field_of_view(self, colours: np.ndarray, tmp_path: Path) -> None:
        model = transformers.DepthProForDepthEstimation(depth_pro_config(use_fov_model=False))
        model.head.layers[4].bias.data.fill_(0.3)
        save(model, transformers.DepthProImageProcessor(size={"height": 96, "width": 96}), tmp_path)
        estimator = TransformersDepth(DepthConfig(model=str(tmp_path)), "cpu")
        assert estimator(colours, 25.0).focal_length == 25.0
        with pytest.raises(GainerError, match="give the focal length"):
            estimator(colours, None)

    @pytest.mark.parametrize("focal_length", [0.0, -5.0, math.nan, math.inf])
    def test_impossible_focal_lengths(self, depth_pro: Path, colours: np.ndarray, focal_length: float) -> None:
        with pytest.raises(GainerError, match="pixels above 0"):
            TransformersDepth(DepthConfig(model=str(depth_pro)), "cpu")(colours, focal_length)

    def test_answers_that_are_no_numbers(
        self, depth_pro: Path, colours: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        estimator = TransformersDepth(DepthConfig(model=str(depth_pro)), "cpu")
        bias = estimator._model.network.head.layers[4].bias  # pyright: ignore
        bias.data.fill_(math.nan)
        with pytest.raises(GainerError, match="no finite depth"):
            estimator(colours, 25.0)

    def test_some_answers_that_are_no_numbers_are_unknown(self, depth_pro: Path, colours: np.ndarray) -> None:
        estimator = TransformersDepth(DepthConfig(model=str(depth_pro)), "cpu")

        def spoil(_: Any, __: Any, answer: torch.Tensor) -> torch.Tensor:
            answer[..., : answer.shape[-1] // 3] = math.nan
            return answer

        estimator._model.network.head.register_forward_hook(spoil)  # pyright: ignore
        depth = estimator(colours, 25.0).depth
        assert (depth[:, :9] == 0).all() and (depth[:, 11:] > 0).all()

    @pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
    def test_memory_that_runs_out(self, depth_pro: Path, colours: np.ndarray, error: Exception) -> None:
        estimator = TransformersDepth(DepthConfig(model=str(depth_pro)), "cpu")

        def fail(*_: Any) -> None:
            raise error

        estimator._model.network.register_forward_pre_hook(fail)  # pyright: ignore
        with pytest.raises(GainerError, match="memory ran out; compute in bfloat16"):
            estimator(colours, 25.0)


class TestOtherModels:
    def test_relative_inverse_depth_is_stretched(self, depth_anything: Path, colours: np.ndarray) -> None:
        result = TransformersDepth(DepthConfig(model=str(depth_anything), far=8.0), "cpu")(colours, 40.0)
        answer = raw(depth_anything, colours)
        inverse = resized(answer, "bicubic").clip(answer.predicted_depth.min(), answer.predicted_depth.max())
        assert inverse.std() > 1e-3
        np.testing.assert_allclose(result.depth, inverse_to_depth(inverse, 8.0), rtol=1e-3)
        assert (result.units, result.focal_length) == ("relative", 40.0)

    def test_metric_models_answer_in_metres(self, colours: np.ndarray, tmp_path: Path) -> None:
        folder = save_depth_anything(tmp_path / "metric", depth_estimation_type="metric", max_depth=20)
        large = colours.repeat(4, axis=0).repeat(4, axis=1)
        result, answer = TransformersDepth(DepthConfig(model=str(folder)), "cpu")(large, None), raw(folder, large)
        depth, least, most = resized(answer, "bicubic", 4), answer.predicted_depth.min(), answer.predicted_depth.max()
        assert depth.max() > 1.01 * most  # Resizing swings past what was predicted.
        np.testing.assert_allclose(result.depth, depth.clip(least, most), rtol=1e-4)
        assert (result.units, result.focal_length) == ("metres", None)

    def test_users_may_say_what_a_model_answers(self, depth_anything: Path, colours: np.ndarray) -> None:
        result = TransformersDepth(DepthConfig(model=str(depth_anything), output="depth"), "cpu")(colours)
        assert result.units == "metres"

    def test_zoedepth_and_its_padding(self, colours: np.ndarray, tmp_path: Path) -> None:
        shape = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 16}
        settings = transformers.ZoeDepthConfig(
            backbone_config={
                "model_type": "beit",
                "image_size": 32,
                "patch_size": 8,
                "reshape_hidden_states": False,
                "out_indices": [1, 2, 3, 4],
                **shape,
            },
            backbone_hidden_size=16,
            neck_hidden_sizes=[8, 8, 8, 8],
            fusion_hidden_size=8,
            bottleneck_features=8,
            num_relative_features=4,
            bin_embedding_dim=8,
            num_attractors=[4, 2, 2, 1],
            patch_transformer_hidden_size=8,
            patch_transformer_intermediate_size=8,
            patch_transformer_num_attention_heads=2,
            bin_configurations=[{"n_bins": 8, "min_depth": 0.5, "max_depth": 10.0, "name": "nyu"}],
        )
        processor = transformers.ZoeDepthImageProcessor(size={"height": 32, "width": 32}, ensure_multiple_of=8)
        folder = save(transformers.ZoeDepthForDepthEstimation(settings), processor, tmp_path)
        result = TransformersDepth(DepthConfig(model=str(folder)), "cpu")(colours)
        assert result.depth.shape == (HEIGHT, WIDTH) and result.units == "metres"
        assert result.depth.min() >= 0.5 and result.depth.max() <= 10.0

    @pytest.mark.parametrize(("kind", "units"), [("dpt", "relative"), ("dinov2-dpt", "metres"), ("glpn", "metres")])
    def test_known_kinds_and_their_units(self, tmp_path: Path, kind: str, units: str) -> None:
        if kind == "glpn":
            shape = {"hidden_sizes": [8] * 4, "depths": [1] * 4, "num_attention_heads": [1] * 4}
            model = transformers.GLPNForDepthEstimation(transformers.GLPNConfig(decoder_hidden_size=8, **shape))
            processor = transformers.GLPNImageProcessor()
        else:
            settings = transformers.DPTConfig(
                hidden_size=16,
                num_hidden_layers=4,
                num_attention_heads=2,
                intermediate_size=16,
                image_size=32,
                patch_size=8,
                backbone_out_indices=[0, 1, 2, 3],
                neck_hidden_sizes=[8] * 4,
                fusion_hidden_size=256,  # Which the projection expects.
                add_projection=kind != "dpt",
            )
            model = transformers.DPTForDepthEstimation(settings)
            model.head.head[4].bias.data.fill_(1.0)
            processor = transformers.DPTImageProcessor(size={"height": 32, "width": 32})
        result = TransformersDepth(DepthConfig(model=str(save(model, processor, tmp_path))), "cpu")(
            np.full((40, 50, 3), 0.5)
        )
        assert result.units == units and result.depth.shape == (40, 50)

    @pytest.mark.parametrize("size", [(1, 1), (1, 9), (40, 3)])
    def test_narrow_pictures(self, depth_pro: Path, depth_anything: Path, size: tuple[int, int]) -> None:
        picture = np.full((*size, 3), 0.5, np.float32)
        assert TransformersDepth(DepthConfig(model=str(depth_pro)), "cpu")(picture, 10.0).depth.shape == size
        assert TransformersDepth(DepthConfig(model=str(depth_anything)), "cpu")(picture, 10.0).depth.shape == size


class TestStretch:
    def test_percentiles_land_where_they_should(self) -> None:
        inverse = np.random.default_rng(0).random((50, 80)) * 7 - 2
        depth = inverse_to_depth(inverse, 5.0)
        least, most = np.percentile(inverse, [1, 99])
        assert depth.max() == pytest.approx(5.0)
        assert depth[np.unravel_index(np.abs(inverse - most).argmin(), depth.shape)] == pytest.approx(1.0, abs=0.01)
        inner = inverse > least
        share = (inverse[inner] - least) / (most - least)
        np.testing.assert_allclose(1 / depth[inner], 0.2 + 0.8 * share, rtol=1e-5)

    def test_scale_and_offset_change_nothing(self) -> None:
        inverse = np.random.default_rng(0).random((20, 30))
        np.testing.assert_allclose(inverse_to_depth(300 * inverse + 17, 5.0), inverse_to_depth(inverse, 5.0), rtol=1e-5)

    def test_unknown_and_flat(self) -> None:
        inverse = np.array([[np.nan, 1.0], [np.inf, 1.0]])
        np.testing.assert_array_equal(inverse_to_depth(inverse, 5.0), [[0, 1], [0, 1]])
        np.testing.assert_array_equal(inverse_to_depth(np.full((2, 2), np.nan), 5.0), np.zeros((2, 2)))

    @pytest.mark.parametrize("far", [1.0, 0.0, -3.0, math.nan, math.inf])
    def test_impossible_far(self, far: float) -> None:
        assert "above 1" in complaint("any", far=far)


class TestMissing:
    def test_a_model_of_the_hub_is_not_fetched_unasked(self, no_network: list[Any]) -> None:
        message = complaint("apple/DepthPro-hf-of-nobody")
        assert "is not on this machine" in message and "depth.download True" in message
        assert "depth-path FILE" in message and "depth.model" in message
        assert not no_network

    def test_a_model_fetched_before_needs_no_network(
        self, depth_pro: Path, tmp_path: Path, no_network: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        cached = tmp_path / "models--nobody--depth"
        snapshot = Path(shutil.copytree(depth_pro, cached / "snapshots" / ("0" * 40)))
        (cached / "refs").mkdir()
        (cached / "refs" / "main").write_text("0" * 40)
        TransformersDepth(DepthConfig(model="nobody/depth"), "cpu")
        (snapshot / "model.safetensors").unlink()  # As after a download that broke off.
        assert "is not on this machine" in complaint("nobody/depth")
        assert not no_network

    def test_depth_pro_says_its_size_and_licence(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        assert complaint(DepthConfig().model) == (
            "depth model apple/DepthPro-hf is not on this machine; allow its download (about 1.9 GB, weights for"
            " research use only), name another model, or give a depth file"
            " (--depth-path FILE, --depth.download True, --depth.model FOLDER)"
        )

    def test_no_network_to_fetch_over(self, no_network: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "sleep", lambda _: None)  # It is tried again after some seconds.
        message = complaint("nobody/no-depth-model", download=True)
        assert "could not be fetched" in message and "network" in message
        assert no_network

    def test_transformers(self, monkeypatch: pytest.MonkeyPatch, depth_pro: Path) -> None:
        monkeypatch.setitem(sys.modules, "transformers", None)
        assert 'pip install "gainer-ns[hf]"' in complaint(depth_pro)

    def test_importing_is_cheap(self) -> None:
        code = "import sys, gainer_ns.preparation.depth; assert not {'transformers', 'nerfstudio'} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True)

    @pytest.mark.parametrize("name", ["/no/such/folder", "./models/depth", "a/b/c", "https://example.org/model"])
    def test_folders(self, name: str) -> None:
        assert "is no folder" in complaint(name)


class TestDamaged:
    @pytest.fixture
    def copy(self, depth_pro: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(depth_pro, tmp_path / "copy"))

    def test_no_config(self, tmp_path: Path) -> None:
        assert "holds no config.json" in complaint(tmp_path)

    @pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
    @pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff" * 64, None])
    def test_files(self, copy: Path, name: str, content: bytes | None) -> None:
        (copy / name).unlink()
        if content is not None:
            (copy / name).write_bytes(content)
        if (name, content) == ("preprocessor_config.json", b"{}"):
            return  # The processor's defaults, which the model's kind tells.
        assert str(copy) in complaint(copy)

    def test_a_file_instead_of_a_folder(self, copy: Path) -> None:
        assert "is no folder" in complaint(copy / "config.json")

    def test_weights_cut_short(self, copy: Path) -> None:
        content = (copy / "model.safetensors").read_bytes()
        (copy / "model.safetensors").write_bytes(content[: len(content) // 2])
        assert "cannot be loaded" in complaint(copy)

    def test_weights_of_another_model(self, copy: Path, depth_anything: Path) -> None:
        shutil.copy(depth_anything / "model.safetensors", copy)
        assert re.search(r"lacks \d+ of its weights", complaint(copy))

    def test_a_model_of_another_kind(self, tmp_path: Path) -> None:
        settings = transformers.BertConfig(
            hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9
        )
        transformers.BertModel(settings).save_pretrained(tmp_path)
        assert "bert, which estimates no depth" in complaint(tmp_path)

    def test_code_that_comes_with_a_model_is_not_run(self, copy: Path, tmp_path: Path) -> None:
        settings = json.loads((copy / "config.json").read_text())
        settings |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}
        (copy / "config.json").write_text(json.dumps(settings))
        (copy / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
        complaint(copy)
        assert not (tmp_path / "ran").exists()


def test_free_memory_is_the_machines() -> None:
    assert 0 < depth_model._free_memory(torch.device("cpu")) <= psutil.virtual_memory().total
