"""Slides from a notebook, for reveal.js: short pages of its prose, each figure on one of its own, code folded."""

import re
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter
from nbformat import v4

from maskgan_lib.course.chapter import NOTEBOOKS

WORDS = 75
"""A page ends after the paragraph with which it has so many words."""
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
    """The notebook cut into pages: a slide for each ``##``, below it one for each ``###``, each long text, each figure.

    A cell without a figure stays on the page of the text before it. Setup and imports are left out.
    """
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cells += [_typed(v4.new_markdown_cell(text), kind) for text, kind in _texts(cell.source)]
        elif cell.id not in ("setup", "imports"):
            figure = any("image/png" in output.get("data", {}) for output in cell.outputs)
            cells.append(_typed(cell.copy(), "subslide" if figure else "-"))
    return v4.new_notebook(metadata=notebook.metadata, cells=cells)


def _typed(cell: nbformat.NotebookNode, kind: str) -> nbformat.NotebookNode:
    cell.metadata = nbformat.from_dict({"slideshow": {"slide_type": kind}})
    return cell


def _texts(source: str) -> list[tuple[str, str]]:
    """The pages of a Markdown cell, each with its type of slide."""
    found = []
    for part in re.split(r"^(?=##+ )", source, flags=re.MULTILINE):
        kind = "slide" if re.match("##? ", part) else "subslide"
        page: list[str] = []
        for paragraph in filter(str.strip, re.split(r"\n{2,}", part)):
            if len(" ".join([*page, paragraph]).split()) > WORDS and any(not p.startswith("#") for p in page):
                found.append(("\n\n".join(page), kind))
                page, kind = [], "subslide"
            page.append(paragraph)
        if page:
            found.append(("\n\n".join(page), kind))
    return found
