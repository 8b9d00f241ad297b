"""Decode an aggregated feature to colour: an MLP beside a linear path (paper, section 3.2)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gainer_ns.devices import block_size
from gainer_ns.fields.hash_grid import MAX_FEATURES

DECODER_BLOCK_ROWS = 1 << 14
"""Rows decoded at once: few enough that the hidden layers stay in the processor's cache."""
_MLP_GAIN = 0.1
"""Factor of the MLP's last weights at the start: nearly linear decoders take fewer Gauss-Newton steps."""


class MLP(nn.Module):
    """Linear layers of the given lengths with SiLU between them.

    The names of its weights are those in checkpoints and files.
    """

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(*pair) for pair in itertools.pairwise(sizes)])

    def forward(self, features: Float[Tensor, "*batch f"]) -> Float[Tensor, "*batch c"]:
        """Apply the layers."""
        first, *rest = self.layers
        values = first(features)
        for layer in rest:
            values = layer(nn.functional.silu(values))
        return values


class Decoder(nn.Module):
    """``c = 1/2 + S e + MLP(e)``, without a sigmoid: colours are clamped for display only.

    The linear path ``S`` starts with orthonormal rows, so that its gradient neither vanishes nor favours a channel.

    Args:
        feature_dim: Length ``f`` of a feature.
        channels: Number of outputs ``c``.
        hidden_layers: Hidden layers of the MLP; 0 leaves the linear path alone.
        hidden_dim: Width of a hidden layer.
        seed: Seed of the initial weights.
        grey_first: Whether the linear path starts with a first feature that changes all channels alike.
        plain: Whether it starts with features that are the channels, less 1/2.
    """

    def __init__(
        self,
        feature_dim: int,
        channels: int = 3,
        *,
        hidden_layers: int = 2,
        hidden_dim: int = 64,
        seed: int = 0,
        grey_first: bool = False,
        plain: bool = False,
    ) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            self.linear = nn.Linear(feature_dim, channels)
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the other devices too
            nn.init.orthogonal_(self.linear.weight)
            if grey_first and feature_dim >= channels:
                self.linear.weight.data = _turned_to_grey(self.linear.weight.data)
            if plain:
                nn.init.eye_(self.linear.weight)
            nn.init.constant_(self.linear.bias, 0.5)
            self.mlp = None
            if hidden_layers > 0:
                self.mlp = MLP(feature_dim, *[hidden_dim] * hidden_layers, channels)
                last = cast(nn.Linear, self.mlp.layers[-1])
                nn.init.zeros_(last.bias)
                last.weight.data.mul_(_MLP_GAIN)
        self.feature_dim, self.channels = feature_dim, channels
        self.hidden_layers, self.hidden_dim = hidden_layers, hidden_dim

    @classmethod
    def restored(
        cls, weights: Mapping[str, Tensor], *, hidden_layers: int, hidden_dim: int, channels: int = 3
    ) -> Decoder:
        """Make a decoder of stored weights; no memory is taken but theirs, whatever sizes are claimed.

        Raises:
            ValueError: If they are not those of such a decoder, or not finite.
            LookupError: If one is missing.
            RuntimeError: If they do not fit the sizes.
        """
        feature_dim = weights["linear.weight"].shape[-1]
        if not (0 <= hidden_layers <= len(weights) and hidden_dim >= 1 and 1 <= feature_dim <= MAX_FEATURES):
            raise ValueError("a decoder does not fit its layers")
        with torch.device("meta"):
            decoder = cls(feature_dim, channels, hidden_layers=hidden_layers, hidden_dim=hidden_dim)
        decoder.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
        if not all(bool(value.isfinite().all()) for value in decoder.state_dict().values()):
            raise ValueError("it holds numbers that are not finite")
        return decoder.requires_grad_(False).eval()

    def forward(self, features: Float[Tensor, "*batch f"]) -> Float[Tensor, "*batch c"]:
        """Decode features to colours, unclamped."""
        colours = self.linear(features)
        return colours if self.mlp is None else colours + self.mlp(features)

    @torch.no_grad()
    def make_linear(self) -> None:
        """Let the MLP add nothing, so that :meth:`features_for` is exact."""
        if self.mlp is not None:
            last = cast(nn.Linear, self.mlp.layers[-1])
            last.weight.zero_()
            last.bias.zero_()

    @torch.no_grad()
    def features_for(self, colours: Float[Tensor, "m c"]) -> Float[Tensor, "m f"]:
        """Return the smallest features that the linear path alone decodes to these colours: where a fit begins."""
        weight, offset = self.linear.weight, colours - self.linear.bias
        if torch.equal(weight, torch.eye(len(weight), device=weight.device)):
            return offset
        return offset @ torch.linalg.pinv(weight).T

    @torch.no_grad()
    def decode(self, features: Float[Tensor, "m f"]) -> Float[Tensor, "m c"]:
        """Decode many features in blocks of rows."""
        return torch.cat([self(block) for block in features.split(block_size(DECODER_BLOCK_ROWS, features.device))])

    def decode_with_jacobian(
        self, features: Float[Tensor, "m f"]
    ) -> tuple[Float[Tensor, "m c"], Float[Tensor, "m c f"]]:
        """Decode many features in blocks of rows, with the derivatives ``d c / d e``."""
        colours = features.new_empty(len(features), self.channels)
        jacobian = features.new_empty(len(features), self.channels, self.feature_dim)
        step = block_size(DECODER_BLOCK_ROWS, features.device)
        for start in range(0, len(features), step):
            rows = slice(start, start + step)
            block = features[rows].detach().requires_grad_()
            with torch.enable_grad():
                out = self(block)
                for channel in range(self.channels):
                    keep = channel + 1 < self.channels
                    (gradient,) = torch.autograd.grad(out[:, channel].sum(), block, retain_graph=keep)
                    jacobian[rows, channel] = gradient
            colours[rows] = out.detach()
        return colours, jacobian


def _turned_to_grey(weight: Float[Tensor, "c f"]) -> Float[Tensor, "c f"]:
    """Turn orthonormal rows so that the first column changes all channels alike (Householder 1958)."""
    grey = torch.full((len(weight),), len(weight) ** -0.5)
    normal = weight.T @ grey  # of the mirror between the first feature and the one that is grey
    normal[0] -= 1
    length = float(normal.square().sum())
    return weight if length < 1e-12 else weight - 2 / length * torch.outer(weight @ normal, normal)
