# Everything from a fresh clone with nothing but CPython (3.11 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# uv installs in seconds, and takes the same torch wheels on every machine. Where it is missing it comes from PyPI.
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)

.DEFAULT_GOAL := help
.PHONY: help install demo test benchmarks-quick fuzz test-transformers test-newest test-oldest lint format docs dist clean

# transformers' common tests come with its sdist, its example of audio classification from its repository.
TRANSFORMERS := $(shell sed -n 's/^transformers==//p' constraints.txt)
SOURCE := build/transformers-$(TRANSFORMERS)
EXAMPLE := https://raw.githubusercontent.com/huggingface/transformers/v$(TRANSFORMERS)/examples/pytorch/audio-classification/run_audio_classification.py

# What runs with other versions than the tested ones: models, inference, labels and one tiny training.
CORE := tests/models tests/inference tests/labels tests/test_audio.py tests/training/test_assembly.py tests/training/test_training.py

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## make the environment .venv with the tested versions

demo: $(VENV)/.installed ## PSLA's letters on built-in sound scenes, three seeds: about five minutes on two CPU cores, offline
	$(BIN)/python scripts/demo.py

test: $(VENV)/.installed ## all tests: offline, on the CPU, in two processes
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

benchmarks-quick: $(VENV)/.installed ## the benchmarks in small, those that need no data: about ten minutes on an idle machine
	$(BIN)/python -m benchmarks.run quick --output-dir build/benchmarks

fuzz: $(VENV)/.installed ## damaged files of every kind for MINUTES=10, as SEED=0 draws them
	FUZZ_MINUTES=$(or $(MINUTES),10) $(BIN)/python -m pytest tests/test_fuzz.py --hypothesis-seed=$(or $(SEED),0)

test-transformers: $(SOURCE)/PKG-INFO ## transformers' own tests for our classes, and its example: slow
	$(UV) venv --quiet --allow-existing --python $(PYTHON) build/transformers
	$(UV) pip install --quiet --python build/transformers/bin/python --constraint constraints.txt --editable ".[dev]" parameterized torchcodec
	TRANSFORMERS_SOURCE=$(abspath $(SOURCE)) build/transformers/bin/python -m pytest tests/upstream

test-newest: $(filter .uv/%,$(UV)) ## the core of the tests with the newest release of everything
	$(UV) venv --quiet --clear --python $(PYTHON) build/newest
	$(UV) pip install --quiet --upgrade --python build/newest/bin/python --editable ".[dev,imagenet]"
	$(UV) pip uninstall --quiet --python build/newest/bin/python torchaudio # its last release breaks beside the newest torch
	build/newest/bin/python -m pytest $(CORE)

test-oldest: $(filter .uv/%,$(UV)) ## the core of the tests with the oldest release of everything that pyproject.toml allows
	$(UV) venv --quiet --clear --python $(PYTHON) build/oldest
	$(UV) pip install --quiet --resolution lowest-direct --python build/oldest/bin/python --editable ".[dev,imagenet]"
	build/oldest/bin/python -m pytest $(CORE)
	$(UV) pip install --quiet --resolution lowest-direct --python build/oldest/bin/python --editable ".[dev,onnx,openvino]"
	build/oldest/bin/python -m pytest tests/models/test_export.py

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

$(SOURCE)/PKG-INFO: $(filter .uv/%,$(UV))
	mkdir -p build
	$(UV) tool run --quiet pip download --quiet --no-deps --no-binary :all: --dest build transformers==$(TRANSFORMERS)
	tar --extract --gzip --touch --file build/transformers-$(TRANSFORMERS).tar.gz --directory build
	touch $(SOURCE)/tests/__init__.py
	curl --fail --silent --show-error --location --output $(SOURCE)/run_audio_classification.py $(EXAMPLE) || true

$(VENV)/.installed: pyproject.toml constraints.txt $(filter .uv/%,$(UV))
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip install --python $(BIN)/python --compile-bytecode --constraint constraints.txt --editable ".[dev,docs,imagenet]"
	@touch $@
