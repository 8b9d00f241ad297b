"""The registered methods; the numbers of the 2D ones are those of :mod:`gainer_ns.recipes`."""

from __future__ import annotations

import copy
from typing import Any

import torch
from nerfstudio.configs.base_config import LocalWriterConfig, LoggingConfig, MachineConfig, ViewerConfig
from nerfstudio.pipelines.base_pipeline import VanillaPipelineConfig
from nerfstudio.plugins.types import MethodSpecification

from gainer_ns.doors import end_in_one_line
from gainer_ns.evaluation.baselines.finer import FinerConfig
from gainer_ns.evaluation.baselines.flat_gaussians import FlatGaussiansConfig
from gainer_ns.evaluation.baselines.fourier import FourierConfig
from gainer_ns.evaluation.baselines.gauss import GaussConfig
from gainer_ns.evaluation.baselines.gaussian_image import GaussianImageConfig
from gainer_ns.evaluation.baselines.ingp import IngpConfig
from gainer_ns.evaluation.baselines.model import BaselineModelConfig
from gainer_ns.evaluation.baselines.neurbf import NeurbfConfig
from gainer_ns.evaluation.baselines.picture_function import PictureFunctionConfig
from gainer_ns.evaluation.baselines.siren import SirenConfig
from gainer_ns.evaluation.baselines.wire import WireConfig
from gainer_ns.fitting.schedules import CosineSchedule
from gainer_ns.fitting.trainer import EPSILON
from gainer_ns.image.datamanager import PictureDataManagerConfig
from gainer_ns.image.fitted_model import FittedModelConfig
from gainer_ns.image.model import GainerModelConfig
from gainer_ns.image.optimizers import BetasAdamConfig, CosineSchedulerConfig, StepsSchedulerConfig
from gainer_ns.image.trainer import PictureTrainerConfig
from gainer_ns.lifting.datamanager import LiftDataManagerConfig
from gainer_ns.lifting.model import LiftModelConfig
from gainer_ns.recipes import RECIPES
from gainer_ns.viewer.config import EditPanelConfig

end_in_one_line()  # nerfstudio's programs import this module, whatever they do


def _trainer(
    method_name: str,
    model: FittedModelConfig,
    optimizers: dict,
    datamanager: PictureDataManagerConfig | None = None,
    *,
    steps_per_log: int = 10,
    **options: Any,
) -> PictureTrainerConfig:
    """What all methods share: on the machine's best device, with viewer and log, without evaluation while fitting.

    nerfstudio's table of steps and its profile do without: the loop may be far longer than the fit.
    """
    return PictureTrainerConfig(
        method_name=method_name,
        pipeline=VanillaPipelineConfig(datamanager=datamanager or PictureDataManagerConfig(), model=model),
        optimizers=optimizers,
        machine=MachineConfig(device_type="cuda" if torch.cuda.is_available() else "cpu"),
        vis="viewer+tensorboard",
        viewer=ViewerConfig(websocket_host="127.0.0.1", quit_on_train_completion=True),
        logging=LoggingConfig(
            steps_per_log=steps_per_log, local_writer=LocalWriterConfig(enable=False), profiler="none"
        ),
        steps_per_eval_batch=0,
        steps_per_eval_image=0,
        steps_per_eval_all_images=0,
        **options,
    )


def _adam(
    rate: float,
    scheduler: CosineSchedulerConfig | StepsSchedulerConfig,
    betas: tuple[float, float] = (0.9, 0.999),
) -> dict:
    return {"optimizer": BetasAdamConfig(lr=rate, eps=EPSILON, betas=betas), "scheduler": scheduler}


def _picture_method(name: str, description: str, **options: Any) -> MethodSpecification:
    """A 2D method by its recipe."""
    recipe, adam = RECIPES[name]
    kind = CosineSchedulerConfig if isinstance(adam.schedule, CosineSchedule) else StepsSchedulerConfig
    model = GainerModelConfig(panel=EditPanelConfig(), **copy.deepcopy(vars(recipe)))
    groups = {group: _adam(rate, kind(**vars(adam.schedule)), adam.betas) for group, rate in adam.rates.items()}
    return MethodSpecification(_trainer(name, model, groups, **options), description)


gainer = _picture_method(
    "gainer",
    "GaINeR on one picture: lattice means and a Gauss-Newton finish, every 8-bit value exact.",
    steps_per_save=500,
    steps_per_log=1,
)
gainer_paper = _picture_method(
    "gainer-paper",
    "GaINeR as the paper has it: 500,000 uniform Gaussians, hash-grid features, 30,000 steps of Adam.",
    steps_per_save=2000,
)
gainer_compact = _picture_method(
    "gainer-compact",
    "GaINeR with few Gaussians that are learned entirely: small files, quick to drag.",
    steps_per_save=500,
)
gainer_lift = MethodSpecification(
    config=_trainer(
        "gainer-lift",
        LiftModelConfig(panel=EditPanelConfig()),
        {group: _adam(1e-3, CosineSchedulerConfig()) for group in ("decoder", "features")},
        LiftDataManagerConfig(),
        steps_per_save=500,
        steps_per_log=1,
    ),
    description="GaINeR in space: one photo, lifted by its depth, rendered by nerfstudio's volumetric pipeline.",
)


def _baseline(
    method_name: str,
    function: PictureFunctionConfig,
    rates: dict[str, float],
    description: str,
    *,
    pixels_per_step: int | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
    steps: int = 30_000,
) -> MethodSpecification:
    """A method that GaINeR is compared with: Adam on the squared error, rates that fall along half a cosine.

    Args:
        method_name: Its name.
        function: What the picture is made of.
        rates: Learning rates by group of parameters.
        description: What it is, and where it was published.
        pixels_per_step: Pixels drawn for each step; None for all.
        betas: Of Adam.
        steps: Length of a fit that no time bounds.
    """
    model = BaselineModelConfig(function=function, steps=steps, pixels_per_step=pixels_per_step)
    optimizers = {group: _adam(rate, CosineSchedulerConfig(), betas) for group, rate in rates.items()}
    return MethodSpecification(_trainer(method_name, model, optimizers, steps_per_save=5000), description)


# The networks' frequencies and rates are those that got furthest in a minute on two cores with pictures of half a
# megapixel; their own defaults are the published ones, which take many more steps.
siren = _baseline(
    "siren",
    SirenConfig(first_omega=60.0),
    {"function": 5e-4},
    "SIREN: sines (Sitzmann 2020).",
    pixels_per_step=1024,
)
wire = _baseline(
    "wire",
    WireConfig(omega=5.0, window=5.0),
    {"function": 2e-3},
    "WIRE: wavelets (Saragadam 2023).",
    pixels_per_step=1024,
)
finer = _baseline(
    "finer",
    FinerConfig(first_omega=60.0),
    {"function": 5e-4},
    "FINER: quickening sines (Liu 2024).",
    pixels_per_step=1024,
)
gauss = _baseline(
    "gauss",
    GaussConfig(sharpness=10.0),
    {"function": 1e-3},
    "Bells (Ramasinghe 2022).",
    pixels_per_step=1024,
)
fourier = _baseline(
    "fourier",
    FourierConfig(sigma=20.0),
    {"function": 2e-3},
    "Random Fourier features (Tancik 2020).",
    pixels_per_step=1024,
)
ingp = _baseline(
    "ingp",
    IngpConfig(),
    {"grid": 3e-2, "function": 3e-3},
    "Instant-NGP: a hash grid (Mueller 2022).",
    pixels_per_step=16384,
    betas=(0.9, 0.99),
)
neurbf = _baseline(
    "neurbf",
    NeurbfConfig(),
    {"kernels": 7e-3, "grid": 2e-2, "function": 3e-3},
    "NeuRBF: radial basis functions (Chen 2023).",
    pixels_per_step=16384,
    betas=(0.9, 0.99),
)
gaussian_image = _baseline(
    "gaussian-image",
    GaussianImageConfig(),
    {"means": 0.2, "covariances": 0.1, "colours": 2e-2},
    "GaussianImage: 2D Gaussians summed up (Zhang 2024).",
    betas=(0.9, 0.99),
)
flat_3dgs = _baseline(
    "3dgs",
    FlatGaussiansConfig(),
    {"means": 1e-4, "covariances": 5e-3, "opacities": 5e-2, "colours": 1e-2},
    "3D Gaussian splatting of one picture (Kerbl 2023), by gsplat, on a GPU.",
)
mirage = _baseline(
    "mirage",
    FlatGaussiansConfig(flat=True),
    {"means": 1e-4, "covariances": 5e-3, "opacities": 5e-2, "colours": 1e-2},
    "MiraGe: flat Gaussians in the picture's plane (Waczynska 2025), by gsplat, on a GPU.",
)
