"""Reports of a benchmark: everything that is in them, from any subset of lines."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gainer_bench.benchmark.report import write_report
from gainer_ns.errors import GainerError

Make = Callable[..., dict[str, Any]]

COMMAND = "gainer bench configs/benchmarks/kodak.yaml --output 'my bench'"


def write(lines: list[dict[str, Any]], folder: Path, command: str = COMMAND) -> str:
    path = write_report(
        lines, folder, title="Kodak *60 s*", command=command, versions={"Python": "3.11.9", "torch": "2.4"}
    )
    assert path == folder / "report.md"
    return path.read_text("utf8")


def linked(text: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", text)


@pytest.fixture
def lines(result: Make, failure: Make, tmp_path: Path) -> list[dict[str, Any]]:
    """Two images and four methods: one of them failed once, one was skipped."""
    (tmp_path / "pictures").mkdir()
    made = []
    for image in ("kodim 1", "b_2"):
        for label, psnr in (("GaINeR", 78.0), ("SIREN", 33.5), ("FINER", 35.0)):
            names = {kind: f"pictures/{image}-{label}-{kind}.png" for kind in ("rendered", "errors")}
            names["source"] = f"pictures/{image}.png"
            for name in names.values():
                Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(tmp_path / name)
            made.append(result(image, label, psnr, pictures=names))
        made.append(failure(image, "3DGS", skipped="needs CUDA"))
    made[6] = failure("b_2", "FINER", error="RuntimeError: <nan> in a|b\nat once")
    return made


def test_everything_is_in_the_report_and_every_link_leads_somewhere(
    lines: list[dict[str, Any]], tmp_path: Path
) -> None:
    text = write(lines, tmp_path)
    assert text.startswith("# Kodak \\*60 s\\*\n\nMean over 2 images; 5 runs finished, 1 failed, 2 skipped.\n")
    assert f"\n```\n{COMMAND}\n```\n" in text and "- Python 3.11.9\n- torch 2.4\n" in text
    assert "- FINER (b\\_2): RuntimeError: \\<nan\\> in a\\|b at once\n" in text
    assert "- 3DGS (kodim 1, b\\_2): needs CUDA\n" in text
    assert "| FINER | 1/2 | 35.00 |" in text and "| GaINeR | 2/2 | **78.00** |" in text
    assert "## kodim 1 (96 × 64)\n" in text and "## b\\_2 (96 × 64)\n" in text
    assert "- SIREN: siren, pipeline.model.hidden\\_layers = 3; 60 s, on cpu, 2 threads\n" in text
    links = linked(text)
    assert {"psnr_over_time.png", "psnr_over_steps.png", "psnr_over_bytes.png", "errors_and_crops_kodim_1.png"} <= set(
        links
    )
    assert {"pictures/kodim%201.png", "pictures/b_2-SIREN-errors.png"} <= set(links)
    assert all((tmp_path / link.replace("%20", " ")).is_file() for link in links)
    for name in (
        "psnr_over_time.png",
        "psnr_over_steps.png",
        "psnr_over_bytes.png",
        "errors_and_crops_kodim_1.png",
        "errors_and_crops_b_2.png",
    ):
        with Image.open(tmp_path / name) as picture:
            picture.load()
    tex = (tmp_path / "table.tex").read_text("utf8")
    assert f"% {COMMAND}\n" in tex and tex.count(r"\begin{tabular}") == 2 and "SIREN & 2/2 & 33.50" in tex
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_any_subset_makes_a_report(lines: list[dict[str, Any]], tmp_path: Path, count: int) -> None:
    some = lines[::-1][:count]
    good = sum("psnr" in line for line in some)
    text = write(some, tmp_path)
    assert f"{good} run{'' if good == 1 else 's'} finished" in text
    assert (tmp_path / "psnr_over_time.png").is_file() == (good > 0)
    assert (r"\toprule" in (tmp_path / "table.tex").read_text("utf8")) == (good > 0)


def test_no_line_at_all_makes_a_report(tmp_path: Path) -> None:
    text = write([], tmp_path / "new" / "folder")
    assert "0 runs finished, 0 failed, 0 skipped." in text and COMMAND in text
    assert linked(text) == [] and "##" in text and "Failed" not in text
    assert (tmp_path / "new/folder/table.tex").read_text("utf8") == f"% Kodak *60 s*\n% {COMMAND}\n"


def test_missing_pictures_are_not_linked(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    for path in (tmp_path / "pictures").iterdir():
        path.unlink()
    text = write(lines, tmp_path)
    assert linked(text) == ["psnr_over_time.png", "psnr_over_steps.png", "psnr_over_bytes.png"]
    assert "Whole pictures" not in text and not list(tmp_path.glob("errors_and_crops_*"))


def test_what_has_nothing_to_show_any_more_goes(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    write(lines, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 5
    write([line for line in lines if "psnr" not in line], tmp_path)
    assert list(tmp_path.glob("*.png")) == []


def test_the_newest_line_of_a_run_counts(result: Make, failure: Make, tmp_path: Path) -> None:
    text = write([failure("a", "X", error="at first"), result("a", "X", 44.0)], tmp_path)
    assert "1 run finished, 0 failed" in text and "at first" not in text and "| X | 44.00 |" in text


def test_seeds_are_named(result: Make, failure: Make, tmp_path: Path) -> None:
    lines = [result("a", "X", 30.0, 0), result("a", "X", 32.0, 1), failure("a", "X", 2, error="no")]
    text = write(lines, tmp_path)
    assert "Mean over 1 image and 2 seeds, ± the standard deviation over the seeds; 2 runs finished, 1 failed" in text
    assert "31.00 ± 1.41" in text and "- X (a with seed 2): no\n" in text


def test_a_command_with_backticks_stays_in_its_fence(tmp_path: Path) -> None:
    command = "gainer bench x.yaml --output ```\n# not a heading"
    assert f"\n````\n{command}\n````\n" in write([], tmp_path, command)


def test_images_of_alike_names_get_sheets_of_their_own(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    renamed = [line | {"image": name, "key": name} for line, name in zip(lines[:3], ("a/b", "a b", "a_b"), strict=True)]
    text = write(renamed, tmp_path)
    names = ["errors_and_crops_a_b.png", "errors_and_crops_a_b_2.png", "errors_and_crops_a_b_3.png"]
    assert [link for link in linked(text) if link.startswith("errors")] == names
    assert all((tmp_path / name).is_file() for name in names)


def test_budgets_that_differ_are_all_told(result: Make, tmp_path: Path) -> None:
    lines = [result("a", "X"), result("b", "X", seconds_allowed=None, steps_allowed=500, device="cuda", options={})]
    text = write(lines, tmp_path)
    assert (
        "- X: x, pipeline.model.hidden\\_layers = 3; x; 60 s, on cpu, 2 threads; 500 steps, on cuda, 2 threads\n"
        in text
    )


def test_a_folder_that_cannot_be_written_is_told(result: Make, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for lines in ([result("a", "X")], []):
        with pytest.raises(GainerError, match="cannot be written"):
            write(lines, tmp_path / "file")
