"""Tables as plain text, written as Markdown or LaTeX, the best of each column in bold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

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


class TableCell(NamedTuple):
    """A cell as plain text."""

    text: str
    best: bool = False


class Table(NamedTuple):
    """A table as plain text: the first columns name things, the others hold numbers."""

    titles: Sequence[str]
    rows: Sequence[Sequence[TableCell]]
    names: int = 1  # how many columns name things

    @classmethod
    def of(cls, titles: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> Table:
        """Make a table of texts, in which nothing is compared."""
        return cls(titles, [[TableCell(text) for text in row] for row in rows], names)

    def markdown(self) -> str:
        """Return the table as Markdown that GitHub reads."""
        marks = ["---"] * self.names + ["--:"] * (len(self.titles) - self.names)
        rows = [[escaped(title) for title in self.titles], marks]
        rows += [[f"**{escaped(text)}**" if best else escaped(text) for text, best in row] for row in self.rows]
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)

    def latex(self) -> str:
        r"""Return the table as a ``tabular`` with the rules of booktabs."""
        rows = [" & ".join(_latex_cell(cell) for cell in row) for row in self.rows]
        body = [
            rf"\begin{{tabular}}{{{'l' * self.names}{'r' * (len(self.titles) - self.names)}}}",
            r"\toprule",
            " & ".join(latex_escaped(title) for title in self.titles) + r" \\",
            r"\midrule",
            *(rf"{row} \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        return "\n".join(body) + "\n"


def latex_page(tables: Sequence[Table], comment: str = "") -> str:
    r"""Return tables for LaTeX one below the other, each to be put into a float, with lines of a comment above them."""
    needs = [r"Needs \usepackage{booktabs}."] if tables else []
    head = "".join(f"% {line}\n" for line in [*comment.splitlines(), *needs])
    return head + "\n\\medskip\n\n".join(one.latex() for one in tables)


def _latex_cell(cell: TableCell) -> str:
    text = latex_escaped(cell.text)
    return rf"\textbf{{{text}}}" if cell.best else text


def escaped(text: str) -> str:
    """Return plain text as one line of Markdown, in which nothing is mark-up."""
    return re.sub(r"([\\`*_\[\]<>|~$&#])", r"\\\1", " ".join(text.split()))


def latex_escaped(text: str) -> str:
    """Return plain text as one line of LaTeX, in which nothing is a command; letters stay as they are, in UTF-8."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
