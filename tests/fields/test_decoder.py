"""The decoder and its derivatives."""

import pytest
import torch
from torch import Tensor

from gainer_ns.fields import decoder as decoder_module
from gainer_ns.fields.decoder import Decoder
from gainer_ns.fields.hash_grid import MAX_FEATURES

depths = pytest.mark.parametrize("hidden_layers", [0, 1, 2])


def loud(hidden_layers: int, feature_dim: int = 8, channels: int = 3) -> Decoder:
    """A decoder that is far from linear, where it has an MLP."""
    decoder = Decoder(feature_dim, channels, hidden_layers=hidden_layers, hidden_dim=16)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(2).add_(0.1 * torch.randn_like(parameter))
    return decoder


@depths
@pytest.mark.parametrize(("feature_dim", "channels"), [(8, 3), (3, 3), (5, 4), (2, 3), (1, 1)])
def test_jacobian(hidden_layers: int, feature_dim: int, channels: int) -> None:
    decoder = loud(hidden_layers, feature_dim, channels).double()
    features = torch.randn(7, feature_dim, dtype=torch.float64)
    colours, jacobian = decoder.decode_with_jacobian(features)
    expected = torch.stack([torch.func.jacrev(decoder)(feature) for feature in features])
    torch.testing.assert_close(jacobian, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(colours, decoder(features), rtol=0, atol=1e-12)
    assert jacobian.shape == (7, channels, feature_dim)
    if hidden_layers:
        assert (expected[0] - expected[1]).abs().max() > 0.01, "it is not linear"


def test_no_gradient_is_left_behind() -> None:
    decoder, features = loud(2), torch.randn(6, 8, requires_grad=True)
    with torch.no_grad():
        colours, jacobian = decoder.decode_with_jacobian(features)
    assert not colours.requires_grad and not jacobian.requires_grad and not decoder.decode(features).requires_grad
    assert features.grad is None and all(parameter.grad is None for parameter in decoder.parameters())


@depths
@pytest.mark.parametrize("count", [0, 1, 4, 5, 13])
def test_blocks_change_nothing(hidden_layers: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, features = loud(hidden_layers), torch.randn(count, 8)
    colours, jacobian = decoder.decode_with_jacobian(features)
    assert colours.shape == (count, 3) and jacobian.shape == (count, 3, 8)
    monkeypatch.setattr(decoder_module, "DECODER_BLOCK_ROWS", 4)
    in_blocks, jacobian_in_blocks = decoder.decode_with_jacobian(features)
    torch.testing.assert_close(in_blocks, colours)
    torch.testing.assert_close(jacobian_in_blocks, jacobian)
    torch.testing.assert_close(decoder.decode(features), decoder(features).detach())


def test_features_for_colours() -> None:
    decoder, colours = Decoder(8, hidden_layers=0), torch.randn(20, 3) * 3
    features = decoder.features_for(colours)
    torch.testing.assert_close(decoder.decode(features), colours, rtol=0, atol=1e-5)
    _, _, others = torch.linalg.svd(decoder.linear.weight.detach())
    assert (features @ others[3:].T).abs().max() < 1e-5, "no smaller ones do"


def test_features_for_colours_read_the_linear_path_alone() -> None:
    decoder, colours = loud(2), torch.rand(20, 3)
    torch.testing.assert_close(decoder.linear(decoder.features_for(colours)), colours, rtol=0, atol=1e-5)


def test_more_colours_than_features() -> None:
    """Then the nearest that can be had."""
    decoder, colours = Decoder(2, hidden_layers=0).double(), torch.rand(5, 3, dtype=torch.float64)
    expected = torch.linalg.lstsq(decoder.linear.weight, (colours - decoder.linear.bias).T).solution.T
    torch.testing.assert_close(decoder.features_for(colours), expected.detach())


@pytest.mark.parametrize("feature_dim", [3, 8, 32])
def test_linear_path_starts_orthonormal_and_grey(feature_dim: int) -> None:
    decoder = Decoder(feature_dim, seed=3)
    weight = decoder.linear.weight.detach()
    torch.testing.assert_close(weight @ weight.T, torch.eye(3), rtol=0, atol=1e-5)
    assert torch.equal(decoder.linear.bias, torch.full((3,), 0.5))


def test_mlp_is_as_deep_and_wide_as_asked() -> None:
    assert Decoder(8, hidden_layers=0).mlp is None
    for hidden_layers in (1, 2, 4):
        mlp = Decoder(8, hidden_layers=hidden_layers, hidden_dim=16).mlp
        assert mlp is not None
        shapes = [tuple(value.shape) for value in mlp.parameters() if value.dim() == 2]
        assert shapes == [(16, 8), *[(16, 16)] * (hidden_layers - 1), (3, 16)]


def test_any_batch_shape() -> None:
    decoder, features = loud(2), torch.randn(2, 5, 4, 8)
    assert decoder(features).shape == (2, 5, 4, 3)
    torch.testing.assert_close(decoder(features)[1, 2], decoder(features[1, 2]))


def weights(decoder: Decoder) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in decoder.parameters()])


@depths
def test_seeds(hidden_layers: int) -> None:
    torch.manual_seed(1)
    one = weights(Decoder(8, hidden_layers=hidden_layers, seed=5))
    torch.manual_seed(2)
    assert torch.equal(weights(Decoder(8, hidden_layers=hidden_layers, seed=5)), one)
    assert not torch.equal(weights(Decoder(8, hidden_layers=hidden_layers, seed=6)), one)


@depths
def test_nobody_elses_random_numbers_change(hidden_layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(7)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("it seeds the GPUs"))
    state = torch.get_rng_state()
    Decoder(8, hidden_layers=hidden_layers)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("feature_dim", [1, MAX_FEATURES])
def test_a_decoder_of_stored_weights(feature_dim: int) -> None:
    decoder, features = Decoder(feature_dim, hidden_layers=1, hidden_dim=4), torch.randn(5, feature_dim)
    restored = Decoder.restored(decoder.state_dict(), hidden_layers=1, hidden_dim=4)
    assert torch.equal(restored.decode(features), decoder.decode(features)) and not restored.training


@pytest.mark.parametrize(
    ("feature_dim", "hidden_layers", "hidden_dim"),
    [(0, 0, 4), (MAX_FEATURES + 1, 0, 4), (8, -1, 4), (8, 3, 4), (8, 0, 0), (8, 0, -1)],
)
def test_sizes_that_no_decoder_has(feature_dim: int, hidden_layers: int, hidden_dim: int) -> None:
    weights = {"linear.weight": torch.zeros(3, feature_dim), "linear.bias": torch.zeros(3)}
    with pytest.raises(ValueError, match="does not fit its layers"):
        Decoder.restored(weights, hidden_layers=hidden_layers, hidden_dim=hidden_dim)
