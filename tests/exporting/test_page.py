"""Pages to share, opened in a real browser without a network, looked at and turned by the mouse."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.exporting import page as pages
from gainer_ns.exporting.depth_sheets import MAX_ORBIT_DEGREES
from gainer_ns.exporting.page import write_page
from gainer_ns.lifting.lift import lift_photo
from gainer_ns.lifting.scene import LiftedScene
from gainer_ns.rendering.plane import BakedPicture

SIZE = {"width": 480, "height": 360}  # ten pixels of the page are one of the pictures
PATIENCE = 60_000


@pytest.fixture(scope="module")
def scene() -> LiftedScene:
    """A photo of 48 x 36 pixels of a red square before a wall, twice as far."""
    y, x = np.mgrid[:36, :48]
    colours = np.stack([40 + 2 * x, 60 + 4 * y, 150 + x], axis=2).astype(np.uint8)
    depth = np.full((36, 48), 4.0, np.float32)
    colours[12:24, 16:32], depth[12:24, 16:32] = [230, 40, 30], 2.0
    options: dict[str, Any] = {"background": "none", "behind_edges": True, "downscale": 1, "device": "cpu"}
    return lift_photo(colours, depth, None, depth_kind="depth", focal_length=60.0, **options)[0]


@pytest.fixture(scope="module")
def opened(launch: Callable[[], Any]) -> Iterator[Callable[[Path], Any]]:
    """``opened(file)``: the page in a browser, once it has drawn; it may ask nothing of a network."""
    browser, asked = launch(), []

    def open_page(file: Path) -> Any:
        context = browser.new_context(viewport=SIZE)
        context.set_offline(True)
        shown = context.new_page()
        shown.on("request", lambda request: asked.append(request.url))
        shown.on("pageerror", lambda error: asked.append(str(error)))
        shown.goto(file.as_uri())
        shown.wait_for_function("document.body.dataset.drawn > 0", timeout=PATIENCE)
        return shown

    yield open_page
    browser.close()
    assert all(re.match(r"file:|data:|blob:", one) for one in asked), asked


def shot(page: Any) -> np.ndarray:
    """What is drawn, in pixels of the picture."""
    page.evaluate("hint.style.display = 'none'; draw()")
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return np.asarray(image.resize((48, 36), Image.Resampling.BOX)).astype(float)


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=3)
    page.mouse.up()


def test_a_lifted_photo_is_seen_and_turned(scene: LiftedScene, opened: Callable[[Path], Any], tmp_path: Path) -> None:
    assert "triangles" in write_page(tmp_path / "<photo> & page.html", scene)
    page = opened(tmp_path / "<photo> & page.html")
    assert page.title() == "<photo> & page"
    first, photo = shot(page), scene.raster()[0].numpy() * 255
    inner = np.abs(first - photo)[2:-2, 2:-2]
    assert np.quantile(inner, 0.8) < 6 and inner.mean() < 10, "the first picture is the photo"
    drag(page, (240, 180), (100, 180))
    assert page.evaluate("view.turn") == MAX_ORBIT_DEGREES
    turned = shot(page)
    red = [np.flatnonzero((image[18] * [1, -1, -1]).sum(axis=1) > 50) for image in (first, turned)]
    assert red[0].tolist() == list(range(16, 32))
    # What is before the middle of the scene moves against the camera, by about 60 px * (1 / z - 1) * tan(4 degrees).
    assert red[1].mean() < red[0].mean() - 0.8 and len(red[1]) >= 15
    behind = turned[18, red[1].max() + 2]
    assert np.abs(behind - photo[18, 36]).max() < 40, "what the square hid goes on as the wall does"


def test_a_flat_picture_is_bent_by_pins(
    picture: Callable[..., BakedPicture], opened: Callable[[Path], Any], tmp_path: Path
) -> None:
    made = picture(48, 36, cut_out=True)
    write_page(tmp_path / "flat.html", made)
    page = opened(tmp_path / "flat.html")
    rgb, alpha = (values.numpy() for values in made.raster())
    ground = np.array([0x17, 0x18, 0x1A])
    seen = 255 * rgb * alpha + ground * (1 - alpha)
    first = shot(page)
    assert np.abs(first - seen).mean() < 10
    for x, y in ((240, 100), (240, 260), (150, 180)):
        page.mouse.click(x, y)
    assert page.evaluate("pins.length") == 3
    drag(page, (150, 180), (60, 180))
    bent = shot(page)
    covered = [(np.abs(image - ground).max(axis=2) > 20).any(axis=0).argmax() for image in (first, bent)]
    assert covered[0] - covered[1] >= 5, "the left side was pulled to the left"
    page.mouse.dblclick(400, 40)
    np.testing.assert_allclose(shot(page), first, atol=3)
    page.mouse.move(240, 180)
    page.mouse.wheel(0, -300)
    assert page.evaluate("view.zoom") > 1.5
    drag(page, (400, 40), (300, 40))
    assert page.evaluate("view.x") > 2, "what is beside pins is moved"


def test_a_photo_that_is_too_large_is_refused(
    scene: LiftedScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_LIFTED_PIXELS", 1000)
    with pytest.raises(GainerError, match=r"48 x 36 .*downscale-factor"):
        write_page(tmp_path / "large.html", scene)
    assert not list(tmp_path.iterdir())
