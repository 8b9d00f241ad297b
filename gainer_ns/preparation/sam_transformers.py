"""Masks by transformers' SAM family: SAM, SAM 2, SAM-HQ, from a folder or, when told to, from the hub."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from gainer_ns.io.samples import integer_samples
from gainer_ns.preparation.networks import SEGMENTATION, load_network
from gainer_ns.preparation.offers import Offers, by_size
from gainer_ns.preparation.prompts import Prompt
from gainer_ns.preparation.sam import announce, as_pixel_indices, best


class TransformersSegmenter:
    """Segments with a model that transformers knows as one for mask generation; see ``Segmenter``.

    A picture is encoded once, however often it is prompted.

    Args:
        name: A folder, or a model's id on the hub.
        download: Whether the hub may be asked for what is not on this machine.
        device: Where it runs.

    Raises:
        GainerError: transformers or the model is missing, or it makes no masks.
    """

    def __init__(self, name: str, *, download: bool = False, device: torch.device | str = "cpu") -> None:
        self._name, self._device = name, torch.device(device)
        _, self._processor, network = load_network(SEGMENTATION, name, download=download, dtype=torch.float32)
        with SEGMENTATION.one_line(name):
            self._network: Any = network.to(self._device).eval()
        self._seen: UInt8[np.ndarray, "h w 3"] | None = None
        self._encoded: dict[str, Any] = {}

    def __call__(self, colours: Float[np.ndarray, "h w 3"], prompt: Prompt) -> Float[np.ndarray, "h w"]:
        """Make a mask, of those that the model offers that of the highest predicted IoU; see ``Segmenter``."""
        masks, scores = self._predicted(colours, prompt)
        return masks[best(scores)].astype(np.float32)

    def offers(self, colours: Float[np.ndarray, "h w 3"], click: tuple[float, float]) -> Offers:
        """Return all that the model offers for a click; see ``Proposer``."""
        masks, scores = self._predicted(colours, Prompt((click,)))
        return by_size(masks, best(scores))

    @torch.inference_mode()
    def _predicted(self, colours: Float[np.ndarray, "h w 3"], prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
        """Return masks [n, h, w], and their predicted IoU."""
        prompt.check(colours.shape[1], colours.shape[0])
        samples = integer_samples(np.nan_to_num(colours), None, 8)
        with SEGMENTATION.one_line(self._name):
            inputs = self._inputs(samples, prompt)
            pixels = inputs.pop("pixel_values")
            if self._seen is None or not np.array_equal(samples, self._seen):
                self._seen = None
                announce(self._name, self._device)
                self._encoded = self._encode(pixels)
                self._seen = samples
            sizes = {name: inputs.pop(name) for name in ("original_sizes", "reshaped_input_sizes") if name in inputs}
            outputs = self._network(**inputs, **self._encoded, multimask_output=True)
            masks = self._processor.post_process_masks(outputs.pred_masks.cpu(), **sizes)[0]
        scores = outputs.iou_scores.reshape(-1).float().cpu().numpy()
        return masks.reshape(-1, *colours.shape[:2]).numpy(), scores

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

    def _encode(self, pixels: torch.Tensor) -> dict[str, Any]:
        """Return what the model knows of a picture before it is prompted, by the names of its arguments."""
        encoded = self._network.get_image_embeddings(pixels)
        if isinstance(encoded, tuple):  # SAM-HQ reads its first layers too.
            return {"image_embeddings": encoded[0], "intermediate_embeddings": encoded[1]}
        return {"image_embeddings": encoded}
