"""The book: every page is there with its outputs, every link within it leads somewhere, and nothing is fetched."""

import base64
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from test_project import make

from maskgan_lib.course.runner import find_notebooks

NOTEBOOKS = find_notebooks()


@pytest.fixture(scope="module")
def pages(book) -> dict[Path, BeautifulSoup]:
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in book.glob("*.html")}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request) -> Path:
    return request.param


@pytest.fixture
def page(notebook, book, pages) -> BeautifulSoup:
    return pages[book / f"{notebook.stem}.html"]


def outputs(notebook: Path) -> list[nbformat.NotebookNode]:
    """What the book has to show of a notebook's outputs."""
    cells = nbformat.read(notebook, as_version=4).cells
    return [
        o for cell in cells if "remove-output" not in cell.metadata.get("tags", []) for o in cell.get("outputs", [])
    ]


def test_every_link_and_picture_within_the_book_resolves_and_nothing_else_is_loaded(pages):
    anchors = {path: {tag["id"] for tag in page.find_all(id=True)} for path, page in pages.items()}
    for path, page in pages.items():
        for tag in page.find_all(["a", "img", "script", "link"]):
            address = urlsplit(tag.get("href") or tag.get("src") or "")
            if address.scheme in ("http", "https"):
                assert tag.name == "a", f"{path.name} loads {address.geturl()}"
            else:
                target = path.parent / unquote(address.path) if address.path else path
                assert target.exists(), f"{path.name}: {address.geturl()}"
                assert not address.fragment or address.fragment in anchors[target], f"{path.name}: {address.geturl()}"


def test_the_landing_page_leads_to_every_chapter_in_order_and_shows_the_editor(book, pages):
    landing = pages[book / "index.html"]
    expected = [f"{path.stem}.html" for path in NOTEBOOKS]
    for part in (".bd-sidebar-primary li a", "article td:first-child a"):
        assert [a["href"] for a in landing.select(part) if a["href"] in expected] == expected
    assert landing.select_one('article img[src$="editor.gif"]')
    assert pages[book / "06_mask_editor.html"].select_one('article img[src$="editor.png"]')


def test_pictures_and_texts_are_those_of_the_notebook(notebook, page, book):
    shown = outputs(notebook)
    stored = [o.data["image/png"] for o in shown if "image/png" in o.get("data", {})]
    pictures = [(book / img["src"]).read_bytes() for img in page.select(".cell_output img")]
    assert stored and pictures == [base64.b64decode(picture) for picture in stored]
    texts = [o.text.strip() for o in shown if o.output_type == "stream" and o.name == "stdout"]
    assert texts and [pre.get_text().strip() for pre in page.select(".cell_output .stream pre")] == texts


def test_tables_are_tables_and_widgets_are_not_shown_as_text(notebook, page):
    kinds = [set(o.data) for o in outputs(notebook) if "data" in o]
    tables = page.select(".cell_output table")
    assert len(tables) >= sum(bool({"text/html", "text/markdown"} & kind) for kind in kinds)
    assert all(table.select("th") for table in tables)
    for output in page.select(".cell_output"):
        text = output.get_text()
        assert not re.search(r"\| *-{3}", text), text[:400]
        assert not re.match(r"\s*[A-Z]\w+\((children|value)=", text), "tag the cell of this widget: remove-output"


def test_equations_are_set_by_mathjax(notebook, page):
    prose = [c.source for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == "markdown"]
    equations = sum(source.count("$$") for source in prose) / 2
    assert len(page.select("div.math")) == equations
    assert bool(page.select(".math")) == bool(page.select('script[src*="mathjax"]'))
    assert "$$" not in page.select_one("article").get_text()


def test_chapters_open_on_colab_if_the_project_has_an_address_and_only_then(pages, tmp_path):
    def on_colab(page: str) -> list[str]:
        return re.findall(r"https://colab\.research\.google\.com/github/[^\"]+", page)

    assert not any(on_colab(str(page)) for page in pages.values())
    made = make("book", "STAMP=", f"VENV={sys.prefix}", f"BOOK={tmp_path}", "REPOSITORY=owner/name")
    assert made.returncode == 0 and not made.stderr, made.stderr
    address = "https://colab.research.google.com/github/owner/name/blob/main/notebooks/"
    for path in NOTEBOOKS:
        assert on_colab((tmp_path / f"{path.stem}.html").read_text(encoding="utf-8")) == [address + path.name]
    assert "https://github.com/owner/name" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_an_address_that_is_no_owner_and_name_is_refused(tmp_path):
    refused = make("book", "STAMP=", f"VENV={sys.prefix}", f"BOOK={tmp_path}", "REPOSITORY=https://example.org/a")
    assert refused.returncode and "owner/name" in refused.stdout and not list(tmp_path.iterdir())
