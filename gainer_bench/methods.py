"""The methods that GaINeR is compared with, as nerfstudio finds them."""

from __future__ import annotations

from typing import Any

from nerfstudio.plugins.types import MethodSpecification

from gainer_bench.baselines.coordinate_networks import FinerConfig, FourierConfig, GaussConfig, SirenConfig, WireConfig
from gainer_bench.baselines.flat_gaussians import FlatGaussiansConfig
from gainer_bench.baselines.gaussian_image import GaussianImageConfig
from gainer_bench.baselines.ingp import IngpConfig
from gainer_bench.baselines.model import BaselineModelConfig
from gainer_bench.baselines.neurbf import NeurbfConfig
from gainer_bench.baselines.picture_function import PictureFunctionConfig
from gainer_ns.image.optimizers import CosineSchedulerConfig
from gainer_ns.methods import adam_config, trainer_config

_NETWORK: dict[str, Any] = {"pixels_per_step": 1024}
_GRID: dict[str, Any] = {"pixels_per_step": 16384, "betas": (0.9, 0.99)}
_SPLATS = {"means": 1e-4, "covariances": 5e-3, "opacities": 5e-2, "colours": 1e-2}


def _baseline(
    method_name: str,
    description: str,
    function: PictureFunctionConfig,
    rates: dict[str, float],
    *,
    pixels_per_step: int | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
) -> MethodSpecification:
    """Make a method that GaINeR is compared with: Adam on the squared error, rates that fall along half a cosine."""
    model = BaselineModelConfig(function=function, pixels_per_step=pixels_per_step)
    optimizers = {group: adam_config(rate, CosineSchedulerConfig(), betas) for group, rate in rates.items()}
    return MethodSpecification(trainer_config(method_name, model, optimizers, steps_per_save=5000), description)


# The networks' frequencies and rates are those that got furthest in a minute on two cores with pictures of half a
# megapixel; their own defaults are the published ones, which take many more steps.
# fmt: off
siren = _baseline(
    "bench-siren", "SIREN: sines (Sitzmann 2020).",
    SirenConfig(first_omega=60.0), {"function": 5e-4}, **_NETWORK)
wire = _baseline(
    "bench-wire", "WIRE: wavelets (Saragadam 2023).",
    WireConfig(omega=5.0, window=5.0), {"function": 2e-3}, **_NETWORK)
finer = _baseline(
    "bench-finer", "FINER: quickening sines (Liu 2024).",
    FinerConfig(first_omega=60.0), {"function": 5e-4}, **_NETWORK)
gauss = _baseline(
    "bench-gauss", "Bells (Ramasinghe 2022).",
    GaussConfig(sharpness=10.0), {"function": 1e-3}, **_NETWORK)
fourier = _baseline(
    "bench-fourier", "Random Fourier features (Tancik 2020).",
    FourierConfig(sigma=20.0), {"function": 2e-3}, **_NETWORK)
ingp = _baseline(
    "bench-ingp", "Instant-NGP: a hash grid (Mueller 2022).",
    IngpConfig(), {"grid": 3e-2, "function": 3e-3}, **_GRID)
neurbf = _baseline(
    "bench-neurbf", "NeuRBF: radial basis functions (Chen 2023).",
    NeurbfConfig(), {"kernels": 7e-3, "grid": 2e-2, "function": 3e-3}, **_GRID)
gaussian_image = _baseline(
    "bench-gaussian-image", "GaussianImage: 2D Gaussians summed up (Zhang 2024).",
    GaussianImageConfig(), {"means": 0.2, "covariances": 0.1, "colours": 2e-2}, betas=(0.9, 0.99))
flat_3dgs = _baseline(
    "bench-3dgs", "3D Gaussian splatting of one picture (Kerbl 2023), by gsplat, on a GPU.",
    FlatGaussiansConfig(), _SPLATS)
mirage = _baseline(
    "bench-mirage", "MiraGe: flat Gaussians in the picture's plane (Waczynska 2025), by gsplat, on a GPU.",
    FlatGaussiansConfig(flat=True), _SPLATS)
