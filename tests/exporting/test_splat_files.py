"""Packed files of splats, read back by other programs' libraries."""

import gzip
import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gainer_ns.exporting.splat_files import SPLAT_SUFFIXES, spz_fractional_bits, write_splats

if importlib.util.find_spec("gsply") is None:
    pytest.skip("needs gsply: pip install -e .[dev]", allow_module_level=True)
pygltflib = pytest.importorskip("pygltflib", reason="needs pygltflib: pip install -e .[dev]")
COUNT = 700  # not a whole number of chunks
TURNS = "rot_1", "rot_2", "rot_3", "rot_0"


@pytest.fixture(scope="module")
def columns() -> dict[str, np.ndarray]:
    """Splats of all shapes, turned in all ways, and told apart by their colours and opacities."""
    random = np.random.default_rng(3)
    places = random.uniform(-1, 1, (COUNT, 3))
    turns = random.normal(size=(COUNT, 4))
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    made = {
        **dict(zip("xyz", places.T, strict=True)),
        **{name: np.zeros(COUNT) for name in ("nx", "ny", "nz")},
        **{f"f_dc_{i}": (random.uniform(0, 1, COUNT) - 0.5) / 0.28209479 for i in range(3)},
        "opacity": random.uniform(-5, 5, COUNT),
        **{f"scale_{i}": random.uniform(-7.5, -3, COUNT) for i in range(3)},
        **{f"rot_{i}": column for i, column in enumerate(turns.T)},
    }
    return {name: column.astype(np.float32) for name, column in made.items()}


def stacked(columns: dict[str, np.ndarray], *names: str) -> np.ndarray:
    return np.stack([columns[name] for name in names], axis=1)


def checked(columns: dict[str, np.ndarray], found: Mapping[str, np.ndarray], step: np.ndarray, degrees: float) -> None:
    """Compares what was read, in any order, with what was written: half a step, and so many degrees of a turn."""
    written = stacked(columns, "x", "y", "z")
    assert len(found["means"]) == COUNT
    distances = np.abs(found["means"][:, None] - written[None]) / step
    match = distances.max(axis=2).argmin(axis=1)
    assert len(set(match)) == COUNT, "each once"
    assert distances[np.arange(COUNT), match].max() < 0.51, "within half a step"
    colours = stacked(columns, "f_dc_0", "f_dc_1", "f_dc_2")[match] * 0.28209479 + 0.5
    np.testing.assert_allclose(found["sh0"] * 0.28209479 + 0.5, colours, atol=1 / 255)
    alphas = 1 / (1 + np.exp(-columns["opacity"][match]))
    np.testing.assert_allclose(1 / (1 + np.exp(-found["opacities"].ravel())), alphas, atol=0.6 / 255)
    np.testing.assert_allclose(found["scales"], stacked(columns, "scale_0", "scale_1", "scale_2")[match], atol=0.032)
    axes = Rotation.from_quat(found["quats"][:, [1, 2, 3, 0]]).as_matrix()
    written_axes = Rotation.from_quat(stacked(columns, *TURNS)[match]).as_matrix()
    cosines = np.abs((axes * written_axes).sum(axis=1))  # an axis and its opposite are the same
    assert np.degrees(np.arccos(cosines.clip(0, 1))).max() < degrees


READER = """
import sys, gsply, numpy
for path in sys.argv[1:]:
    data = gsply.read_spz(path) if path.endswith("spz") else gsply.plyread(path)
    names = "means", "sh0", "opacities", "scales", "quats"
    numpy.savez(path + ".npz", **{name: getattr(data, name) for name in names})
"""
REMARK = "a remark"


@pytest.fixture(scope="module")
def files(columns: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files of all splats and of one; what gsply reads lies beside them.

    That runs in a process without numba's compiler, which would take half a minute for these few.
    """
    folder = tmp_path_factory.mktemp("splats")
    for name, some in (("all", slice(None)), ("one", slice(1))):
        for suffix in SPLAT_SUFFIXES:
            write_splats(folder / f"{name}{suffix}", {key: column[some] for key, column in columns.items()}, [REMARK])
    paths = [str(path) for path in folder.iterdir() if path.suffix != ".glb"]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, "-c", READER, *paths], check=True, env=environment, timeout=120)
    return folder


def test_spz(columns: dict[str, np.ndarray], files: Path) -> None:
    step = 2.0 ** -spz_fractional_bits(columns)
    checked(columns, np.load(files / "all.spz.npz"), np.array([step, step, 4 * step]), 6.0)
    content = gzip.decompress((files / "all.spz").read_bytes())
    assert content[:4] == b"NGSP" and len(content) == 16 + 19 * COUNT


@pytest.mark.parametrize("far", [0.01, 1.0, 300.0])
def test_places_fit_into_the_bits_of_spz(columns: dict[str, np.ndarray], far: float) -> None:
    columns = columns | {axis: columns[axis] * far for axis in "xyz"}
    most = max(np.abs(columns[axis]).max() for axis in "xyz")
    assert most * 2.0 ** spz_fractional_bits(columns) < 2**23
    assert 2.0 ** -spz_fractional_bits(columns) <= max(0.4 * np.exp(np.median(columns["scale_1"])), far * 2**-22)


def test_compressed_ply(columns: dict[str, np.ndarray], files: Path) -> None:
    # A step is at most that of all of space: chunks are smaller. gsply reads 11 and 10 bits as they were packed.
    widest = np.ptp(stacked(columns, "x", "y", "z"), axis=0)
    checked(columns, np.load(files / "all.compressed.ply.npz"), widest / [2047, 1023, 2047], 0.4)
    head = (files / "all.compressed.ply").read_bytes()[:400]
    assert b"comment " + REMARK.encode() + b"\nelement chunk 3\nproperty float min_x" in head


def test_gltf(columns: dict[str, np.ndarray], files: Path) -> None:
    file = pygltflib.GLTF2().load(files / "all.glb")
    assert file.extensionsUsed == ["KHR_gaussian_splatting"]
    (primitive,) = file.meshes[0].primitives
    assert primitive.mode == pygltflib.POINTS
    said = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    assert primitive.extensions == {"KHR_gaussian_splatting": said}

    def read(number: int, width: int) -> np.ndarray:
        accessor = file.accessors[number]
        view = file.bufferViews[accessor.bufferView]
        kind = {pygltflib.FLOAT: np.float32, pygltflib.UNSIGNED_BYTE: np.uint8}[accessor.componentType]
        content = file.binary_blob()[view.byteOffset :][: view.byteLength]
        return np.frombuffer(content, kind).reshape(accessor.count, width)

    attributes = vars(primitive.attributes)
    own = {name.split(":")[1]: number for name, number in attributes.items() if ":" in name}
    opacities = read(own["OPACITY"], 1)
    found = {
        "means": read(primitive.attributes.POSITION, 3),
        "sh0": read(own["SH_DEGREE_0_COEF_0"], 3),
        "opacities": np.log(opacities / (1 - opacities)),
        "scales": read(own["SCALE"], 3),
        "quats": np.roll(read(own["ROTATION"], 4), 1, axis=1),
    }
    checked(columns, found, np.full(3, 1e-6), 0.1)
    position = file.accessors[primitive.attributes.POSITION]
    np.testing.assert_allclose([position.min, position.max], [found["means"].min(0), found["means"].max(0)])
    assert (read(primitive.attributes.COLOR_0, 4)[:, 3] == np.rint(255 * opacities[:, 0])).mean() > 0.99


@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply", ".spz"])
def test_one_splat_is_a_file_too(suffix: str, columns: dict[str, np.ndarray], files: Path) -> None:
    found = np.load(files / f"one{suffix}.npz")["means"]
    np.testing.assert_allclose(found, [[columns[axis][0] for axis in "xyz"]], atol=0.01)
