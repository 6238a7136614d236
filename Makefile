# make demo   the whole way on a CPU: train three arms, score them, write a report
# make test   the test suite; `make test-slow` adds simulations and large inputs
# make lint   ruff, mypy, import-linter
# make bench  detection quality and speed
#
# Each makes .venv if it is missing. On a machine without a GPU, TORCH_INDEX=https://download.pytorch.org/whl/cpu
# saves the download of CUDA libraries.

PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := tests/constraints-axolotl-0.19.txt
READY := $(VENV)/.ready

.PHONY: install demo test test-slow lint bench clean

$(READY): pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c $(CONSTRAINTS) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	$(BIN)/python -m pip install -q -c $(CONSTRAINTS) -e '.[axolotl,lm-eval,dev]'
	touch $(READY)

install: $(READY)

demo: $(READY)
	$(BIN)/python example_configs/demo.py

test: $(READY)
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python tests/benchmarks/detection.py
	$(BIN)/python tests/benchmarks/speed.py

clean:
	rm -rf $(VENV) build dist demo-output
