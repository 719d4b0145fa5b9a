# make course · make test · make lab: each sets up .venv first, which takes minutes once and nothing afterwards.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NOTEBOOKS := notebooks
BOOK := build/book
# Gigabytes of disk that setting up takes at its worst: the packages, what is downloaded of them, and pip's cache of that.
FREE := 12

.PHONY: help course lab book test test-colab test-widgets pictures slides

help:
	@echo "make course   execute every notebook in order; executed copies and results go to build/"
	@echo "make lab      open the course in JupyterLab"
	@echo "make book     the course as a web site, build/book/, from the stored results: nothing is executed"
	@echo "make test     lint, unit tests, and every notebook at its smallest size"
	@echo "make test-colab   the widgets' tests with the versions of the widget layer that Colab has"
	@echo "make slides   slides of every chapter, and student and instructor versions: notebooks/teaching/README.md"
	@echo "make pictures     the pictures of the mask editor in README.md, taken in a browser"
	@echo
	@echo "PYTHON=/path/to/python3       the Python (3.11 or newer) that .venv is made from"
	@echo "MASKGAN_DATA=/path/to/...     CelebAMask-HQ (folder or zip) instead of the embedded faces"
	@echo "MASKGAN_PRESET=name           smoke, laptop, laptop-long, colab or paper instead of the one that fits the machine"
	@echo "REPOSITORY=owner/name         make book: the project on GitHub whose chapters the book opens on Colab"

course: $(STAMP)
	@$(BIN)/python -m maskgan_lib course

lab: $(STAMP)
	@$(BIN)/jupyter lab $(NOTEBOOKS)/00_start_here.ipynb

book: $(STAMP)
	@echo '$(REPOSITORY)' | grep -Eqx '([A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+)?' || { \
	  echo "REPOSITORY is the owner/name of a project on GitHub, not '$(REPOSITORY)'."; exit 1; }
	@$(BIN)/python -m sphinx -q -c $(NOTEBOOKS)/book -d $(BOOK)/.doctrees $(NOTEBOOKS) $(BOOK)
	@echo "The book: $(BOOK)/index.html"

# One pytest run for everything, so that its closing line counts everything. Its own preset and build folder: a test
# must neither train for long nor touch what a reader has trained. MASKGAN_DATA is dropped: tests use embedded faces.
test: $(STAMP)
	@$(BIN)/ruff check .
	@env -u MASKGAN_DATA MASKGAN_PRESET=smoke MASKGAN_BUILD=build/test MASKGAN_PLAIN_PROGRESS=1 \
	  $(BIN)/python -m pytest tests $(NOTEBOOKS) --nbval-lax --nbval-current-env --nbval-cell-timeout=360

# An environment of its own. pip reads PIP_CONSTRAINT: what Colab pins is installed in that version, the rest as it comes.
test-colab:
	@PIP_CONSTRAINT=tests/colab/constraints.txt $(MAKE) --no-print-directory VENV=build/venv-colab test-widgets

test-widgets: $(STAMP)
	@env -u MASKGAN_DATA MASKGAN_PRESET=smoke MASKGAN_BUILD=build/test MASKGAN_PLAIN_PROGRESS=1 \
	  $(BIN)/python -m pytest tests/colab tests/test_editor_*.py tests/test_survey.py \
	  tests/browser/test_editor_view.py tests/browser/test_survey_view.py

pictures: $(STAMP)
	@$(BIN)/python tests/browser/pictures.py

# With npm the slides need no net; without it they load reveal.js and MathJax from unpkg.com when they are opened.
slides: $(STAMP)
	@if command -v npm >/dev/null; then \
	  npm install --loglevel=error --no-audit --no-fund --prefix build/teaching/slides reveal.js@5 mathjax@3; \
	  else echo "There is no npm here: the slides will need the net when they are opened."; fi
	@env -u MASKGAN_BUILD $(BIN)/python -m maskgan_lib teach --slides

# Made again when a requirement changes. The stamp is written last: an interrupted installation is taken up again.
$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no '$(PYTHON)' here. Install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$$($(PYTHON) --version) is too old: the course needs 3.11 or newer. Name one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@echo "Setting up $(VENV): the first time this downloads PyTorch, up to about 3 GB."
	@free=$$(df -Pk . | awk 'NR == 2 {print int($$4 / 1000000)}'); test "$$free" -ge $(FREE) || \
	  echo "Only $$free GB of this disk are free: if 'No space left on device' follows, free about $(FREE) GB and repeat."
	@test -x $(BIN)/python || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps -e .
	@touch $(STAMP)
