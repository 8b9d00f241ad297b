import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from gainer_bench import novel_view
from gainer_bench.__main__ import main
from gainer_bench.novel_view import draw, free_space, masked_ssim, score
from gainer_bench.sheets import GAP_PX
from gainer_bench.view_baselines import Visibility, visible_in_both
from gainer_bench.views import Intrinsics, Rendered, ViewPair
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import read_picture
from gainer_ns.io.image_writing import write_picture

W, H = 32, 24
K = Intrinsics(30.0, 30.0, W / 2, H / 2)


@dataclass
class Shown:
    """A method that shows the same whatever is asked, and has a veil from a share of the depth on."""

    shown: Rendered
    veil: float = 1.0
    fits: int = 0

    def __call__(self, pair: ViewPair) -> "Shown":
        self.fits += 1
        self.depth = pair.source_depth
        return self

    def render(self, K: Intrinsics, T_camera_from_source: np.ndarray, width: int, height: int) -> Rendered:
        return self.shown

    def accumulation_up_to(self, points: np.ndarray) -> np.ndarray:
        return np.where(points[:, 2] / self.depth.max() >= self.veil, 0.05, 0.01)


@pytest.fixture
def pair() -> ViewPair:
    colours = np.random.default_rng(0).uniform(0.2, 0.8, size=(H, W, 3))
    depth = np.full((H, W), 2.0, np.float32)
    return ViewPair("a b", colours, None, depth, K, colours, None, K, np.eye(4), "made")


def perfect(pair: ViewPair) -> Rendered:
    return Rendered(pair.target_colours.copy(), np.ones((H, W)), pair.source_depth.copy())


def test_a_perfect_method_has_no_error(pair: ViewPair) -> None:
    (found,) = score([draw("shown", Shown(perfect(pair)), pair)], pair, visible_in_both(pair))
    assert found.psnr > 200 and found.psnr_surface > 200 and found.source_psnr > 200
    assert found.ssim == pytest.approx(1) and found.coverage == 1 and found.source_depth_error == 0


def test_what_is_not_covered_counts_over_grey(pair: ViewPair) -> None:
    hole = perfect(pair)
    hole.accumulation[:, :16] = 0
    hole.rgb[:, :16] = np.nan
    everything = Visibility(np.ones((H, W), bool), np.ones((H, W), bool))
    whole, found = score(
        [draw("shown", Shown(perfect(pair)), pair), draw("shown", Shown(hole), pair)], pair, everything
    )
    assert found.coverage == 0.5 and found.psnr_all_cover is not None and found.psnr_all_cover > 200
    error = ((pair.target_colours[:, :16] - 0.5) ** 2).sum() / pair.target_colours.size
    assert found.psnr == pytest.approx(-10 * np.log10(error))
    assert found.ssim < 0.8 < whole.ssim


def test_only_visible_pixels_count(pair: ViewPair) -> None:
    wrong = Rendered(pair.target_colours.copy(), np.ones((H, W)), pair.source_depth)
    wrong.rgb[:, 20:] = 0
    mask = np.ones((H, W), bool)
    mask[:, 20:] = False
    (found,) = score([draw("shown", Shown(wrong), pair)], pair, Visibility(np.ones((H, W), bool), mask))
    assert found.psnr > 200 and found.ssim == pytest.approx(1) and found.psnr_surface < 20


def test_similarity_is_that_of_the_reference(pair: ViewPair) -> None:
    from skimage.metrics import structural_similarity

    other = np.clip(pair.target_colours + np.random.default_rng(1).normal(0, 0.05, (H, W, 3)), 0, 1)
    middle = np.zeros((H, W), bool)
    middle[11:13, 11:21] = True
    whole = structural_similarity(
        np.where(middle[..., None], other, pair.target_colours),
        pair.target_colours,
        data_range=1.0,
        channel_axis=-1,
        gaussian_weights=True,
        use_sample_covariance=False,
        full=True,
    )[1]
    assert masked_ssim(other, pair.target_colours, middle) == pytest.approx(whole[middle].mean(), abs=1e-6)


def test_depth_errors_are_relative_medians(pair: ViewPair) -> None:
    off = Rendered(pair.target_colours, np.ones((H, W)), pair.source_depth * 1.02)
    (found,) = score([draw("shown", Shown(off), pair)], pair, visible_in_both(pair))
    assert found.source_depth_error == pytest.approx(0.02, rel=1e-4)


def test_free_space_is_the_share_without_anything_in_the_way(pair: ViewPair) -> None:
    share = free_space(Shown(perfect(pair), veil=0.635)(pair), pair)
    assert share == pytest.approx(0.5, abs=0.02)
    assert free_space(Shown(perfect(pair), veil=0.98)(pair), pair) == 1


def test_cut_outs_are_compared_over_white(pair: ViewPair) -> None:
    alpha = np.ones((H, W), np.float32)
    alpha[:, 16:] = 0
    cut = replace(pair, source_alpha=alpha, target_alpha=alpha)
    shown = Rendered(np.ones((H, W, 3)), np.zeros((H, W)), pair.source_depth)
    everything = Visibility(np.ones((H, W), bool), np.ones((H, W), bool))
    (found,) = score([draw("shown", Shown(shown), cut)], cut, everything)
    error = ((pair.target_colours[:, :16] - 1) ** 2).sum() / pair.target_colours.size
    assert found.psnr == pytest.approx(-10 * np.log10(error))
    assert found.coverage == 0


def test_views_that_do_not_overlap_are_refused(pair: ViewPair) -> None:
    nothing = np.zeros((H, W), bool)
    with pytest.raises(GainerError, match="nothing is visible in both"):
        score([draw("shown", Shown(perfect(pair)), pair)], pair, Visibility(nothing, nothing))


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A wall that moves by two pixels."""
    folder = tmp_path / "wall"
    colours = np.random.default_rng(0).uniform(size=(H, W + 2, 3))
    write_picture(folder / "left.png", colours[:, :W])
    write_picture(folder / "right.png", colours[:, 2:])
    np.savez(folder / "disp.npz", d=np.full((H, W), 2.0, np.float32))
    entry = {"file": "disp.npz", "key": "d", "view": "left", "scale_to_px": 1.0}
    text = {"kind": "stereo", "left": "left.png", "right": "right.png", "doffs_px": 0.0, "focal_px": None}
    (folder / "scene.json").write_text(json.dumps(text | {"disparity": entry}))
    return folder


def test_the_command_writes_pictures_and_numbers(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    main(["novel-view", str(scene), "--output", str(output), "--baselines-only"])
    results = json.loads((output / "results.json").read_text())
    assert {one["method"] for one in results["scores"]} == {
        "point splatting",
        "depth mesh bilinear",
        "depth mesh bicubic",
    }
    assert all(float(one["psnr"]) > 50 and one["coverage"] == 1 for one in results["scores"])
    assert results["pairs"][0]["counted"] == pytest.approx((W - 2) / W)
    shown = {path.name for path in (output / "wall_left_to_right").iterdir()}
    assert {"target.png", "sheet.png", "point_splatting.png", "point_splatting_error.png"} <= shown
    assert read_picture(output / "wall_left_to_right" / "sheet.png").width >= 4 * W + 3 * GAP_PX
    assert "| wall left to right | point splatting |" in capsys.readouterr().out


def test_no_scene_is_refused() -> None:
    with pytest.raises(GainerError, match="no scene is named"):
        main(["novel-view"])


def test_one_fit_serves_all_pairs_of_a_source(
    pair: ViewPair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    method = Shown(perfect(pair))
    other = replace(pair, source_depth=pair.source_depth.copy())
    monkeypatch.setattr(novel_view, "read_pairs", lambda scene: [pair, replace(pair, name="again"), other])
    monkeypatch.setattr(novel_view, "_lifted", lambda: method)
    main(["novel-view", "somewhere"])
    assert method.fits == 2
    assert capsys.readouterr().out.count("| gainer-lift |") == 3
