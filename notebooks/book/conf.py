"""What Sphinx needs to make the book of the stored notebooks (`make book`)."""

import os
import re
from functools import partial

project = "MaskGAN from the ground up"
html_title = project
author = ""
html_show_copyright = False
extensions = ["myst_nb", "sphinxcontrib.bibtex", "sphinx-mathjax-offline"]
exclude_patterns = ["solutions"]
bibtex_bibfiles = ["../references.bib"]

nb_execution_mode = "off"
nb_output_stderr = "remove"  # progress bars
nb_render_markdown_format = "myst"  # with tables
myst_enable_extensions = ["amsmath", "dollarmath", "substitution"]
myst_heading_anchors = 4
# The anchors of Jupyter, which the notebooks' links use.
myst_heading_slug_func = partial(re.sub, " ", "-")

html_theme = "sphinx_book_theme"
html_static_path = ["book.css"]
html_css_files = ["book.css"]
html_copy_source = False
html_theme_options = {
    "navbar_persistent": [],  # the search field is in the side bar already
    "use_download_button": False,
    "path_to_docs": "notebooks",
    "repository_branch": "main",
}

colab = (
    "No chapter links to Colab here: `make book REPOSITORY=owner/name` adds"
    " links to a project on GitHub."
)
repository = os.environ.get("REPOSITORY", "")
if repository:
    address = f"https://github.com/{repository}"
    html_theme_options |= {
        "repository_url": address,
        "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    }
    colab = (
        "The rocket above a chapter opens it on Colab, where its first cell"
        f" asks for this address: <{address}>"
    )
myst_substitutions = {"colab": colab}
