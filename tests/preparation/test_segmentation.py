import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.preparation.config import SegmentationConfig
from gainer_ns.preparation.grabcut import GrabCutSegmenter
from gainer_ns.preparation.prompts import Prompt
from gainer_ns.preparation.segmentation import check_mask, load_segmenter, read_fitting_mask

PROMPTS = [
    Prompt(clicks=((30.5, 20.5),)),
    Prompt(clicks=((30.5, 20.5), (40, 11)), negative_clicks=((2, 2),)),
    Prompt(box=(18, 8, 52, 32)),
    Prompt(clicks=((30.5, 20.5),), negative_clicks=((2, 2),), box=(18, 8, 52, 32)),
]


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    picture = np.random.default_rng(0).random((48, 64, 3)).astype(np.float32) * 0.5
    picture[8:32, 18:52] += 0.4
    return picture


def index_prompt(prompt: Prompt) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """As SAM counts: from the centre of the first pixel."""
    points = np.array([*prompt.clicks, *prompt.negative_clicks]).reshape(-1, 2) - 0.5
    labels = np.array([1] * len(prompt.clicks) + [0] * len(prompt.negative_clicks))
    return points, labels, None if prompt.box is None else np.array(prompt.box) - 0.5


# Mask files


def test_read_mask_of_every_kind(tmp_path):
    ramp = np.linspace(0, 255, 12).round().astype(np.uint8).reshape(3, 4)
    white = np.full((3, 4, 3), 255, np.uint8)
    kinds = {
        "gray": ramp,
        "colour": np.repeat(ramp[..., None], 3, axis=2),
        "alpha": np.dstack([white, ramp]),
        "opaque": np.dstack([ramp, ramp, ramp, white[..., 0]]),
        "deep": ramp.astype(np.uint16) * 257,
    }
    for name, samples in kinds.items():
        Image.fromarray(samples).save(tmp_path / f"{name}.png")
        mask = read_fitting_mask(tmp_path / f"{name}.png", 4, 3)
        assert mask.dtype == np.float32
        np.testing.assert_allclose(mask, ramp / 255, atol=1e-6, err_msg=name)


def test_read_mask_of_another_size_names_both(tmp_path):
    Image.new("L", (4, 3)).save(tmp_path / "mask.png")
    with pytest.raises(GainerError, match=r"mask.png: is 4x3, the picture 3x4; save the mask in that size"):
        read_fitting_mask(tmp_path / "mask.png", 3, 4)
    with pytest.raises(GainerError, match="does not exist"):
        read_fitting_mask(tmp_path / "none.png", 3, 4)


def test_check_mask():
    mask = np.full((3, 4), 0.4, np.float32)
    with pytest.raises(GainerError, match=r"^me: its mask is empty; give"):
        check_mask(mask, "me")
    mask[1, 1] = 0.5
    check_mask(mask, "me")
    with pytest.raises(GainerError, match=r"^me: its mask is the whole picture; give"):
        check_mask(np.ones((3, 4), np.float32), "me")


def test_grabcut_is_the_default():
    assert isinstance(load_segmenter(SegmentationConfig()), GrabCutSegmenter)


# segment-anything


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SAM with random weights, saved as Meta saves its own."""
    build_sam = pytest.importorskip("segment_anything.build_sam", reason="segment-anything is not installed")
    torch.manual_seed(0)
    network = build_sam._build_sam(32, 3, 4, [1], checkpoint=None)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "rel_pos" in name:  # They start as zeros, which hides blocks that look the wrong way.
                parameter.normal_()
    path = tmp_path_factory.mktemp("sam") / "sam_tiny.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def sam(checkpoint):
    return load_segmenter(SegmentationConfig(model=str(checkpoint)))


@pytest.fixture(scope="module")
def predictor(checkpoint, colours):
    from segment_anything import SamPredictor
    from segment_anything.build_sam import _build_sam

    reference = SamPredictor(_build_sam(32, 3, 4, [1], checkpoint=str(checkpoint)))
    reference.set_image(np.rint(colours * 255).astype(np.uint8))
    return reference


@pytest.mark.parametrize("prompt", PROMPTS)
def test_sam_answers_as_the_predictor_with_the_best_of_its_masks(sam, predictor, colours, prompt):
    points, labels, box = index_prompt(prompt)
    masks, scores, _ = predictor.predict(points if len(points) else None, labels if len(points) else None, box)
    mask = sam(colours, prompt)
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask, masks[scores.argmax()])
    assert len({candidate.tobytes() for candidate in masks}) == 3


def test_sam_encodes_a_picture_once_and_another_anew(sam, colours, monkeypatch):
    sam(colours, PROMPTS[0])
    encoded = []
    encoder = sam._predictor.set_image
    monkeypatch.setattr(sam._predictor, "set_image", lambda image: (encoded.append(1), encoder(image)))
    sam(colours.copy(), PROMPTS[2])
    assert not encoded
    sam(1 - colours, PROMPTS[2])
    assert len(encoded) == 1


def test_files_that_are_no_sam_checkpoint_are_refused(tmp_path, checkpoint):
    with pytest.raises(GainerError, match=r"none.pth: does not exist"):
        load_segmenter(SegmentationConfig(model=str(tmp_path / "none.pth")))
    junk = tmp_path / "junk.pth"
    junk.write_bytes(b"no checkpoint")
    with pytest.raises(GainerError, match=r"junk.pth: is no SAM checkpoint, or damaged"):
        load_segmenter(SegmentationConfig(model=str(junk)))
    weights = torch.load(checkpoint, weights_only=True)
    for other, said in [
        ({"fc.weight": torch.zeros(2, 2)}, "is no checkpoint of SAM"),
        ({"model": weights}, "is no checkpoint of SAM"),
        ({name: value for name, value in weights.items() if "neck" not in name}, "another network than SAM"),
        ({name: value for name, value in weights.items() if "rel_pos" not in name}, "another network than SAM"),
        ({**weights, "image_encoder.pos_embed": torch.zeros(1)}, "another network than SAM"),
    ]:
        torch.save(other, tmp_path / "other.pth")
        with pytest.raises(GainerError, match=said) as caught:
            load_segmenter(SegmentationConfig(model=str(tmp_path / "other.pth")))
        assert "\n" not in str(caught.value)
    (tmp_path / "model.bin").write_bytes(b"1")
    with pytest.raises(GainerError, match=r"model.bin: is no SAM model; give a .pth"):
        load_segmenter(SegmentationConfig(model=str(tmp_path / "model.bin")))


def test_missing_packages_say_what_to_install(monkeypatch, tmp_path):
    (tmp_path / "sam.pth").write_bytes(b"1")
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(GainerError, match=r'pip install "gainer-ns\[sam\]"'):
        load_segmenter(SegmentationConfig(model=str(tmp_path / "sam.pth")))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(GainerError, match=r'pip install "gainer-ns\[hf\]"'):
        load_segmenter(SegmentationConfig(model="facebook/sam-vit-base"))


# transformers


def _sam_settings(transformers, kind: str, **decoder):
    vision = getattr(transformers, f"{kind}VisionConfig")(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_dim=32,
        output_channels=32,
        image_size=64,
        patch_size=8,
        window_size=4,
        global_attn_indexes=[1],
        num_pos_feats=16,
    )
    prompts = getattr(transformers, f"{kind}PromptEncoderConfig")(
        hidden_size=32, image_size=64, patch_size=8, image_embedding_size=8, mask_input_channels=4
    )
    masks = getattr(transformers, f"{kind}MaskDecoderConfig")(
        hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16, **decoder
    )
    return getattr(transformers, f"{kind}Config")(
        vision_config=vision.to_dict(), prompt_encoder_config=prompts.to_dict(), mask_decoder_config=masks.to_dict()
    )


def _sam2_settings(transformers):
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[64, 64],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 1, 1],
        blocks_per_stage=[1, 1, 2, 1],
        global_attention_blocks=[3],
        window_size_per_stage=[4, 2, 2, 2],
        window_positional_embedding_background_size=[4, 4],
    )
    vision = transformers.Sam2VisionConfig(
        backbone_config=backbone.to_dict(),
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=32,
    )
    prompts = transformers.Sam2PromptEncoderConfig(hidden_size=32, image_size=64, patch_size=16, mask_input_channels=4)
    masks = transformers.Sam2MaskDecoderConfig(
        hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16
    )
    return transformers.Sam2Config(
        vision_config=vision.to_dict(), prompt_encoder_config=prompts.to_dict(), mask_decoder_config=masks.to_dict()
    )


@pytest.fixture(scope="module", params=["Sam", "SamHQ", "Sam2"])
def folder(request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of each kind with random weights, saved with its processor."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    kind, path = request.param, tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    if kind == "Sam2":
        settings = _sam2_settings(transformers)
        images = transformers.Sam2ImageProcessor(
            size={"height": 64, "width": 64}, mask_size={"height": 16, "width": 16}
        )
    else:
        settings = _sam_settings(transformers, kind, **({"vit_dim": 32} if kind == "SamHQ" else {}))
        images = transformers.SamImageProcessor(
            size={"longest_edge": 64},
            pad_size={"height": 64, "width": 64},
            mask_size={"longest_edge": 16},
            mask_pad_size={"height": 16, "width": 16},
        )
    getattr(transformers, f"{kind}Model")(settings).save_pretrained(path)
    getattr(transformers, f"{kind}Processor")(images).save_pretrained(path)
    return path


def test_transformers_models_answer_as_their_own_pipeline(folder, colours, monkeypatch):
    import transformers

    segmenter = load_segmenter(SegmentationConfig(model=str(folder)))
    network = transformers.AutoModelForMaskGeneration.from_pretrained(folder).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder)
    for prompt in PROMPTS:
        points, labels, box = index_prompt(prompt)
        said = {} if box is None else {"input_boxes": [[box.tolist()]]}
        if len(points):
            said |= {"input_points": [[points.tolist()]], "input_labels": [[labels.tolist()]]}
        samples = np.rint(colours * 255).astype(np.uint8)
        inputs = processor(images=Image.fromarray(samples), return_tensors="pt", **said)
        with torch.no_grad():
            outputs = network(**{name: value for name, value in inputs.items() if "sizes" not in name})
        sizes = [inputs[name] for name in ("original_sizes", "reshaped_input_sizes") if name in inputs]
        masks = processor.post_process_masks(outputs.pred_masks, *sizes)[0].reshape(-1, 48, 64)
        mask = segmenter(colours, prompt)
        assert mask.dtype == np.float32
        np.testing.assert_array_equal(mask, masks[outputs.iou_scores.argmax()].numpy())
        assert len({candidate.numpy().tobytes() for candidate in masks}) > 1
    monkeypatch.setattr(segmenter._network, "get_image_embeddings", lambda pixels: pytest.fail("encoded again"))
    segmenter(colours.copy(), PROMPTS[0])


def test_folders_without_a_sam_model_are_refused(folder, tmp_path):
    import transformers
    from safetensors.torch import load_file, save_file

    with pytest.raises(GainerError, match=r"holds no config.json"):
        load_segmenter(SegmentationConfig(model=str(tmp_path)))
    with pytest.raises(GainerError, match="is no folder of a model"):
        load_segmenter(SegmentationConfig(model="./no/such/folder"))
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(GainerError, match="is a model of kind bert, which makes no masks"):
        load_segmenter(SegmentationConfig(model=str(tmp_path)))
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(folder / "model.safetensors")
    less = {name: value for name, value in weights.items() if "iou_prediction_head" not in name}
    save_file(less, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(GainerError, match=r"lacks \d+ of its weights"):
        load_segmenter(SegmentationConfig(model=str(tmp_path)))
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(GainerError, match="cannot be loaded as a segmentation model") as caught:
        load_segmenter(SegmentationConfig(model=str(tmp_path)))
    assert "\n" not in str(caught.value)


def test_models_of_the_hub_are_fetched_only_when_told(monkeypatch):
    pytest.importorskip("transformers", reason="transformers is not installed")
    import socket

    monkeypatch.setattr(socket.socket, "connect", lambda *args: pytest.fail("reached for the network"))
    name = "somebody/sam-that-is-not-here"
    with pytest.raises(GainerError, match=rf"segmentation model {name} is not on this machine; allow its download"):
        load_segmenter(SegmentationConfig(model=name))
