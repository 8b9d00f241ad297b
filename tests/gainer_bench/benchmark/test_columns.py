"""Tables of a benchmark: means by hand, what is best, what is missing or infinite, Markdown and LaTeX."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from gainer_bench.benchmark.columns import averaged, mean_sizes, mean_table, significant
from gainer_bench.benchmark.results import newest, number
from gainer_bench.tables import Table, TableCell, escaped, latex_escaped, latex_page

Make = Callable[..., dict[str, Any]]


def shown(lines: list[dict[str, Any]], of: Any = None) -> dict[str, dict[str, str]]:
    """Label -> title -> text, with ** around what is best."""
    found = mean_table(lines, of)
    assert found is not None
    marked = [[f"**{cell.text}**" if cell.best else cell.text for cell in row] for row in found.rows]
    return {row[0]: dict(zip(found.titles, row, strict=True)) for row in marked}


def test_means_are_over_images_and_the_best_is_bold_whoever_it_is(result: Make) -> None:
    lines = [
        result("a", "GaINeR", 30.0, parameters=1000, peak_mib=900.0),
        result("a", "SIREN", 35.0, parameters=10, peak_mib=1000.0),
        result("b", "GaINeR", 41.5, parameters=3000, peak_mib=900.0),
        result("b", "SIREN", 37.0, parameters=30, peak_mib=1000.0),
    ]
    rows = shown(lines)
    assert list(rows) == ["GaINeR", "SIREN"]
    assert (rows["GaINeR"]["PSNR"], rows["SIREN"]["PSNR"]) == ("35.75", "**36.00**")
    assert (rows["GaINeR"]["parameters"], rows["SIREN"]["parameters"]) == ("2,000", "**20**")
    assert (rows["GaINeR"]["peak MiB"], rows["SIREN"]["peak MiB"]) == ("**900**", "1,000")
    assert rows["GaINeR"]["exact %"] == rows["SIREN"]["exact %"] == "**25.00**", "equal numbers are equally good"
    assert rows["GaINeR"]["frames/s, new index"] == "**4.00**" and rows["SIREN"]["frames/s, same index"] == "**5.00**"
    assert rows["SIREN"]["iterations"] == "1,234", "more is neither better nor worse"
    assert rows["SIREN"]["images"] == "2/2"


def test_columns_that_nobody_has_numbers_for_are_left_out(result: Make) -> None:
    plain = shown([result("a", "SIREN")])["SIREN"]
    assert not {"LPIPS", "off-grid dB", "edits dB", "peak GPU MiB", "images", "s to 77 dB"} & plain.keys()
    assert plain["s to 40 dB"] == "–", "that nobody got there is worth saying"
    off_grid = {"half_pixel_shift": 40.0, "rotation": 41.0, "zoom": 45.0}
    full = result("a", "GaINeR", lpips=0.125, off_grid=off_grid, edits={"rotate 15": 60.0, "bend": 70.0})
    rows = shown([result("a", "SIREN"), full])
    assert rows["SIREN"]["LPIPS"] == rows["SIREN"]["off-grid dB"] == rows["SIREN"]["edits dB"] == "–"
    assert rows["GaINeR"]["LPIPS"] == "**0.1250**"
    assert (rows["GaINeR"]["off-grid dB"], rows["GaINeR"]["edits dB"]) == ("**42.00**", "**65.00**")
    assert shown([full])["GaINeR"]["LPIPS"] == "0.1250", "a single row is not the best of anything"


def test_parts_share_the_columns(result: Make) -> None:
    lines = [result("a", "SIREN"), result("a", "FINER")]
    quality, cost, both = (list(shown(lines, of)["SIREN"]) for of in ("quality", "cost", None))
    assert quality[:2] == ["method", "PSNR"] and cost[:2] == ["method", "fit s"]
    assert both == quality + cost[1:]


def test_seconds_say_how_many_runs_got_there(result: Make) -> None:
    def reached(**levels: float | None) -> dict[str, Any]:
        return {n[1:]: None if s is None else {"iterations": 3, "seconds": s} for n, s in levels.items()}

    lines = [
        result("a", "GaINeR", reached=reached(_40=2.0, _50=2.5, _100=None)),
        result("b", "GaINeR", reached=reached(_40=4.0, _50=3.5, _100=None)),
        result("a", "SIREN", reached=reached(_40=1.0, _50=None, _100=None)),
        result("b", "SIREN", reached=reached(_40=None, _50=None, _100=None)),
    ]
    rows = shown(lines)
    assert [title for title in rows["SIREN"] if title.startswith("s to")] == ["s to 40 dB", "s to 50 dB", "s to 100 dB"]
    assert rows["GaINeR"]["s to 40 dB"] == "**3.00**" and rows["GaINeR"]["s to 50 dB"] == "**3.00**"
    assert rows["SIREN"]["s to 40 dB"] == "1/2: 1.00", "not bold: one that was never reached is not faster"
    assert rows["SIREN"]["s to 50 dB"] == rows["GaINeR"]["s to 100 dB"] == "–"


def test_a_mean_over_fewer_images_says_so_and_is_not_compared(result: Make, failure: Make) -> None:
    lines = [
        result("easy", "GaINeR", 50.0),
        result("hard", "GaINeR", 30.0),
        result("easy", "SIREN", 48.0),
        failure("hard", "SIREN", error="no"),
        failure("hard", "3DGS", skipped="needs CUDA"),
    ]
    rows = shown(lines)
    assert (rows["GaINeR"]["PSNR"], rows["GaINeR"]["images"]) == ("**40.00**", "2/2")
    assert (rows["SIREN"]["PSNR"], rows["SIREN"]["images"]) == ("48.00", "1/2")
    assert "3DGS" not in rows


def test_seeds_are_averaged_first_and_their_deviation_is_shown(result: Make) -> None:
    lines = [
        result("a", "SIREN", 30.0, 0),
        result("a", "SIREN", 32.0, 1),
        result("b", "SIREN", 40.0, 0),
        result("b", "SIREN", 44.0, 1),
        result("a", "FINER", 20.0, 0),
        result("b", "FINER", 21.0, 0),
    ]
    rows = shown(lines)
    assert rows["SIREN"]["PSNR"] == "**36.50 ± 2.12**", "seeds give 35 and 38: their sample deviation is 3 / sqrt 2"
    assert rows["FINER"]["PSNR"] == "20.50", "one seed has no deviation"
    assert rows["SIREN"]["parameters"] == "**198,915**", "nor has what is always the same"
    uneven = lines[:3]
    assert shown(uneven)["SIREN"]["PSNR"] == "35.50", "each image counts once; one whole seed has no deviation"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (("inf", "inf", "inf"), "∞"),
        ((60.0, "inf", "inf"), "∞ on 2/3, else 60.00"),
        (("nan", 20.0, 30.0), "nan on 1/3, else 25.00"),
        (("nan", "inf", "-inf"), "nan and ∞ and −∞"),
        ((None, "inf", "inf"), "2/3: ∞"),
        ((None, None, None), "–"),
        ((20.0, 30.0, 40.0), "30.00"),
    ],
)
def test_numbers_that_are_not_finite_are_counted(result: Make, values: tuple[Any, ...], text: str) -> None:
    lines = [result(name, "SIREN", value) for name, value in zip("abc", values, strict=True)]
    score = averaged(lines, lambda line: number(line.get("psnr")), lambda value: f"{value:.2f}", 1)
    assert score.text == text
    assert (score.rank is None) == any(value in ("nan", "-inf", None) for value in values)


def test_infinity_is_best_and_nan_never(result: Make) -> None:
    def lines(**psnr: tuple[Any, Any]) -> list[dict[str, Any]]:
        return [result(n, label, value) for label, both in psnr.items() for n, value in zip("ab", both, strict=True)]

    rows = shown(lines(Some=("inf", 20.0), Finite=(90.0, 90.0), More=("inf", 30.0), Nan=("nan", "inf")))
    assert [row["PSNR"].startswith("**") for row in rows.values()] == [False, False, True, False]
    rows = shown(lines(Finite=(90.0, 90.0), All=("inf", "inf"), Nan=("nan", "nan")))
    assert [row["PSNR"] for row in rows.values()] == ["90.00", "**∞**", "nan"]


def test_the_stored_size_is_the_smallest_that_loses_little(result: Make) -> None:
    def stored(**sizes: tuple[int, float | str]) -> dict[str, Any]:
        return {n[1:]: {"bytes": size, "psnr": psnr} for n, (size, psnr) in sizes.items()}

    lossless = stored(_32=(4_000_000, 50.0), _16=(2_000_000, 49.75), _8=(1_000_000, 49.5))
    lossy = stored(_32=(4_000_000, 50.0), _16=(2_000_000, 49.5))
    infinite = stored(_32=(4_000_000, "inf"), _16=(1_234_567, "inf"), _8=(1_000_000, 60.0))
    lines = [result("a", "X", stored=lossless), result("a", "Y", stored=lossy), result("a", "Z", stored=infinite)]
    rows = shown([*lines, result("a", "None", stored=None)])
    sizes = [row["MB stored"] for row in rows.values()]
    assert sizes == ["2.00 (16 bit)", "4.00 (32 bit)", "**1.23 (16 bit)**", "–"]
    both = [result("a", "X", stored=lossless), result("b", "X", stored=lossy)]
    assert mean_sizes(both) == {32: (4e6, 50.0), 16: (2e6, 49.625)}, "only widths that both have"
    assert shown(both)["X"]["MB stored"] == "4.00 (32 bit)", "the means are compared"
    some = [result("a", "X", stored=lossless), result("b", "X", stored=None), result("a", "Y"), result("b", "Y")]
    assert shown(some)["X"]["MB stored"] == "1/2: 2.00 (16 bit)"


def test_significant_digits() -> None:
    values = [0.0, 0.012345, 0.9876, 1.0, 25.04, 250.6, 1234.5]
    assert [significant(value) for value in values] == ["0", "0.0123", "0.988", "1.00", "25.0", "251", "1,234"]


def test_numbers_of_lines() -> None:
    assert [number(value) for value in ("inf", "-inf", 3, 2.5)] == [float("inf"), float("-inf"), 3.0, 2.5]
    assert [number(value) for value in (None, True, "fast", [], {})] == [None] * 5
    assert str(number("nan")) == "nan"


def test_a_later_line_of_the_same_key_replaces_the_first(result: Make, failure: Make) -> None:
    lines = [failure("a", "SIREN", error="no"), result("a", "FINER"), result("a", "SIREN", 31.0), {"image": "b"}]
    assert newest(lines) == [lines[2], lines[1], lines[3]]


def test_no_finished_run_makes_no_table(failure: Make) -> None:
    assert mean_table([]) is None
    assert mean_table([failure("a", "SIREN", error="no"), failure("a", "3DGS", skipped="needs CUDA")]) is None


def test_lines_without_most_fields_are_shown() -> None:
    rows = shown([{"image": "a", "label": "X", "psnr": 30.0}, {"image": "a", "label": "Y", "reached": None}])
    assert (rows["X"]["PSNR"], rows["Y"]["PSNR"]) == ("**30.00**", "–")


def test_markdown_has_no_mark_up_from_outside() -> None:
    text = Table(["method", "PSNR"], [[TableCell("a|b *c* <i>\n_d_ `e`"), TableCell("30.00", True)]]).markdown()
    assert text == (
        "| method | PSNR |\n| --- | --: |\n"
        "| a\\|b \\*c\\* \\<i\\> \\_d\\_ \\`e\\` | **30.00** |\n"
    )  # fmt: skip
    assert escaped("[x](y) ~z~ #1 $2$") == r"\[x\](y) \~z\~ \#1 \$2\$"


def test_latex_is_escaped_and_every_row_is_whole(result: Make) -> None:
    name = r"50% of A&B_{x}^2 #1 ~ $k$ \alpha"
    found = mean_table(
        [result("a", name, 31.0), result("b", name, 32.0), result("a", "[B]"), result("b", "[B]")], "quality"
    )
    assert found is not None
    text = latex_page([found, found], "A title\nand a command")
    assert text.startswith("% A title\n% and a command\n% Needs \\usepackage{booktabs}.\n\\begin{tabular}{lrrrrrr")
    for rule in ("toprule", "midrule", "bottomrule", "begin{tabular}", "end{tabular}"):
        assert text.count(f"\\{rule}") == 2
    escaped_name = (
        r"50\% of A\&B\_\{x\}\textasciicircum{}2 \#1 \textasciitilde{} \$k\$ \textbackslash{}alpha"  # by hand
    )
    assert f"\n{escaped_name} & 2/2 & \\textbf{{31.50}} & " in text
    assert "\n{[}B{]} & 2/2 & 30.00 & " in text, "a bracket would be an argument of the row's end"
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(found.titles) - 1}
    assert latex_escaped("∞ on 2/3, – 1 ± 2 <>|\n*") == (
        r"$\infty$ on 2/3, -- 1 $\pm$ 2 \textless{}\textgreater{}\textbar{} {*}"
    )
    assert latex_page([], "Nothing") == "% Nothing\n"
