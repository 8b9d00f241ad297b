"""Masks by transformers' SAM family: SAM, SAM 2, SAM-HQ, from a folder or, when told to, from the hub."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from gainer_ns.preparation.networks import SEGMENTATION, load_network
from gainer_ns.preparation.prompts import Prompt
from gainer_ns.preparation.sam import PromptedSegmenter, as_pixel_indices


class TransformersSegmenter(PromptedSegmenter):
    """Segments with a model that transformers knows as one for mask generation.

    Args:
        name: A folder, or a model's id on the hub.
        download: Whether the hub may be asked for what is not on this machine.
        device: Where it runs.

    Raises:
        GainerError: transformers or the model is missing, or it makes no masks.
    """

    def __init__(self, name: str, *, download: bool = False, device: torch.device | str = "cpu") -> None:
        super().__init__(name, device)
        _, self._processor, network = load_network(SEGMENTATION, name, download=download, dtype=torch.float32)
        with SEGMENTATION.one_line(name):
            self._network: Any = network.to(self._device).eval()
        self._encoded: dict[str, Any] = {}

    @torch.inference_mode()
    def _answer(self, samples: UInt8[np.ndarray, "h w 3"], prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
        inputs = self._inputs(samples, prompt)
        del inputs["pixel_values"]
        sizes = {name: inputs.pop(name) for name in ("original_sizes", "reshaped_input_sizes") if name in inputs}
        outputs = self._network(**inputs, **self._encoded, multimask_output=True)
        masks = self._processor.post_process_masks(outputs.pred_masks.cpu(), **sizes)[0]
        scores = outputs.iou_scores.reshape(-1).float().cpu().numpy()
        return masks.reshape(-1, *samples.shape[:2]).numpy(), scores

    def _inputs(self, samples: UInt8[np.ndarray, "h w 3"], prompt: Prompt) -> dict[str, Any]:
        """Return what the model takes, with the sizes that its answer is undone by."""
        points, labels, box = as_pixel_indices(prompt)
        said: dict[str, Any] = {}
        if len(points):
            said["input_points"], said["input_labels"] = [[points.tolist()]], [[labels.tolist()]]
        if box is not None:
            said["input_boxes"] = [[box.tolist()]]
        inputs = dict(self._processor(images=Image.fromarray(samples), return_tensors="pt", **said))
        for name in ("pixel_values", "input_points", "input_boxes"):
            if name in inputs:
                inputs[name] = inputs[name].to(self._device, torch.float32)
        if "input_labels" in inputs:
            inputs["input_labels"] = inputs["input_labels"].to(self._device)
        sizes = ("original_sizes", "reshaped_input_sizes")
        known = inspect.signature(self._network.forward).parameters
        return {name: value for name, value in inputs.items() if name in sizes or name in known}

    @torch.inference_mode()
    def _encode(self, samples: UInt8[np.ndarray, "h w 3"]) -> None:
        encoded = self._network.get_image_embeddings(self._inputs(samples, Prompt())["pixel_values"])
        names = "image_embeddings", "intermediate_embeddings"  # of which SAM-HQ reads the second, too
        self._encoded = dict(zip(names, encoded if isinstance(encoded, tuple) else (encoded,), strict=False))
