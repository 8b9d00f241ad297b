import pytest
import torch
from nerfstudio.cameras.rays import Frustums, RaySamples
from nerfstudio.field_components.field_heads import FieldHeadNames

from gainer_ns.encodings.knn_encoding import GaussianKNNEncoding, KNNEncodingConfig
from gainer_ns.fields.decoder import Decoder
from gainer_ns.fields.gainer_field import GainerField
from gainer_ns.gaussians import reference


def _samples(positions: torch.Tensor) -> RaySamples:
    """Ray samples whose centres are the given positions [rays, samples, 3]."""
    zeros = torch.zeros_like(positions[..., :1])
    directions = torch.tensor([0.0, 0.0, 1.0]).expand_as(positions)
    return RaySamples(frustums=Frustums(positions, directions, zeros, zeros, zeros))


@pytest.fixture
def field() -> GainerField:
    encoding = GaussianKNNEncoding(
        KNNEncodingConfig(num_neighbours=4, radius=1.0, sigma=0.5, feature_dim=5),
        torch.rand(60, 3),
        0.3,
        unit_box=(torch.zeros(3), 1.0),
    )
    assert encoding.features_table is not None
    encoding.features_table.data = torch.randn(60, 5)
    return GainerField(encoding, Decoder(5), density_bias=1.0)


def test_heads_decode_the_gaussian_weighted_mean(field: GainerField) -> None:
    positions = torch.rand(7, 3, 3)
    outputs = field(_samples(positions))

    gaussians = field.encoding.gaussian_set()
    points = positions.reshape(-1, 3)
    neighbours = reference.nearest(points, gaussians.means, 4, gaussians.radius)
    features = reference.aggregate(points, neighbours, gaussians.means, gaussians.precisions, gaussians.features)
    has_neighbour = neighbours.valid.any(dim=1)
    density = torch.exp(field.density_head(features))[:, 0] * has_neighbour
    assert torch.allclose(outputs[FieldHeadNames.DENSITY].flatten(), density, rtol=1e-4, atol=1e-5)
    colours = field.decoder(features).clamp(0, 1)
    assert torch.allclose(outputs[FieldHeadNames.RGB].reshape(-1, 3), colours, atol=1e-4)


def test_there_is_nothing_where_no_gaussian_is(field: GainerField) -> None:
    outputs = field(_samples(torch.full((2, 4, 3), 9.0)))
    assert torch.equal(outputs[FieldHeadNames.DENSITY], torch.zeros(2, 4, 1))


def test_both_heads_train_the_features(field: GainerField) -> None:
    outputs = field(_samples(torch.rand(7, 3, 3)))
    (outputs[FieldHeadNames.DENSITY].mean() + outputs[FieldHeadNames.RGB].mean()).backward()
    assert field.encoding.features_table is not None and field.encoding.features_table.grad is not None
    assert bool((field.encoding.features_table.grad != 0).any())
    assert field.density_head.weight.grad is not None


def test_moving_the_gaussians_moves_the_field(field: GainerField) -> None:
    positions, shift = torch.rand(5, 2, 3), torch.tensor([0.3, -2.0, 11.0])
    before = field(_samples(positions))
    field.encoding.means += shift
    field.encoding._index = None
    after = field(_samples(positions + shift))
    for head in (FieldHeadNames.RGB, FieldHeadNames.DENSITY):
        assert torch.allclose(before[head], after[head], atol=1e-3)
