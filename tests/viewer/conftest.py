"""What the tests of the viewer share: sessions without a page, and real pages in a real browser."""

from __future__ import annotations

import base64
import io
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import viser
from PIL import Image
from websockets.sync.client import connect

from gainer_ns.image.loading import load_baked
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.viewer.context import PanelContext
from gainer_ns.viewer.picking import Picker
from gainer_ns.viewer.run_files import RunFiles
from gainer_ns.viewer.session import EditSession
from gainer_ns.viewer.subject import FlatSubject

SIZE = {"width": 1280, "height": 800}
PATIENCE = 90
"""Seconds that a page may take on a machine that has much else to do."""
CANVAS, FINE = (960, 749), (512, 399)
"""Pixels of the canvas, and of the picture that the viewer sends for it once nothing moves; drafts have fewer."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the pages first: side by side with other tests nobody waits for them in the end."""
    items.sort(key=lambda item: not item.path.name.startswith("test_browser"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def picture(fitted_run: Path) -> BakedPicture:
    return load_baked(fitted_run, "cpu")


@pytest.fixture
def session(picture: BakedPicture) -> Iterator[EditSession]:
    """A session of ``picture``; what it complains about fails the test."""
    complaints: list[str] = []
    yield EditSession(FlatSubject(picture), lambda: None, complaints.append)
    assert not complaints


@pytest.fixture
def panel(picture: BakedPicture, tmp_path: Path) -> Iterator[PanelContext]:
    """What the tabs of a panel share, in a server of viser's own that no page visits; what it complains about fails the
    test."""
    server = viser.ViserServer("127.0.0.1", free_port(), verbose=False)
    context = PanelContext(server, RunFiles(tmp_path))
    complaints: list[str] = []
    context.complain = complaints.append
    context.session = EditSession(FlatSubject(picture), lambda: None, complaints.append)
    context.picker = Picker(picture.plane.width, picture.plane.height, context.files.write_mask)
    yield context
    assert context.session.wait()
    server.stop()
    assert not complaints


@pytest.fixture(scope="module")
def start(fitted_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """``start(trainer, folder, pipeline)`` starts nerfstudio's viewer in this process: on a copy of a fitted run, if no
    pipeline is given. See ``serve``."""
    from nerfstudio.configs.base_config import ViewerConfig
    from nerfstudio.utils.eval_utils import eval_setup
    from nerfstudio.viewer.viewer import Viewer as NerfstudioViewer

    started = []

    def run(trainer: Any = None, folder: Path | None = None, pipeline: Any = None) -> NerfstudioViewer:
        if folder is None:
            folder = tmp_path_factory.mktemp("started") / "run"
            shutil.copytree(fitted_run.parent, folder)
            _, pipeline, _, _ = eval_setup(fitted_run, test_mode="test")
        config = ViewerConfig(websocket_host="127.0.0.1", websocket_port=free_port())
        lock: Any = threading.Lock()
        started.append(NerfstudioViewer(config, folder / "log.txt", folder, pipeline, trainer, lock))
        data: Any = pipeline.datamanager.train_dataset
        started[-1].init_scene(data, "completed" if trainer is None else "training")
        return started[-1]

    yield run
    for viewer in started:
        viewer.viser_server.stop()
        viewer.viser_server.flush()


class RawPage:
    """What a page is to the viewer: a websocket.

    Args:
        connection: Of the websocket.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def look(self, x: float = 0.0, aspect: float = 1.5) -> None:
        """Says where the page's camera stands: a length of the picture away, ``x`` tenths of it to the right."""
        place = {"wxyz": (0.0, 1.0, 0.0, 0.0), "position": (x, 0.0, 10.0), "fov": 0.6435, "aspect": aspect}
        towards = {"look_at": (x, 0.0, 0.0), "up_direction": (0.0, 1.0, 0.0)}
        self._connection.send(msgspec.msgpack.encode({"type": "ViewerCameraMessage", **place, **towards}))

    def picture(self) -> np.ndarray:
        """The next picture that is sent."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for message in msgspec.msgpack.decode(self._connection.recv(PATIENCE)):
                if message["type"] == "BackgroundImageMessage":
                    return np.asarray(Image.open(io.BytesIO(message["rgb_bytes"]))).astype(float)
        pytest.fail("no picture comes")


@pytest.fixture(scope="session")
def connected() -> Callable[[Any], Any]:
    """``with connected(viewer) as page:`` opens a page without a browser."""

    @contextmanager
    def connection(viewer: Any) -> Iterator[RawPage]:
        host = f"127.0.0.1:{viewer.viser_server.get_port()}"
        origin: Any = f"http://{host}"
        with connect(f"ws://{host}", origin=origin, max_size=None, compression=None) as page:
            yield RawPage(page)

    return connection


@pytest.fixture
def browser(launch: Callable[[], Any]) -> Iterator[Any]:
    """A browser of the test's own, so that one that crashes fails no other test."""
    started = launch()
    yield started
    started.close()


@dataclass
class Viewer:
    """A viewer in a process of its own.

    Attributes:
        edits: Where the panel keeps its files.
    """

    address: str
    run: Path
    edits: Path


@pytest.fixture(scope="module")
def serve(launch: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Viewer]]:
    """``serve(config)`` starts ns-viewer on a run, or gainer view on a stored picture, where there is a browser; a
    traceback of its fails the module."""
    started: list[tuple[subprocess.Popen, Path]] = []

    def start(config: Path) -> Viewer:
        port = free_port()
        log = tmp_path_factory.mktemp("viewer") / "log.txt"
        edits = config.parent / "edits"
        command = ["ns-viewer", "--viewer.websocket-host", "127.0.0.1", "--viewer.websocket-port", str(port)]
        if config.suffix == ".safetensors":
            edits, command = config.with_name(f"{config.stem}_edits"), ["gainer", "view", "--port", str(port)]
        words = [Path(sys.executable).with_name(command[0]), *command[1:], "--load-config", config]
        started.append((subprocess.Popen(words, stdout=log.open("w"), stderr=subprocess.STDOUT), log))
        for _ in range(2 * PATIENCE):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return Viewer(f"http://127.0.0.1:{port}", config.parent, edits)
            assert started[-1][0].poll() is None, log.read_text()
            time.sleep(0.5)
        pytest.fail(f"{command[0]} does not answer: {log.read_text()}")

    yield start
    for process, log in started:
        process.terminate()
        process.wait(10)
        said = log.read_text()
        assert "Traceback" not in said and "edit panel:" not in said, said


class Page:
    """The page as a person uses it.

    Attributes:
        page: Playwright's.
        sent: The picture that the viewer sent last, in the size of the canvas. On a slow machine viser draws the canvas
            itself coarsely, so that a screenshot is less sharp.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self._devtools = page.context.new_cdp_session(page)
        self.sent = np.zeros((*reversed(CANVAS), 3))
        self._size = 0, 0
        page.on("websocket", lambda socket: socket.on("framereceived", self._received))

    def _received(self, message: str | bytes) -> None:
        """Keeps the picture that the viewer sends, a JPEG in a message."""
        if isinstance(message, bytes) and b"BackgroundImage" in message:
            image = Image.open(io.BytesIO(message[message.find(b"\xff\xd8\xff") :]))
            self._size = image.size
            self.sent = np.asarray(image.convert("RGB").resize(CANVAS)).astype(float)

    def tab(self, name: str) -> None:
        """Opens a tab of the panel."""
        self.page.get_by_role("tab", name=name, exact=True).click()

    def choose(self, label: str, option: str) -> None:
        """Chooses from a list."""
        self.page.get_by_label(label, exact=True).first.click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def type(self, label: str, value: Any) -> None:
        """Types into a field, or the field beside a slider."""
        field = self._row(label).locator("input").last
        field.fill(str(value))
        field.press("Enter")

    def press(self, name: str, row: str | None = None) -> None:
        """Presses a button, of a row of buttons where one is named."""
        where = self.page if row is None else self._row(row)
        where.get_by_role("button", name=name, exact=True).first.click()

    def says(self, text: str) -> None:
        """Waits for a message; | stands between those that will do."""
        self.page.get_by_text(re.compile(text.replace(".", "[.]"))).first.wait_for(timeout=1000 * PATIENCE)

    def _row(self, label: str) -> Any:
        return self.page.locator(f'xpath=(//label[text()="{label}"])[1]/ancestor::div[2]')

    def drag(self, *way: tuple[float, float]) -> None:
        """Drags along a way of places, in pixels of the page."""
        mouse = self.page.mouse
        mouse.move(*way[0])
        mouse.down()
        for place in way[1:]:
            mouse.move(*place, steps=5)
        mouse.up()

    def select(self) -> None:
        """Draws a rectangle over the middle of the picture."""
        self.tab("Select")
        self.choose("Pointer", "rectangle")
        self.says("Drag a rectangle")
        self.drag((360, 330), (600, 520))
        self.says("Selected.")

    def picture(self) -> np.ndarray:
        """The canvas, without the panel and what lies on it, once it is fine and no longer changes."""
        before: np.ndarray | None = None
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.page.wait_for_timeout(250)
            if self._size != FINE:
                before = None
                continue
            now = self._shot()
            if before is not None and np.array_equal(now, before):
                return now
            before = now
        pytest.fail("the picture does not come to rest")

    def _shot(self) -> np.ndarray:
        """The canvas as it is, by the browser itself: playwright's screenshots wait for frames, and delay others."""
        png = self._devtools.send("Page.captureScreenshot", {"format": "png", "optimizeForSpeed": True})["data"]
        image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
        return np.asarray(image).astype(float)[-CANVAS[1] :, : CANVAS[0]]

    def wait_until_ready(self) -> None:
        """Waits for the fine picture: before the viewer has been told the camera, it takes no clicks."""
        self.page.get_by_role("tab", name="Move", exact=True).wait_for()
        end = time.monotonic() + PATIENCE
        while self._size != FINE:
            assert time.monotonic() < end, "the viewer sends no fine picture"
            self.page.wait_for_timeout(50)

    def until(self, is_right: Callable[[np.ndarray], Any], what: str) -> np.ndarray:
        """Waits for a picture that is right: what was asked for may not have come yet."""
        end = time.monotonic() + PATIENCE
        while not is_right(now := self.picture()):
            assert time.monotonic() < end, what
        return now


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[[Viewer], Page]]:
    """``visit(viewer)`` opens a page that is ready for use."""
    contexts = []

    def open_page(viewer: Viewer) -> Page:
        contexts.append(browser.new_context(viewport=SIZE))
        contexts[-1].set_default_timeout(1000 * PATIENCE)
        contexts[-1].route(re.compile(r"^https?://(?!127\.0\.0\.1)"), lambda route: route.abort())  # the network
        page = Page(contexts[-1].new_page())
        page.page.goto(viewer.address)
        page.wait_until_ready()
        return page

    yield open_page
    for context in contexts:
        context.close()
