"""The folder of a benchmark: what is kept, and what is run again."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gainer_bench.benchmark.cell import CellResult
from gainer_bench.benchmark.run import BenchmarkFolder, check_methods, run_cells, versions
from gainer_bench.benchmark.suite import BenchmarkCell
from gainer_ns.errors import GainerError


@pytest.fixture
def cells(tmp_path: Path) -> list[BenchmarkCell]:
    path = tmp_path / "picture.png"
    path.write_bytes(b"made up")
    return [BenchmarkCell(path, None, 1, "gainer", label, {}, 0, None, None, ()) for label in ("a", "b", "c", "d")]


def test_pictures_are_there_before_the_line_that_names_them(cells: list[BenchmarkCell], tmp_path: Path) -> None:
    folder = BenchmarkFolder(tmp_path / "out")
    kept = folder.keep(cells[0], CellResult({"psnr": float("inf")}, {"source": b"1", "rendered": b"2"}))
    (line,) = folder.log.lines()
    assert line["psnr"] == "inf" and line["pictures"] == kept["pictures"]
    assert [(folder.path / line["pictures"][what]).read_bytes() for what in ("source", "rendered")] == [b"1", b"2"]


def test_methods_share_a_source_and_nothing_else(cells: list[BenchmarkCell], tmp_path: Path) -> None:
    folder = BenchmarkFolder(tmp_path / "out")
    names = [folder.keep(cell, CellResult({}, {"source": b"1", "rendered": b"2"}))["pictures"] for cell in cells[:2]]
    assert names[0]["source"] == names[1]["source"] and names[0]["rendered"] != names[1]["rendered"]


def test_finished_and_skipped_cells_are_not_run_again_and_failed_ones_are(
    cells: list[BenchmarkCell], tmp_path: Path
) -> None:
    folder = BenchmarkFolder(tmp_path / "out")
    folder.keep(cells[0], CellResult({"psnr": 30.0}))
    folder.keep(cells[1], CellResult({"error": "bad luck"}))
    folder.keep(cells[2], CellResult({"skipped": "no GPU"}))
    with folder.log.path.open("a") as file:
        file.write('{"key": "cut off')  # as a killed run leaves it
    again = BenchmarkFolder(tmp_path / "out")
    assert again.unfinished(cells) == [cells[1], cells[3]]
    again.keep(cells[1], CellResult({"psnr": 31.0}))
    assert [line.get("psnr") for line in again.lines_of(cells)] == [30.0, 31.0, None]


def test_an_interrupted_run_keeps_what_is_finished(cells: list[BenchmarkCell], tmp_path: Path) -> None:
    folder, closed = BenchmarkFolder(tmp_path / "out"), []

    def interrupted(todo: Iterable[BenchmarkCell]) -> Iterator[tuple[BenchmarkCell, CellResult]]:
        try:
            for number, cell in enumerate(todo):
                if number == 2:
                    raise KeyboardInterrupt
                yield cell, CellResult({"psnr": 30.0})
        finally:
            closed.append(True)

    left: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run_cells(cells, folder, interrupted, lambda line, rest: left.append(rest))
    assert left == [3, 2] and closed == [True]
    assert BenchmarkFolder(tmp_path / "out").unfinished(cells) == cells[2:]


def test_methods_and_options_are_checked_before_anything_runs(cells: list[BenchmarkCell]) -> None:
    from dataclasses import replace

    check_methods(cells)
    with pytest.raises(GainerError, match=r"wrong: .*no such 2D method"):
        check_methods([replace(cells[0], method="nothing", label="wrong")])
    options: dict[str, Any] = {"pipeline.model.nothing": 1}
    with pytest.raises(GainerError, match=r"odd: .*no such option"):
        check_methods([*cells, replace(cells[0], label="odd", options=options)])


def test_versions_name_what_results_depend_on() -> None:
    found = versions()
    assert found["Python"].startswith("3.") and {"torch", "nerfstudio", "warp-lang", "processor"} <= found.keys()


def test_pictures_of_one_name_stay_apart_in_all_that_is_written(result: Any, tmp_path: Path) -> None:
    """Lines, files and the report: of the same name in two folders, in other letters, and twice the same picture."""
    from gainer_bench.benchmark.report import write_report
    from gainer_bench.benchmark.suite import read_suite

    names = ["a/img.png", "b/img.png", "b/IMG.png", "copy/img.png", "..img.png"]
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 40), (0 if name.startswith("copy") else number, 2, 3)).save(tmp_path / name)
    (tmp_path / "suite.yaml").write_text(f"images: [{', '.join(names)}]\nmethods: [gainer, siren]\n")
    cells, folder = read_suite(tmp_path / "suite.yaml").cells(), BenchmarkFolder(tmp_path / "out")
    for cell in cells:
        measured = {name: value for name, value in result("", "").items() if name not in cell.identity()}
        folder.keep(cell, CellResult(measured, dict.fromkeys(("source", "rendered", "errors"), cell.picture)))
    assert folder.unfinished(cells) == []
    lines = folder.lines_of(cells)
    assert len({line["image"] for line in lines}) == len(names)
    different = {cell.picture for cell in cells}
    written = [path.relative_to(folder.path) for path in folder.path.rglob("*") if path.is_file()]
    sources = {line["pictures"]["source"] for line in lines}
    assert len({name.casefold() for name in sources}) == len(different) == len(names) - 1
    assert {(folder.path / name).read_bytes() for name in sources} == different
    others = [line["pictures"][what] for line in lines for what in ("rendered", "errors")]
    assert len({name.casefold() for name in others}) == 2 * 2 * len(different)
    assert all(path.parts[0] in ("pictures", "results.jsonl") for path in written)
    text = write_report(lines, folder.path, title="t", command="c", versions={}).read_text()
    assert f"Mean over {len(names)} images" in text
    sheets = [path.name for path in folder.path.glob("errors_and_crops_*")]
    assert len({name.casefold() for name in sheets}) == len(sheets) == len(names)
