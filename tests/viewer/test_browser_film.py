"""A film with opacity, over a page's own colour."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gainer_ns.io.sequence_io import open_sequence_writer

PAGE = "<body style='margin: 0; background: #ff00ff'><video muted src='data:video/webm;base64,{}'></video></body>"


def test_a_browser_lays_webm_over_its_page(browser: Any, tmp_path: Path) -> None:
    y, x = np.mgrid[:96, :128]
    opacity = np.clip((40 - np.hypot(x - 64, y - 48)) / 12, 0, 1).astype(np.float32)
    colours = np.full((96, 128, 3), (0.1, 0.8, 0.3), np.float32)
    with open_sequence_writer(tmp_path / "film.webm", frames=3) as writer:
        for _ in range(3):
            writer.write(colours, opacity)
    page = browser.new_page(viewport={"width": 128, "height": 96})
    page.set_content(PAGE.format(base64.b64encode((tmp_path / "film.webm").read_bytes()).decode()))
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    seen = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")) / 255
    wanted = colours * opacity[..., None] + np.array([1, 0, 1]) * (1 - opacity[..., None])
    assert float(np.abs(seen - wanted).mean()) < 0.02
    assert float(np.abs(seen - wanted)[opacity == 0].max()) < 0.02, "the page alone where the film is clear"
