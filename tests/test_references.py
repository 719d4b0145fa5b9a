"""The bibliography: it holds what the course links and nothing else, and every chapter says what to read next."""

import re

import nbformat
import pytest

from maskgan_lib.course.chapter import NOTEBOOKS

LINK = re.compile(r"\]\((https://[^)\s]+)\)")
PROSE = {
    path.stem: {c.id: c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown"}
    for path in sorted(NOTEBOOKS.glob("*.ipynb"))
}


def test_every_paper_that_is_linked_is_an_entry_and_every_entry_is_linked():
    text = (NOTEBOOKS / "references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{(\w+),$", text, re.MULTILINE)
    addresses = re.findall(r"^  url = \{(.+)\}$", text, re.MULTILINE)
    assert len(set(keys)) == len(keys) == len(addresses) == len(set(addresses)) == text.count("\n@")
    linked = {address for cells in PROSE.values() for source in cells.values() for address in LINK.findall(source)}
    assert linked - {"https://colab.research.google.com/"} == set(addresses)


@pytest.mark.parametrize("chapter", PROSE)
def test_every_chapter_ends_with_two_to_five_papers_to_read(chapter):
    assert 2 <= len(set(LINK.findall(PROSE[chapter]["further-reading"]))) <= 5
