from collections.abc import Callable
from pathlib import Path

import numpy as np
import open3d
import pytest
import torch
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from gainer_ns.errors import GainerError
from gainer_ns.exporting.gaussians import PlainGaussians, plain_gaussians
from gainer_ns.exporting.splat import principal_axes, splat_growth, splat_properties, write_splat
from gainer_ns.rendering.plane import BakedPicture

MakePicture = Callable[..., BakedPicture]
NAMES = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"]
NAMES += ["scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]


def rotations(quaternions: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(quaternions[:, [1, 2, 3, 0]]).as_matrix()  # scipy's scalar comes last


def test_the_file_is_that_of_gaussian_splatting(picture: MakePicture, tmp_path: Path) -> None:
    gaussians = plain_gaussians(picture())
    growth = write_splat(tmp_path / "splat.ply", gaussians)
    raw = trimesh.load(tmp_path / "splat.ply", process=False).metadata["_ply_raw"]["vertex"]
    assert list(raw["properties"]) == NAMES and set(raw["properties"].values()) == {"<f4"}
    data = {name: np.asarray(raw["data"][name], dtype=np.float64) for name in NAMES}
    np.testing.assert_allclose(np.stack([data["x"], data["y"]], axis=1), gaussians.means, atol=1e-7)
    colours = np.stack([data[f"f_dc_{i}"] for i in range(3)], axis=1) / (2 * np.sqrt(np.pi)) + 0.5
    np.testing.assert_allclose(colours, gaussians.colours, atol=1e-6)
    assert (1 / (1 + np.exp(-data["opacity"])) > 0.98).all()
    scales = np.exp(np.stack([data[f"scale_{i}"] for i in range(3)], axis=1))
    turns = rotations(np.stack([data[f"rot_{i}"] for i in range(4)], axis=1))
    covariances = turns @ (scales[:, :, None] ** 2 * turns.transpose(0, 2, 1))
    np.testing.assert_allclose(covariances[:, :2, :2], growth**2 * gaussians.covariances.numpy(), rtol=1e-4, atol=1e-8)
    assert (scales[:, 2] < 0.1 * scales[:, 1]).all(), "thin"
    other = open3d.t.io.read_point_cloud(str(tmp_path / "splat.ply")).point
    np.testing.assert_allclose(other["f_dc_1"].numpy()[:, 0], data["f_dc_1"], rtol=1e-6)


@given(st.floats(-1.5, 1.5), st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_principal_axes_make_the_covariance_again(angle: float, long: float, short: float) -> None:
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=torch.float64)
    covariance = turn @ torch.diag(torch.tensor([long, short], dtype=torch.float64) ** 2) @ turn.T
    angles, deviations = principal_axes(covariance[None])
    assert float(deviations[0, 0]) >= float(deviations[0, 1])
    c, s = angles.cos().item(), angles.sin().item()
    axes = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    torch.testing.assert_close(axes @ torch.diag(deviations[0] ** 2) @ axes.T, covariance, rtol=1e-9, atol=1e-12)


def test_transparent_gaussians_are_left_out(picture: MakePicture) -> None:
    gaussians = plain_gaussians(picture(cut_out=True))
    written = len(splat_properties(gaussians, 1.0)["x"])
    assert written == int((gaussians.alphas >= 1 / 255).sum()) < len(gaussians.means)
    with pytest.raises(GainerError, match="transparent"):
        splat_properties(gaussians._replace(alphas=torch.zeros(len(gaussians.means))), 1.0)


@pytest.mark.parametrize("sigma", [0.4, 0.64, 1.0])
@pytest.mark.parametrize("cut_out", [False, True])
def test_the_sizes_close_the_picture(picture: MakePicture, sigma: float, cut_out: bool) -> None:
    made = picture(cut_out=cut_out, sigma=sigma)
    gaussians = plain_gaussians(made)
    pixel, growth = made.plane.pixel_size, splat_growth(gaussians)
    kept = splat_properties(gaussians, growth)
    means = torch.from_numpy(np.stack([kept["x"], kept["y"]], axis=1)).double()
    opacities = torch.from_numpy(kept["opacity"]).double().sigmoid()
    corners = means + 0.5 * pixel  # of four pixels
    corners = corners[(corners.norm(dim=1) < 0.25 - 3 * pixel)]
    distances = (corners[:, None] - means).square().sum(dim=-1)
    seen = 1 - (1 - opacities * torch.exp(-0.5 * distances / (growth * sigma * pixel) ** 2)).prod(dim=1)
    assert 0.94 < float(seen.min()) < 0.99, "closed, and no larger than that takes"


def test_a_handful_of_gaussians_is_written_too(tmp_path: Path) -> None:
    few = PlainGaussians(torch.zeros(1, 2), 1e-4 * torch.eye(2)[None], torch.ones(1, 3), torch.ones(1))
    assert write_splat(tmp_path / "one.ply", few) == 1.0
