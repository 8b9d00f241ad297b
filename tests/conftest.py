"""What all tests share: one thread, fixed seeds, a small real photograph, and fits through nerfstudio's own program."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: threads only slow small tests down

import copy
import errno
import io
import math
import random
import signal
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

# The same examples every time; no time limit per example, since the first one may compile a kernel.
settings.register_profile("gainer", deadline=None, derandomize=True)
# Others, once in a while: pytest --hypothesis-profile any --hypothesis-seed 7.
settings.register_profile("any", deadline=None, database=None)
settings.load_profile("gainer")


for number, usual in {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}.items():
    if signal.getsignal(number) is signal.SIG_IGN:  # as shells and nohup start what runs in the background
        signal.signal(number, usual)


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SOFTWARE = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",  # on top of what WebGL takes, the page itself would be drawn by an emulated GPU
    "--disable-gpu-rasterization",
]
"""Chromium's options where there is no GPU."""


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (nerfstudio draws from the global generator)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PNG of a real photograph, RGB, 96 pixels wide and 64 high. Shared by the whole session: do not write to it."""
    from skimage import data  # shipped inside scikit-image, in the public domain (NASA)

    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(data.astronaut()[88:152, 176:272]).save(path)
    return path


def _raise(error: Exception) -> None:
    raise error


def _large_array_of_warp() -> None:
    import warp

    warp.empty((2**31 - 1, 2**15), dtype=float, device="cpu")


def _large_picture_of_opencv() -> None:
    import cv2

    cv2.resize(np.zeros((2, 2, 4)), (2**31 - 1, 2**31 - 1))


EXHAUSTIONS: dict[str, Callable[[], Any]] = {
    "Python": lambda: bytearray(2**60),
    "numpy": lambda: np.empty(2**57),
    "torch": lambda: torch.empty(2**50),
    "torch, of no size at all": lambda: torch.empty(2**62),
    "OpenCV": _large_picture_of_opencv,
    "Warp": _large_array_of_warp,
    "Pillow": lambda: _raise(OSError("out of memory when writing image file")),
    "CUDA": lambda: _raise(torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
    "the system": lambda: _raise(OSError(errno.ENOMEM, "Cannot allocate memory")),
}
"""Ways to ask for more memory than any machine has, each refused by another library, in its own words."""


@pytest.fixture(params=EXHAUSTIONS)
def exhaustion(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Raises what a library raises when memory runs out."""
    return EXHAUSTIONS[request.param]


@pytest.fixture(scope="session")
def fit() -> Callable[..., Path]:
    """``fit(picture, folder, "gainer", edit)`` runs ns-train inside this process and returns the run's config.yml.

    ``edit`` changes the configuration before the run.
    """
    from nerfstudio.scripts.train import main
    from nerfstudio.utils import profiler, writer

    import gainer_bench.methods
    import gainer_ns.methods

    known = {**vars(gainer_bench.methods), **vars(gainer_ns.methods)}

    def run(
        picture: Path, folder: Path, method: str = "gainer", edit: Callable[[Any], None] = lambda config: None
    ) -> Path:
        config = copy.deepcopy(known[method.removeprefix("bench-").replace("-", "_")].config)
        config.data, config.output_dir, config.vis = picture, folder, "tensorboard"
        edit(config)
        for left_over in (
            writer.EVENT_WRITERS,
            writer.EVENT_STORAGE,
            writer.GLOBAL_BUFFER,
            profiler.PROFILER,
        ):  # nerfstudio's globals
            left_over.clear()
        main(config)
        return config.get_base_dir() / "config.yml"

    return run


@pytest.fixture(scope="session")
def fitted_run(fit: Callable[..., Path], photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config.yml of a gainer fit of ``photo``. Shared by the whole session: do not write to its folder."""
    return fit(photo, tmp_path_factory.mktemp("fitted"))


@pytest.fixture
def gainer() -> Callable[..., None]:
    """Runs the command in this process: ``gainer("render", "--scale", 2)``."""
    from gainer_ns.cli.main import entrypoint

    return lambda *words: entrypoint([str(word) for word in words])


@pytest.fixture(scope="session")
def lifted_scene() -> Callable[..., Any]:
    """``lifted_scene(depths, inside, size, spacing)``: planes in space that a camera sees, in smooth colours.

    A layer for each depth, the first ``inside`` a box (left, top, right, bottom in pixels) with transparent rims, if
    one is given. The world is as lifting leaves it: the camera stands at (0, 0, 1). Where discs are ``spacing`` pixels
    apart and wide, a large photo is quick to draw.
    """
    from gainer_ns.fields.decoder import Decoder
    from gainer_ns.frames import CAMERA_DISTANCE, PinholeCamera
    from gainer_ns.gaussians.disc_links import DiscLinks
    from gainer_ns.gaussians.gaussian_set import GaussianSet
    from gainer_ns.gaussians.small_matrices import inverse, product
    from gainer_ns.lifting.layer import LiftedLayer
    from gainer_ns.lifting.scene import LiftedScene

    def layer(
        camera: PinholeCamera, depth: float, box: tuple[int, int, int, int] | None, shade: float, spacing: int
    ) -> LiftedLayer:
        left, top, right, bottom = box or (0, 0, camera.width, camera.height)
        margin = 0 if box is None else 3
        y, x = torch.meshgrid(
            torch.arange(top - margin, bottom + margin, spacing),
            torch.arange(left - margin, right + margin, spacing),
            indexing="ij",
        )
        place = torch.stack([x.flatten(), y.flatten()], dim=1).double() + 0.5 * spacing
        source = torch.stack([x.clamp(left, right - 1).flatten(), y.clamp(top, bottom - 1).flatten()], dim=1)
        beyond = (place - 0.5 * spacing - source).abs().amax(dim=1)
        inverse_depth = torch.full((len(place),), 1 / depth, dtype=torch.float64)
        means = camera.unproject(place, inverse_depth) + torch.tensor([0, 0, CAMERA_DISTANCE])
        tangents = camera.unprojection_jacobian(place, inverse_depth, torch.zeros_like(place))
        towards = torch.tensor([0.0, 0.0, 0.25 * depth / camera.focal_length[0]]).expand(len(place), 3)[..., None]
        jacobians = spacing * torch.cat([tangents, towards], dim=2).float()
        ways = ([0.2, 0], [0.1, 0.15], [0, 0.2])
        waves = [0.5 + shade * torch.sin(place / spacing @ torch.tensor(way).double()) for way in ways]
        target = torch.stack([*waves, 1 - beyond], dim=1).float()
        decoder = Decoder(8, 4, hidden_layers=0).eval()
        gaussians = GaussianSet(
            means.float(),
            0.64**2 * product(jacobians, jacobians.mT),
            decoder.features_for(target),
            3.5,
            inverse_jacobians=inverse(jacobians),
        )
        number = torch.arange(len(place), dtype=torch.int32).view(y.shape)
        right, below = torch.full_like(number, -1), torch.full_like(number, -1)
        right[:, :-1], below[:-1] = number[:, 1:], number[1:]
        links = DiscLinks.of(right.flatten(), below.flatten())
        return LiftedLayer(gaussians, links, decoder, 0.64, (source[:, 1] * camera.width + source[:, 0]).int())

    def make(
        depths: tuple[float, ...] = (1.0,),
        inside: tuple[int, int, int, int] | None = None,
        size: tuple[int, int] = (48, 36),
        spacing: int = 1,
    ) -> LiftedScene:
        camera = PinholeCamera.centred(*size, 1.25 * size[0])
        boxes = [inside, *([None] * (len(depths) - 1))]
        layers = [
            layer(camera, depth, box, 0.2 + 0.2 * number, spacing)
            for number, (depth, box) in enumerate(zip(depths, boxes, strict=True))
        ]
        return LiftedScene(camera, tuple(layers), 2.5, True)

    return make


@pytest.fixture(scope="session")
def joined_scene(lifted_scene: Callable[..., Any]) -> Callable[..., Any]:
    """``joined_scene(inside)``: an object 0.8 away before a wall 1.2 away, as two photos show them.

    The object is in a box of the first photo, which is that in their midst. The other camera stands 0.08 to the right:
    the box is 6 pixels farther left there, and the wall 4.
    """
    from gainer_ns.lifting.joined import PhotoView
    from gainer_ns.lifting.views import CameraView

    def make(inside: tuple[int, int, int, int] = (16, 12, 32, 24)) -> Any:
        left, top, right, bottom = inside
        one, other = lifted_scene((0.8, 1.2), inside), lifted_scene((0.8, 1.2), (left - 6, top, right - 6, bottom))
        shift, pose = torch.tensor([0.08, 0.0, 0.0]), CameraView(one.camera).pose
        there = [
            replace(layer, gaussians=replace(layer.gaussians, means=layer.gaussians.means + shift), view=1)
            for layer in other.layers
        ]
        sure = torch.full((one.camera.height, one.camera.width), 255, dtype=torch.uint8)
        poses = pose, torch.cat([pose[:, :3], pose[:, 3:] + shift[:, None]], dim=1)
        views = tuple(PhotoView(one.camera, each, sure) for each in poses)
        return replace(one, layers=(*one.layers, *there), views=views)

    return make


@pytest.fixture(scope="session")
def matrix_profile() -> Callable[..., bytes]:
    """``matrix_profile("p3" | "adobe" | "gray")``: an ICC profile of primaries and a gamma of 2.2, packed by hand."""

    def tag(kind: bytes, data: bytes) -> bytes:
        packed = kind + bytes(4) + data
        return packed + bytes(-len(packed) % 4)

    def xyz(*values: float) -> bytes:
        return tag(b"XYZ ", struct.pack(">3i", *(round(value * 65536) for value in values)))

    white = 0.9642, 1.0, 0.8249
    primaries = {  # XYZ of red, green and blue under D50, whose sum is its white
        "p3": ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
        "adobe": ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
    }

    def make(kind: str) -> bytes:
        curve = tag(b"curv", struct.pack(">IH", 1, round(2.2 * 256)))
        text = tag(b"desc", struct.pack(">I", 2) + b"x\0" + bytes(78))
        tags = {b"desc": text, b"cprt": tag(b"text", b"free\0"), b"wtpt": xyz(*white)}
        if kind == "gray":
            tags[b"kTRC"] = curve
        else:
            for letter, colour in zip("rgb", primaries[kind], strict=True):
                tags[f"{letter}XYZ".encode()], tags[f"{letter}TRC".encode()] = xyz(*colour), curve
        table, body, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
        for name, data in tags.items():
            table += name + struct.pack(">II", offset + len(body), len(data))
            body += data
        space = b"GRAY" if kind == "gray" else b"RGB "
        header = struct.pack(">I4sI4s4s4s", offset + len(body), bytes(4), 0x02100000, b"mntr", space, b"XYZ ")
        header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
        header += struct.pack(">3i", *(round(value * 65536) for value in white))
        return header.ljust(128, b"\0") + table + body

    return make


@pytest.fixture(scope="session")
def table_profile() -> Callable[..., bytes]:
    """``table_profile("RGB" | "CMYK")``: an ICC profile of a table that leads to Lab, and not back, packed by hand."""

    def make(space: str) -> bytes:
        inks = np.stack(np.meshgrid(*[[0.0, 1.0]] * len(space), indexing="ij"), axis=-1)
        light = inks if space == "RGB" else (1 - inks[..., :3]) * (1 - inks[..., 3:])
        y = light @ [0.22, 0.72, 0.06]
        lab = np.stack([100 * np.cbrt(y), 70 * (light[..., 0] - light[..., 1]), 60 * (y - light[..., 2])], axis=-1)
        nodes = np.rint(np.clip(lab * [2.55, 1, 1] + [0, 128, 128], 0, 255)).astype(np.uint8).tobytes()
        straight = bytes(range(256))
        table = b"mft1" + bytes(4) + struct.pack(">4B9i", len(space), 3, 2, 0, *(65536 * np.eye(3, dtype=int).ravel()))
        table += straight * len(space) + nodes + straight * 3
        header = struct.pack(
            ">I4sI4s4s4s", 144 + len(table), bytes(4), 0x02100000, b"prtr", space.ljust(4).encode(), b"Lab "
        )
        header += (
            struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
        )
        return header.ljust(128, b"\0") + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table

    return make


@pytest.fixture(scope="session")
def delta_e() -> Callable[..., float]:
    """``delta_e(a, b)``: mean CIE76 difference of two Pillow pictures, each by its own profile, or as sRGB."""
    from PIL import ImageCms

    def lab(image: Image.Image) -> np.ndarray:
        icc = image.info.get("icc_profile")
        own = ImageCms.ImageCmsProfile(io.BytesIO(icc)) if icc else ImageCms.createProfile("sRGB")
        mode = image.mode if image.mode in ("L", "CMYK") and icc else "RGB"
        to_lab = ImageCms.buildTransform(
            own, ImageCms.createProfile("LAB"), mode, "LAB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
        values = np.asarray(ImageCms.applyTransform(image.convert(mode), to_lab)).astype(float)
        return np.dstack([values[..., 0] * 100 / 255, (values[..., 1:] + 128) % 256 - 128])

    return lambda a, b: float(np.linalg.norm(lab(a) - lab(b), axis=-1).mean())


@pytest.fixture(scope="session")
def seen_as_srgb() -> Callable[[Image.Image], np.ndarray]:
    """``seen_as_srgb(a)``: what LittleCMS makes of a Pillow picture with a profile, as whole levels of sRGB."""
    from PIL import ImageCms

    def convert(image: Image.Image) -> np.ndarray:
        own = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        transform = ImageCms.buildTransform(own, ImageCms.createProfile("sRGB"), "RGB", "RGB", 1)  # pyright: ignore
        return np.asarray(ImageCms.applyTransform(image, transform)).astype(int)

    return convert


@pytest.fixture
def picture() -> Callable[..., Any]:
    """Makes a picture of random features, or of given colours a Gaussian (or one for all).

    With an opacity [h, w], or a mask of what shows, it has Gaussians there and in a margin, with fitted opacities.
    """

    from gainer_ns.fields.decoder import Decoder
    from gainer_ns.fitting.bands import fit_opacities
    from gainer_ns.frames import ImagePlane
    from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
    from gainer_ns.gaussians.opacity import near_visible_pixels, opacity_field
    from gainer_ns.gaussians.placement import lattice_means
    from gainer_ns.rendering.layer import Layer
    from gainer_ns.rendering.plane import BakedPicture

    def make(
        width: int = 12,
        height: int = 9,
        *,
        opacity: torch.Tensor | None = None,
        colours: torch.Tensor | None = None,
        hidden_layers: int = 2,
        num_neighbours: int = 16,
        jitter: float = 0.0,
    ) -> Any:
        plane = ImagePlane(width, height)
        near = None if opacity is None else near_visible_pixels(opacity.float())
        means = lattice_means(plane, inside=near, jitter=jitter)
        decoder = Decoder(8, hidden_layers=hidden_layers, hidden_dim=16).eval()
        if colours is None:
            features = 0.3 * torch.randn(len(means), 8)
        else:
            features = decoder.features_for(colours).expand(len(means), 8).clone()
        gaussians = GaussianSet(means, isotropic(0.64 * plane.pixel_size, 2), features, 10 * plane.pixel_size)
        if opacity is not None and near is not None:
            field, pixels = opacity_field(opacity.float()).flatten(), near.flatten().nonzero()[:, 0]
            start = GaussianSet(means, gaussians.covariances, features, gaussians.radius, field[plane.pixel_at(means)])
            opacities = fit_opacities(plane, start, num_neighbours, pixels, field[pixels])
            gaussians = GaussianSet(means, gaussians.covariances, features, gaussians.radius, opacities)
        return BakedPicture(plane, (Layer(gaussians, decoder, num_neighbours, plane.half_extent),))

    return make


@pytest.fixture
def gaussians() -> Callable[..., Any]:
    """Makes lattice Gaussians as the method places them: one a pixel, 0.64 pixels wide, features zero."""

    from gainer_ns.gaussians.gaussian_set import GaussianSet, isotropic
    from gainer_ns.gaussians.placement import lattice_means

    def make(plane: Any, *, feature_dim: int = 8, **placement: float) -> GaussianSet:
        means = lattice_means(plane, **placement)
        covariance = isotropic(0.64 * plane.pixel_size, 2)
        return GaussianSet(means, covariance, torch.zeros(len(means), feature_dim), 10 * plane.pixel_size)

    return make


@pytest.fixture
def smooth_picture() -> Callable[[Any], torch.Tensor]:
    """Makes the colours of a picture of soft waves, between 0 and 1."""

    def make(plane: Any) -> torch.Tensor:
        x, y = plane.pixel_centres(torch.arange(plane.pixels)).unbind(-1)
        waves = [(9 * x + 3 * y).sin(), (7 * y - 2 * x).cos(), (11 * x * y + 1).sin()]
        return 0.5 + 0.4 * torch.stack(waves, dim=-1)

    return make


@pytest.fixture
def psnr() -> Callable[[torch.Tensor, torch.Tensor], float]:
    """PSNR of two sets of colours in dB."""
    return lambda one, other: -10 * math.log10(max(float((one - other).double().square().mean()), 1e-30))


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable[[], Any]]:
    """``launch()`` starts Debian's Chromium, driven by playwright, of which a process has one."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e .[dev]")
    program = next(filter(None, map(which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"needs a browser, one of {', '.join(BROWSERS)}: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        yield lambda: driver.chromium.launch(executable_path=program, args=SOFTWARE)
