"""Depth of one photo, estimated by a network: Depth-Pro, or any depth model of transformers.

transformers is imported, and a model loaded, only when an estimator is made; nothing is fetched unless told to.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.io.depth_files import DepthMap, inverse_to_depth, known_depth
from gainer_ns.io.samples import integer_samples
from gainer_ns.preparation.config import DepthConfig, PreparationError
from gainer_ns.preparation.depth_model import load_depth_model
from gainer_ns.preparation.networks import DEPTH

_OUTPUTS: dict[str, Literal["depth", "inverse"]] = {
    "depth_pro": "depth",
    "depth_anything": "inverse",
    "dpt": "inverse",
    "glpn": "depth",
    "tipsv2_dpt": "depth",
    "zoedepth": "depth",
}
"""What the models of a kind answer with, by their config's model_type."""


class TransformersDepth:
    """A depth model of transformers on a device.

    Raises:
        GainerError: transformers or the model is missing, or it is no depth model.
    """

    def __init__(self, config: DepthConfig, device: torch.device | str) -> None:
        config.check()
        self._config, self._device = config, torch.device(device)
        self._model = load_depth_model(config, self._device)
        self._kind: str = self._model.settings.model_type
        self._output = _output(config, self._model.settings)

    def __call__(self, colours: Float[np.ndarray, "h w 3"], focal_length: float | None = None) -> DepthMap:
        """Estimate the depth of a picture.

        Args:
            colours: In [0, 1] as stored, not linear light.
            focal_length: Of its camera, in its pixels; None where it is unknown.

        Returns:
            Depth with the focal length that was given, or else the one that was estimated.

        Raises:
            GainerError: The focal length is none, or no depth comes out.
        """
        from nerfstudio.utils.rich_utils import CONSOLE

        if focal_length is not None and not 0 < focal_length < math.inf:
            raise GainerError(f"focal length: {focal_length:g} is none; give pixels above 0, or leave it out")
        name = self._config.model
        slowly = " (this may take minutes)" if self._device.type == "cpu" else ""
        CONSOLE.log(f"Estimating depth with {name} on {self._device}{slowly}", markup=False)
        image = Image.fromarray(integer_samples(np.nan_to_num(colours), None, 8))
        with DEPTH.one_line(name):
            predicted, focal_length = self._predict(image, focal_length)
        if not np.isfinite(predicted).any():
            raise DEPTH.error(f"{name}: answered with no finite depth; compute in float32", "depth.dtype float32")
        if self._output == "inverse":
            depth, units = inverse_to_depth(predicted, self._config.far), "relative"
        else:
            depth, units = known_depth(predicted), "metres"
        if not depth.any():
            raise DEPTH.error(f"{name}: answered with no depth above 0; choose another model")
        return DepthMap(depth, units, focal_length, made_by=f"{name} ({self._kind})")

    @torch.inference_mode()
    def _predict(self, image: Any, focal_length: float | None) -> tuple[np.ndarray, float | None]:
        """Return the model's answer for a picture, resized to it: float32 [h, w]; and the focal length in pixels."""
        width, height = image.size
        inputs = self._model.processor(images=image, return_tensors="pt").to(self._device, self._model.dtype)
        outputs = self._model.network(**inputs)
        outputs.predicted_depth = outputs.predicted_depth.float()
        if self._kind == "depth_pro":
            focal_length = _set_field_of_view(outputs, width, focal_length, self._config.model)
        sizes: dict[str, Any] = {"target_sizes": [(height, width)]}
        if self._kind == "zoedepth":
            sizes["source_sizes"] = [(height, width)]  # It pads pictures, and needs to know by how much.
        answer = self._model.processor.post_process_depth_estimation(outputs, **sizes)[0]
        predicted = answer["predicted_depth"].float().reshape(height, width).cpu().numpy()
        if self._kind != "depth_pro":  # Bicubic resizing swings past what was predicted; Depth-Pro's is bilinear.
            raw = outputs.predicted_depth[outputs.predicted_depth.isfinite()]
            predicted = predicted if raw.numel() == 0 else predicted.clip(raw.min().item(), raw.max().item())
        return predicted, focal_length


def _set_field_of_view(outputs: Any, width: int, focal_length: float | None, name: str) -> float:
    """Give Depth-Pro's post-processing the field of view that it scales depth by.

    It makes metres of the network's canonical inverse depth by width / focal length (Bochkovskii et al., Depth Pro:
    Sharp Monocular Metric Depth in Less Than a Second, 2024, section 3.2).

    Args:
        outputs: The network's; its field_of_view [1], in degrees, is overwritten.
        width: Of the picture, in pixels.
        focal_length: In pixels, or None for the network's own.
        name: What messages call the network.

    Returns:
        The focal length in pixels.
    """
    if focal_length is not None:
        degrees = math.degrees(2 * math.atan(0.5 * width / focal_length))
        outputs.field_of_view = torch.tensor([degrees], dtype=torch.float32, device=outputs.predicted_depth.device)
        return focal_length
    if outputs.field_of_view is None:
        raise GainerError(f"{name}: estimates no field of view; give the focal length in pixels")
    outputs.field_of_view = outputs.field_of_view.float()
    degrees = float(outputs.field_of_view[0])
    if not 0 < degrees < 180:
        raise GainerError(f"{name}: estimates a field of view of {degrees:g} degrees; give the focal length in pixels")
    return 0.5 * width / math.tan(math.radians(0.5 * degrees))


def _output(config: DepthConfig, settings: Any) -> Literal["depth", "inverse"]:
    """Return what a model answers with, by its own config unless the user says so."""
    kind = settings.model_type
    if config.output != "auto" and kind != "depth_pro":
        return config.output
    if kind not in _OUTPUTS:
        problem = f"{config.model}: {kind} is not known here; say whether its output is depth or inverse depth"
        raise PreparationError(problem, "depth.output")
    # DINOv2's depth heads come as DPT with a projection, and were trained on metres.
    metric = getattr(settings, "depth_estimation_type", None) == "metric" or getattr(settings, "add_projection", False)
    return "depth" if metric else _OUTPUTS[kind]
