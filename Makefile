# Everything from a fresh clone with nothing but CPython (3.11 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# uv installs in seconds, and takes the same torch wheels on every machine. Where it is missing it comes from PyPI.
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format docs dist clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## make the environment .venv with the tested versions

demo: $(VENV)/.installed ## PSLA on built-in sound scenes: about three minutes on two CPU cores, offline
	$(BIN)/python scripts/demo.py

test: $(VENV)/.installed ## all tests: offline, on the CPU
	$(BIN)/python -m pytest

lint: $(VENV)/.installed ## ruff, mypy, and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed ## let ruff put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed ## the documentation as a site in site/: links, anchors and pages are checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

dist: $(VENV)/.installed ## wheel and sdist in dist/, the wheel tried in a fresh environment, the sdist tested
	UV=$(UV) PYTHON=$(abspath $(BIN)/python) bash tests/packaging/try_dist.sh

clean: ## remove the environment, caches, runs and what was built
	rm -rf $(VENV) .uv runs build dist site src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.installed: pyproject.toml constraints.txt $(filter .uv/%,$(UV))
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip install --python $(BIN)/python --constraint constraints.txt --editable ".[dev,docs,imagenet]"
	@touch $@
