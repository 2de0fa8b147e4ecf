# make lab    open the course in JupyterLab
# make check  run what is quick: format, lint, types, imports, the tests not marked slow
# make test   run everything: format, lint, types, imports, unit tests, notebooks
#
# All make .venv and install into it the first time, and again only when
# requirements.txt, pyproject.toml or this file changed.

PYTHON ?= python3
LAB_ARGS ?=
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
# Two workers, each on one core; a file of tests stays on one of them (tests/conftest.py).
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help lab check test lint requirements clean

help:
	@sed -n 's/^# make/make/p' Makefile

$(INSTALLED): requirements.txt pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "posenb needs Python 3.11 or newer, found: $$($(PYTHON) --version 2>&1)."; \
	  echo "Name another one, for example: make $(or $(MAKECMDGOALS),lab) PYTHON=python3.12"; \
	  exit 1; }
	@echo "Installing into $(VENV) (once, a few minutes) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@# setuptools, the build backend, is pinned in requirements.txt: nothing is fetched here
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@# a lecture room has no network: do not ask for JupyterLab's news
	@$(BIN)/jupyter labextension disable --level=sys_prefix \
	  "@jupyterlab/apputils-extension:announcements" >/dev/null 2>&1
	@touch $@

lab: $(INSTALLED)
	$(BIN)/jupyter lab --ServerApp.root_dir="$(CURDIR)" \
	  --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(LAB_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A test that takes long here should say so: @pytest.mark.slow.
check: lint
	$(PYTEST) -m "not slow" --timeout 60 $(PYTEST_ARGS)

test: lint
	$(PYTEST) $(PYTEST_ARGS)

# Needs uv, which is not among the requirements: only whoever changes a version runs this.
requirements:
	uv pip compile --universal --python-version 3.11 --fork-strategy fewest --all-extras \
	  --output-file requirements.txt pyproject.toml

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
