"""Tables of a benchmark's results, for Markdown and LaTeX: a row a method, the best of each column in bold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from gainer_bench.benchmark.columns import Part, Score, columns
from gainer_bench.benchmark.results import Line, by_image, by_label, finished

LEGEND = """\
PSNR and MS-SSIM are of the whole picture at its own size; *exact*: pixels whose 8-bit values all are. *s to 40 dB*:
seconds of fitting until the picture was first measured at 40 dB or more. *off-grid*: mean PSNR of the picture drawn
half a pixel aside, rotated and magnified; *edits*: of edited pictures, each against the same edit of the source.
*frames/s*: pictures drawn a second, with the neighbour index built anew and kept. *MB stored*: 10^6 bytes of the
smallest file whose picture loses at most 0.3 dB against the one of 32 bits a number. *peak*: the most memory the
process held.

Every picture counts once. 2/3: 1.2 is the mean, 1.2, of the 2 runs of 3 that have such a number, and an en dash says
that none has. Bold is the best of the methods that have results for all pictures and a number in every run."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",  # would be an argument of the end of the row before
    "]": "{]}",
    "*": "{*}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "∞": r"$\infty$",
} | {character: f"\\{character}" for character in "&%$#_{}"}


class Cell(NamedTuple):
    """A cell as plain text."""

    text: str
    best: bool = False


class Table(NamedTuple):
    """A table as plain text; the first column names the methods."""

    titles: list[str]
    rows: list[list[Cell]]


def table(lines: Sequence[Line], of: Part | None = None) -> Table | None:
    """Averages the finished runs of each method over pictures and seeds.

    Args:
        lines: Any lines; those of failed and skipped runs are passed over.
        of: The columns of this part only; None for all.

    Returns:
        The table, with a column that says how many pictures each method has results for where they are several; None
        where no run is finished.
    """
    good = finished(lines)
    if not good:
        return None
    pictures = len(by_image(good))
    counted = [] if pictures == 1 else ["images"]
    chosen = [column for column in columns(good) if of in (None, column.part)]
    rows, scores, whole = [], [], []
    for name, group in by_label(good).items():
        covered = len(by_image(group))
        rows.append([Cell(name), *(Cell(f"{covered}/{pictures}") for _ in counted)])
        scores.append([column.score(group) for column in chosen])
        whole.append(covered == pictures)
    for place in range(len(chosen)):
        column = [row[place] for row in scores]
        for row, score, best in zip(rows, column, _best(column, whole), strict=True):
            row.append(Cell(score.text + score.spread, best))
    return Table(["method", *counted, *(column.title for column in chosen)], rows)


def _best(scores: Sequence[Score], whole: Sequence[bool]) -> list[bool]:
    """Which scores of a column are the best: more than one where they read the same, none where nothing compares."""
    ranks = [score.rank if complete else None for score, complete in zip(scores, whole, strict=True)]
    compared = [(rank, score.text) for rank, score in zip(ranks, scores, strict=True) if rank is not None]
    if len(scores) < 2 or not compared:
        return [False] * len(scores)
    _, text = max(compared)
    return [rank is not None and score.text == text for rank, score in zip(ranks, scores, strict=True)]


def markdown(shown: Table) -> str:
    """A table for Markdown as GitHub reads it."""
    rows = [[escaped(title) for title in shown.titles], ["---"] + ["--:"] * (len(shown.titles) - 1)]
    rows += [[f"**{escaped(cell.text)}**" if cell.best else escaped(cell.text) for cell in row] for row in shown.rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def latex(tables: Sequence[Table], comment: str = "") -> str:
    r"""Tables for LaTeX, with the rules of booktabs; each a ``tabular`` of its own, to be put into a float.

    Args:
        tables: Put one below the other.
        comment: Lines of a comment above them.
    """
    needs = [r"Needs \usepackage{booktabs}."] if tables else []
    head = "".join(f"% {line}\n" for line in [*comment.splitlines(), *needs])
    return head + "\n\\medskip\n\n".join(_tabular(one) for one in tables)


def _tabular(shown: Table) -> str:
    rows = [" & ".join(_latex_cell(cell) for cell in row) for row in shown.rows]
    body = [
        rf"\begin{{tabular}}{{l{'r' * (len(shown.titles) - 1)}}}",
        r"\toprule",
        " & ".join(latex_escaped(title) for title in shown.titles) + r" \\",
        r"\midrule",
        *(rf"{row} \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(body) + "\n"


def _latex_cell(cell: Cell) -> str:
    text = latex_escaped(cell.text)
    return rf"\textbf{{{text}}}" if cell.best else text


def escaped(text: str) -> str:
    """Plain text as one line of Markdown, in which nothing is mark-up."""
    return re.sub(r"([\\`*_\[\]<>|~$&#])", r"\\\1", " ".join(text.split()))


def latex_escaped(text: str) -> str:
    """Plain text as one line of LaTeX, in which nothing is a command. Letters stay as they are, in UTF-8."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
