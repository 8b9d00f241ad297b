# `make demo` and `make test` do all of their own set-up: only make and Python 3.10 to 3.12 are needed beforehand
# (and, on Linux, a C compiler: see docs/dependencies.md). `make help` lists the targets.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UNFINISHED := $(VENV)/.unfinished

PYTHON ?=  # the Python that builds the environment; empty: the first suitable one of the list below
PYTHONS := $(or $(strip $(PYTHON)),python3.11 python3.12 python3.10 python3)
WORKERS ?= auto  # processes that `make test` shares the tests out to: auto is one for each core, 0 none
TESTS ?=  # what `make test` selects, for example TESTS="tests/image -k palette"; empty: everything but slow tests

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint docs gallery package browser format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP) ## build or update the environment in .venv (about 10 GB, some minutes the first time)

demo: $(STAMP) ## fit a small picture, edit it and write the results to demo/
	@$(BIN)/python -m gainer_bench demo --output demo

test: lint browser ## linters, type checker and all tests but the slow ones; TESTS="..." selects
	@echo "== pytest"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist worksteal $(TESTS)

lint: $(STAMP) ## ruff, pyright, import-linter and interrogate, changing nothing
	@echo "== ruff check"
	@$(BIN)/python -m ruff check
	@echo "== ruff format --check"
	@$(BIN)/python -m ruff format --check
	@echo "== pyright"
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/python -m pyright
	@echo "== lint-imports"
	@$(BIN)/lint-imports --no-cache
	@echo "== interrogate"
	@$(BIN)/interrogate gainer_ns gainer_bench

docs: $(STAMP) ## the documentation as a site, into site/; every warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet --clean --site-dir site
	@echo "Wrote site/index.html; to look at it: $(BIN)/python -m http.server --directory site"

gallery: $(STAMP) ## run the examples, the edit scripts and the notebook, and put their pictures to docs/ (some minutes)
	@$(BIN)/python -W ignore docs/scripts/figures.py docs/images
	@$(BIN)/python -W ignore docs/scripts/blender_figure.py docs/images/blender.webp > /dev/null
	@$(BIN)/python -W ignore -m gainer_bench gallery --output docs/images/gallery.png
	@$(BIN)/python -W ignore docs/scripts/gallery.py docs/images
	@$(BIN)/python -W ignore docs/scripts/notebook.py docs/tutorial.ipynb

package: $(STAMP) ## sdist, wheel and Blender extension, into dist/, the first two checked as PyPI checks them
	@rm -rf build dist
	@$(BIN)/python -m build --no-isolation --outdir dist > /dev/null
	@$(BIN)/python -m twine check --strict dist/*
	@cd integrations/blender && $(abspath $(BIN))/python -m zipfile -c ../../dist/gainer_blender.zip *.toml *.py

browser: ## Chromium for the tests of the viewer, where apt may install it
	@for name in chromium chromium-browser google-chrome; do command -v $$name > /dev/null && exit 0; done; \
	if command -v apt-get > /dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "Installing Chromium"; \
		{ export DEBIAN_FRONTEND=noninteractive; timeout 120 apt-get -qq update && timeout 300 apt-get -qq install -y --no-install-recommends chromium; } \
			> /dev/null 2>&1 || echo "note: apt could not install Chromium; the tests of the viewer are skipped"; \
	else echo "note: there is no Chromium; the tests of the viewer are skipped"; fi

format: $(STAMP) ## let ruff mend and format the code
	@$(BIN)/python -m ruff check --fix
	@$(BIN)/python -m ruff format

clean: ## remove caches, builds and demo/ (for the environment: rm -r .venv)
	@rm -rf build dist site demo *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +

# Two builds at once wait for each other where flock exists. An install that was cut off after it had begun to change
# site-packages leaves $(UNFINISHED) older than that folder, and the next one starts from an empty environment.
$(STAMP): pyproject.toml constraints.txt
	@exec 9< pyproject.toml; \
	if command -v flock > /dev/null; then flock 9; fi; \
	if [ $(STAMP) -nt pyproject.toml ] && [ $(STAMP) -nt constraints.txt ]; then exit 0; fi; \
	set -e; \
	if ! $(BIN)/python -m pip --version > /dev/null 2>&1 || { [ -e $(UNFINISHED) ] && \
			[ -n "$$(find $(VENV)/lib/python3*/site-packages -maxdepth 0 -newer $(UNFINISHED))" ]; }; then \
		found=; \
		for python in $(PYTHONS); do \
			if $$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2> /dev/null; then \
				found=$$python; break; \
			fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "error: no Python 3.10 to 3.12 among: $(PYTHONS). Name one: make PYTHON=/path/to/python" >&2; exit 1; \
		fi; \
		echo "Creating $(VENV) with $$($$found --version)"; \
		$$found -m venv --clear $(VENV) || { \
			echo "error: this Python cannot make virtual environments; on Debian and Ubuntu install python3-venv" >&2; exit 1; }; \
	fi; \
	echo "Installing into $(VENV): some minutes and about 10 GB the first time"; \
	touch $(UNFINISHED); \
	install="$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e"; \
	$$install ".[dev,docs,bench,sam,hf,onnx,matte,ray,heif]"; \
	$$install ".[blender]" || echo "note: Blender's Python module is not to be had here: its tests will skip" >&2; \
	rm $(UNFINISHED); \
	touch $(STAMP)
