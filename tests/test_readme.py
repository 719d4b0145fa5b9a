"""Writing between two marks of a text file."""

import pytest

from maskgan_lib.course.readme import write_between
from maskgan_lib.data.errors import DataError

BEGIN, END = "<!-- b -->", "<!-- end of b -->"


def test_only_what_is_between_the_marks_changes(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"vor é\n{BEGIN}\nold\n{END}\nafter", encoding="utf-8")
    for text in ("new\nlines\n\n", "", "ü"):
        write_between(path, BEGIN, END, text)
        assert path.read_text(encoding="utf-8") == f"vor é\n{BEGIN}\n{text.strip()}\n{END}\nafter"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", BEGIN, f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}", f"{BEGIN} {END} {END}"])
def test_a_file_without_the_marks_is_left_alone(tmp_path, content):
    path = tmp_path / "README.md"
    path.write_text(content)
    with pytest.raises(DataError, match=r"README\.md.*<!-- b -->.*<!-- end of b -->"):
        write_between(path, BEGIN, END, "text")
    assert path.read_text() == content
