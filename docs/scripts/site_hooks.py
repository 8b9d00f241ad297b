"""What the site does besides mkdocs: the notebook becomes a page, and links that leave docs/ lead to pages of the site.

On GitHub such a link, as ``../configs/edits``, shows the folder; here it shows a page with the text of its files.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
UPWARD = re.compile(r"\]\((\.\./[\w./-]+)\)")
"""A link to something in a folder further up, which may be out of docs/."""
ROLE = re.compile(r":(?:func|meth|class|attr|mod):<code>")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".md": "markdown"}
NOTEBOOK = "tutorial"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that show files of the repository, and the notebook."""
    for file in notebook_files(config):
        files.append(file)
    outward: set[str] = set()
    for file in files.documentation_pages():
        outward |= {target_of(link, file.src_uri) for link in UPWARD.findall(file.content_string)}
    for path in sorted(outward - {""}):
        files.append(File.generated(config, page_of(path), content=shown(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links out of docs/ to the pages that show what is there."""
    folder = posixpath.dirname(page.file.src_uri)

    def inward(link: re.Match[str]) -> str:
        target = target_of(link[1], page.file.src_uri)
        return f"]({posixpath.relpath(page_of(target), folder or '.')})" if target else link[0]

    return UPWARD.sub(inward, markdown).replace(f"]({NOTEBOOK}.ipynb)", f"]({NOTEBOOK}.md)")


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show names that docstrings quote with a role, as ``:func:`fit```, without the role."""
    return ROLE.sub("<code>", html)


def target_of(link: str, page: str) -> str:
    """Return the path in the repository that a link of a page leads to; nothing if it stays in docs/."""
    target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
    return "" if target.startswith("docs/") else target


def page_of(path: str) -> str:
    """Return the page that shows a file or folder of the repository."""
    return f"shown/{path.replace('/', '_').replace('.', '_')}.md"


def shown(path: Path) -> str:
    """Return the Markdown of a page with the text of a file, or of all text files of a folder.

    Raises:
        FileNotFoundError: If there is none, so that a strict build fails on a broken link.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: linked from the documentation, but not there")
    name = path.relative_to(ROOT).as_posix()
    texts = [path] if path.is_file() else sorted(one for one in path.iterdir() if one.suffix in LANGUAGES)
    parts = [f"# {name}"]
    for text in texts:
        if path.is_dir():
            parts.append(f"## {text.name}")
        parts.append(f"````{LANGUAGES.get(text.suffix, 'text')}\n{text.read_text('utf8').rstrip()}\n````")
    return "\n\n".join(parts) + "\n"


def notebook_files(config: MkDocsConfig) -> list[File]:
    """Return the notebook as a page, with the pictures that it showed when it was last run."""
    from nbconvert import MarkdownExporter

    body, resources = MarkdownExporter().from_filename(str(ROOT / "docs" / f"{NOTEBOOK}.ipynb"))
    title, _, rest = body.partition("\n")
    page = f"{title}\n\n[As a notebook](./{NOTEBOOK}.ipynb), to run it yourself.\n{rest}"
    outputs = {f"{NOTEBOOK}_files/{name}": data for name, data in resources["outputs"].items()}
    for name in resources["outputs"]:
        page = page.replace(f"]({name})", f"]({NOTEBOOK}_files/{name})")
    generated = [File.generated(config, f"{NOTEBOOK}.md", content=page)]
    return generated + [File.generated(config, name, content=data) for name, data in outputs.items()]
