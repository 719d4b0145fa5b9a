"""Slides from a notebook, for reveal.js: short pages of its prose, each figure on one of its own, code folded."""

import re
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter
from nbformat import v4

from maskgan_lib.course.chapter import NOTEBOOKS

WORDS = 110
"""A page of more words is cut between two paragraphs, but not where a sentence goes on in a list or an equation."""
LINES = 18
"""So many lines of a class or a function, which are shown open, fit below half a page of words."""
CDN = "https://unpkg.com"
PACKAGES = {"reveal.js": "reveal.js@5", "mathjax": "mathjax@3"}


def write_slides(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write the slides of ``notebook`` as HTML.

    They open without the net where the npm packages reveal.js and mathjax lie in ``node_modules`` beside ``path``
    (``make slides`` puts them there); else they load both from unpkg.com.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    local = all((path.parent / "node_modules" / name).is_dir() for name in PACKAGES)
    urls = {name: f"node_modules/{name}" if local else f"{CDN}/{wanted}" for name, wanted in PACKAGES.items()}
    exporter = SlidesExporter(
        template_file=str(NOTEBOOKS / "teaching" / "slides.html.j2"),
        reveal_url_prefix=urls["reveal.js"],
        mathjax_url=f"{urls['mathjax']}/es5/tex-svg-full.js",
        reveal_theme="white",
        reveal_number="c/t",
    )
    html, _ = exporter.from_notebook_node(pages(notebook), {"metadata": {"name": path.stem}})
    path.write_text(html, encoding="utf-8")


def pages(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook cut into pages: a slide for each ``##``, below it one for each ``###`` and each long text.

    A figure, a table, a class and a function have pages of their own, but a short one of the last two may follow a
    short text; other cells stay below the text before them. Setup, imports and progress bars are left out.
    """
    cells, has_room = [], False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for text, kind in _texts(cell.source):
                attached = cell.get("attachments", {})
                cells.append(v4.new_markdown_cell(text, metadata=_slide(kind), attachments=attached))
                has_room = len(text.split()) <= WORDS // 2
        elif cell.id not in ("setup", "imports"):
            shown = [output for output in cell.outputs if output.get("name") != "stderr"]
            large = any({"image/png", "text/html", "text/markdown"} & output.get("data", {}).keys() for output in shown)
            fits = has_room and cell.source.count("\n") < LINES
            alone = large or (cell.source.startswith(("class ", "def ")) and not fits)
            kind, has_room = "subslide" if alone else "-", False
            cells.append(v4.new_code_cell(cell.source, metadata=_slide(kind), outputs=shown))
    return v4.new_notebook(metadata=notebook.metadata, cells=cells)


def _slide(kind: str) -> dict:
    return {"slideshow": {"slide_type": kind}}


def _texts(source: str) -> list[tuple[str, str]]:
    """The pages of a Markdown cell, each with its type of slide."""
    found = []
    for part in re.split(r"^(?=##+ )", source, flags=re.MULTILINE):
        kind = "slide" if re.match("##? ", part) else "subslide"
        page: list[str] = []
        for paragraph in filter(str.strip, re.split(r"\n{2,}", part)):
            full = len(" ".join([*page, paragraph]).split()) > WORDS
            if full and page[-1:] and page[-1].endswith((".", "!", "?", ")", "|", "*")) and page[-1][0] != "#":
                found.append(("\n\n".join(page), kind))
                page, kind = [], "subslide"
            page.append(paragraph)
        if page:
            found.append(("\n\n".join(page), kind))
    return found
