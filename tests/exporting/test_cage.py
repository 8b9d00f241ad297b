from pathlib import Path

import numpy as np
import open3d
import pytest
import torch

from gainer_ns.errors import GainerError
from gainer_ns.exporting.cage import cage_over
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.placement import lattice_means
from gainer_ns.io.meshes import read_mesh, write_obj


@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 96), (50, 50), (300, 1), (1, 1)])
@pytest.mark.parametrize("cells", [1, 7, 24])
def test_a_cage_covers_the_picture_and_its_gaussians(width: int, height: int, cells: int) -> None:
    plane = ImagePlane(width, height)
    means = torch.cat([lattice_means(plane), torch.tensor([[-0.6, 0.1]])])
    cage = cage_over(plane, means, cells)
    places = cage.vertices[:, :2]
    inside = means.numpy()
    assert (places.min(axis=0) < inside.min(axis=0)).all() and (places.max(axis=0) > inside.max(axis=0)).all()
    first, second, third = places[cage.faces].transpose(1, 0, 2)
    areas = 0.5 * np.cross(second - first, third - first)
    assert (areas > 0).all(), "counter-clockwise"
    assert np.isclose(areas.sum(), np.prod(np.ptp(places, axis=0))), "no gap and no overlap"
    assert len(np.unique(places[:, 0])) == cells + 1 or len(np.unique(places[:, 1])) == cells + 1


def test_texture_coordinates_lay_the_picture_over_the_cage() -> None:
    plane = ImagePlane(96, 64)
    cage = cage_over(plane, torch.zeros(1, 2))
    np.testing.assert_allclose((cage.uv - 0.5) * [1.0, 64 / 96], cage.vertices[:, :2], atol=1e-12)


@pytest.mark.parametrize("cells", [0, -3, 10**9])
def test_absurd_cages_are_refused(cells: int) -> None:
    with pytest.raises(GainerError, match="cells"):
        cage_over(ImagePlane(96, 64), torch.zeros(1, 2), cells)


def test_the_file_keeps_the_order(tmp_path: Path) -> None:
    cage = cage_over(ImagePlane(96, 64), torch.zeros(1, 2), 5)
    write_obj(tmp_path / "cage.obj", *cage)
    read = read_mesh(tmp_path / "cage.obj")
    np.testing.assert_allclose(read.vertices, cage.vertices, atol=1e-9)
    np.testing.assert_array_equal(read.faces, cage.faces)
    other = open3d.io.read_triangle_mesh(str(tmp_path / "cage.obj"))
    np.testing.assert_allclose(np.asarray(other.vertices)[np.asarray(other.triangles)], cage.vertices[cage.faces])
    np.testing.assert_allclose(np.asarray(other.triangle_uvs).reshape(-1, 3, 2), cage.uv[cage.faces], atol=1e-6)
