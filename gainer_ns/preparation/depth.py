"""Depth of one photo, estimated by a network: Depth-Pro, or any depth model of transformers.

transformers is imported, and a model loaded, only when an estimator is asked for; nothing is fetched unless told to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float

from gainer_ns.errors import GainerError
from gainer_ns.io.depth_files import FAR, DepthMap, read_depth, write_depth
from gainer_ns.io.depth_kinds import Kind, inverse_to_depth, known_depth
from gainer_ns.preparation.depth_model import Dtype, load_depth_model
from gainer_ns.preparation.networks import DEPTH, DEPTH_PRO

__all__ = ["DepthConfig", "DepthEstimator", "DepthMap", "read_depth", "write_depth"]

Output = Literal["depth", "inverse"]

_OUTPUTS: dict[str, Output] = {
    "depth_pro": "depth",
    "depth_anything": "inverse",
    "dpt": "inverse",
    "glpn": "depth",
    "tipsv2_dpt": "depth",
    "zoedepth": "depth",
}
"""What the models of a kind answer with, by their config's model_type."""


class DepthEstimator(Protocol):
    """Estimates the depth that a photo shows."""

    def __call__(self, colours: Float[np.ndarray, "h w 3"], focal_length: float | None = None) -> DepthMap:
        """Estimates depth.

        Args:
            colours: A picture in [0, 1], not linear light: as stored.
            focal_length: Of its camera, in its pixels; None where it is unknown.

        Returns:
            Depth of the picture's size, with the focal length that was given, or else the one that was estimated.

        Raises:
            GainerError: The focal length is none, or no depth comes out.
        """
        ...


@dataclass
class DepthConfig:
    """How depth is estimated where no file gives it."""

    model: str = DEPTH_PRO
    """Depth model of transformers: a folder, or a model's id on the Hugging Face hub. Apple licenses Depth-Pro's
    weights for research only; other models have licences of their own."""
    download: bool = False
    """Whether the model may be fetched from the hub when it is not on this machine (Depth-Pro: about 1.9 GB)."""
    dtype: Dtype = "auto"
    """Numbers that the model computes with. auto: float32 where memory suffices (Depth-Pro: 8.6 GB), otherwise half of
    that in bfloat16, on CUDA in float16."""
    output: Literal["auto", "depth", "inverse"] = "auto"
    """What the model answers with: depth in metres, or relative inverse depth. auto: as its kind is known to."""
    kind: Kind | None = None
    """What a depth file holds: depth; inverse (relative inverse depth, as of MiDaS and Depth Anything); or disparity
    (of two cameras, 0 is unknown). Depth when not given, with a warning where it looks like another."""
    far: float = FAR
    """Where relative inverse depth ends: it is stretched so that its 99th percentile lies at depth 1 and its 1st at
    this depth, beyond which nothing lies. Metric models do not need it."""

    def check(self) -> None:
        """Refuses a far end that is not beyond the near one.

        Raises:
            GainerError: It is such.
        """
        if not 1 < self.far < math.inf:
            raise GainerError(f"depth.far: {self.far:g} is not beyond the near depth, 1; give one above 1, such as 5")

    def estimator(self, device: torch.device | str = "cpu") -> DepthEstimator:
        """Loads the model.

        Args:
            device: Where it runs.

        Returns:
            The estimator, which holds the model.

        Raises:
            GainerError: transformers or the model is missing, or it is no depth model.
        """
        self.check()
        return _TransformersDepth(self, torch.device(device))


class _TransformersDepth:
    """A depth model of transformers.

    Args:
        config: Which, and how it is run.
        device: Where.
    """

    def __init__(self, config: DepthConfig, device: torch.device) -> None:
        self._config, self._device = config, device
        self._model = load_depth_model(config.model, download=config.download, dtype=config.dtype, device=device)
        self._kind: str = self._model.settings.model_type
        self._output = _output(config, self._model.settings)

    def __call__(self, colours: Float[np.ndarray, "h w 3"], focal_length: float | None = None) -> DepthMap:
        """Estimates depth; see ``DepthEstimator``."""
        from nerfstudio.utils.rich_utils import CONSOLE
        from PIL import Image

        if focal_length is not None and not 0 < focal_length < math.inf:
            raise GainerError(f"focal length: {focal_length:g} is none; give pixels above 0, or leave it out")
        name = self._config.model
        slowly = " (this may take minutes)" if self._device.type == "cpu" else ""
        CONSOLE.log(f"Estimating depth with {name} on {self._device}{slowly}", markup=False)
        image = Image.fromarray(np.rint(np.nan_to_num(colours).clip(0, 1) * 255).astype(np.uint8))
        with DEPTH.one_line(name):
            predicted, focal_length = self._predict(image, focal_length)
        if not np.isfinite(predicted).any():
            raise GainerError(
                f"{name}: answered with no finite depth; set {DEPTH.option}.dtype float32, or {DEPTH.without}"
            )
        if self._output == "inverse":
            depth, units = inverse_to_depth(predicted, self._config.far), "relative"
        else:
            depth, units = known_depth(predicted), "metres"
        if not depth.any():
            raise GainerError(f"{name}: answered with no depth above 0; choose another model, or {DEPTH.without}")
        return DepthMap(depth, units, focal_length, made_by=f"{name} ({self._kind})")

    @torch.inference_mode()
    def _predict(self, image: Any, focal_length: float | None) -> tuple[np.ndarray, float | None]:
        """What the model answers for a picture, resized to it: float32 [h, w]; and the focal length."""
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
    """Gives Depth-Pro's post-processing the field of view that it scales depth by.

    It makes metres of the network's canonical inverse depth by width / focal length (Bochkovskii et al., Depth Pro:
    Sharp Monocular Metric Depth in Less Than a Second, 2024, section 3.2).

    Args:
        outputs: The network's; its field_of_view [1], in degrees, is overwritten.
        width: Of the picture, in pixels.
        focal_length: In pixels, or None for the network's own.
        name: What complaints call the network.

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


def _output(config: DepthConfig, settings: Any) -> Output:
    """What a model answers with, from its own config unless the user says so."""
    kind = settings.model_type
    if config.output != "auto" and kind != "depth_pro":
        return config.output
    if kind not in _OUTPUTS:
        raise GainerError(f"{config.model}: {kind} is not known here; say {DEPTH.option}.output depth or inverse")
    # DINOv2's depth heads come as DPT with a projection, and were trained on metres.
    metric = getattr(settings, "depth_estimation_type", None) == "metric" or getattr(settings, "add_projection", False)
    return "depth" if metric else _OUTPUTS[kind]
