# Everything happens in .venv; `make demo` and `make test` need only Python 3.11+ and a network for the first install.
PYTHON ?= python3
BIN := .venv/bin

# Tests start many processes that load the same modules: each is compiled once, at its first use, not in every process, and not when it is installed.
unexport PYTHONDONTWRITEBYTECODE
PIP_INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check --no-compile

.PHONY: demo test lint types unit fuzz docs evidence-set clean
.DEFAULT_GOAL := test

.venv/demo: pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP_INSTALL) -e '.[compile]'
	@touch $@

.venv/dev: pyproject.toml
	$(PYTHON) -m venv .venv
	# torch: the references run on the CPU; where pip finds a CUDA build first, set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU builds.
	$(PIP_INSTALL) -e '.[dev]' 'torch==2.13.0'
	@touch $@ .venv/demo

demo: .venv/demo
	$(BIN)/kg query --hw rtx5070 --op fmha --problem head_dim=64,causal=true --kind negative --status confirmed --param occupancy
	$(BIN)/tune --use-laws --no-write
	@echo; echo 'Next: $(BIN)/kg query --hw h200 --op fmha, and docs/tutorial.md'

# What needs one core each at once, then what takes both.
test: .venv/dev
	$(MAKE) -j 2 lint types
	$(MAKE) unit

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/kg check
	$(BIN)/kg fmt --check

types: .venv/dev
	$(BIN)/mypy

unit: .venv/dev
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n 2 --dist worksteal -m "not gpu"
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under=95

# Property tests on fresh random examples, damaged files of every kind among them; the other targets repeat the same ones.
# FUZZ=fuzz-briefly takes minutes, and is what a pull request waits for.
FUZZ ?= fuzz
fuzz: .venv/dev
	$(BIN)/pytest -n 2 -m "hypothesis and not gpu" --hypothesis-profile=$(FUZZ)

docs: .venv/dev
	$(BIN)/python -m spak.cli.reference > docs/cli.md.new
	mv docs/cli.md.new docs/cli.md

# Every timed run of fmha (forward and backward) and matmul on H100 and H200 as T4 files with a datasheet: docs/evidence-sets.md
evidence-set: .venv/dev
	$(BIN)/kg export --format t4 --set evidence-set --op fmha,fmha-backward,matmul --hw h100,h200 --licence 'Apache-2.0, as the repository they are from'

clean:
	rm -rf .venv .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .spak
