"""The recipes of the 2D methods: the only place where their numbers live."""

from __future__ import annotations

from typing import NamedTuple

from gainer_ns.fields.knn_encoding import KNNEncodingConfig
from gainer_ns.fitting.recipe import PictureRecipe
from gainer_ns.fitting.schedules import CosineSchedule, StepsSchedule
from gainer_ns.fitting.trainer import AdamRecipe


class MethodRecipe(NamedTuple):
    """A 2D method.

    Attributes:
        picture: How a picture becomes Gaussians.
        adam: How its Adam steps learn.
    """

    picture: PictureRecipe
    adam: AdamRecipe


GAINER = MethodRecipe(
    PictureRecipe(),
    AdamRecipe({"decoder": 3e-3, "features": 5e-2, "covariances": 6e-2}, CosineSchedule()),
)

PAPER_STEPS = 30_000
# 32 pixels and a tenth of the picture's width, as the official settings have it on a Kodak photograph.
PAPER_ENCODING = KNNEncodingConfig(features="hash-grid", covariances="diagonal", sigma=36.0, radius=87.0)
PAPER = MethodRecipe(
    PictureRecipe(
        num_gaussians=500_000,
        placement="uniform",
        encoding=PAPER_ENCODING,
        sparse_encoding=PAPER_ENCODING,
        loss="smooth-l1",
        adam_steps=PAPER_STEPS,
        finish_steps=0,
    ),
    AdamRecipe({"decoder": 1e-3, "features": 1e-3, "covariances": 1e-3}, StepsSchedule()),
)

COMPACT_ENCODING = KNNEncodingConfig(num_neighbours=12, covariances="full", sigma=0.5, means="learned", slopes=1)
COMPACT = MethodRecipe(
    PictureRecipe(
        gaussians_per_pixel=0.18,
        placement="detail",
        feature_dim=3,
        hidden_layers=0,
        encoding=COMPACT_ENCODING,
        sparse_encoding=COMPACT_ENCODING,
        finish_steps=36,
        between_pixels=1.0,
        rounding=0.6,
    ),
    GAINER.adam,  # of which it takes no step
)

RECIPES = {"gainer": GAINER, "gainer-paper": PAPER, "gainer-compact": COMPACT}
"""By the names under which ns-train knows them."""
