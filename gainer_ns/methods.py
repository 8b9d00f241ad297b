"""The registered methods. The only place where the numbers of recipes live."""

from __future__ import annotations

from typing import Any

import torch
from nerfstudio.configs.base_config import LoggingConfig, MachineConfig, ViewerConfig
from nerfstudio.engine.optimizers import AdamOptimizerConfig
from nerfstudio.pipelines.base_pipeline import VanillaPipelineConfig
from nerfstudio.plugins.types import MethodSpecification

from gainer_ns.encodings.knn_encoding import KNNEncodingConfig
from gainer_ns.fitting.recipe import RecipeConfig
from gainer_ns.fitting.schedules import CosineSchedulerConfig, StepsSchedulerConfig
from gainer_ns.image.datamanager import PictureDataManagerConfig
from gainer_ns.image.model import GainerModelConfig
from gainer_ns.image.trainer import PictureTrainerConfig
from gainer_ns.lifting.datamanager import LiftDataManagerConfig
from gainer_ns.lifting.model import LiftModelConfig
from gainer_ns.viewer.config import EditPanelConfig


def _trainer(
    method_name: str,
    model: RecipeConfig,
    optimizers: dict,
    datamanager: PictureDataManagerConfig | None = None,
    **options: Any,
) -> PictureTrainerConfig:
    """What all methods share: on the machine's best device, with viewer and log, without evaluation while fitting."""
    model.panel = EditPanelConfig()
    return PictureTrainerConfig(
        method_name=method_name,
        pipeline=VanillaPipelineConfig(datamanager=datamanager or PictureDataManagerConfig(), model=model),
        optimizers=optimizers,
        machine=MachineConfig(device_type="cuda" if torch.cuda.is_available() else "cpu"),
        vis="viewer+tensorboard",
        viewer=ViewerConfig(websocket_host="127.0.0.1", quit_on_train_completion=True),
        steps_per_eval_batch=0,
        steps_per_eval_image=0,
        steps_per_eval_all_images=0,
        **options,
    )


def _adam(rate: float, scheduler: CosineSchedulerConfig | StepsSchedulerConfig) -> dict:
    return {"optimizer": AdamOptimizerConfig(lr=rate, eps=1e-15), "scheduler": scheduler}


gainer = MethodSpecification(
    config=_trainer(
        "gainer",
        GainerModelConfig(),
        {
            "decoder": _adam(3e-3, CosineSchedulerConfig()),
            "features": _adam(5e-2, CosineSchedulerConfig()),
            "covariances": _adam(6e-2, CosineSchedulerConfig()),
        },
        steps_per_save=500,
        logging=LoggingConfig(steps_per_log=1),
    ),
    description="GaINeR on one picture: lattice means and a Gauss-Newton finish, every 8-bit value exact.",
)

PAPER_STEPS = 30_000
# 32 pixels and a tenth of the picture's width, as the official settings have it on a Kodak photograph.
PAPER_ENCODING = KNNEncodingConfig(features="hash-grid", covariances="diagonal", sigma=36.0, radius=87.0)

gainer_paper = MethodSpecification(
    config=_trainer(
        "gainer-paper",
        GainerModelConfig(
            num_gaussians=500_000,
            placement="uniform",
            encoding=PAPER_ENCODING,
            sparse_encoding=PAPER_ENCODING,
            loss="smooth-l1",
            adam_steps=PAPER_STEPS,
            finish_steps=0,
        ),
        {group: _adam(1e-3, StepsSchedulerConfig()) for group in ("decoder", "features", "covariances")},
        steps_per_save=2000,
    ),
    description="GaINeR as the paper has it: 500,000 uniform Gaussians, hash-grid features, 30,000 steps of Adam.",
)

gainer_lift = MethodSpecification(
    config=_trainer(
        "gainer-lift",
        LiftModelConfig(),
        {group: _adam(1e-3, CosineSchedulerConfig()) for group in ("decoder", "features")},
        LiftDataManagerConfig(),
        steps_per_save=500,
        logging=LoggingConfig(steps_per_log=1),
    ),
    description="GaINeR in space: one photo, lifted by its depth, rendered by nerfstudio's volumetric pipeline.",
)
