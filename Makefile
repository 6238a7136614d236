# make demo   the whole way on a CPU: train three arms, score them, write a report
# make test   the test suite; `make test-slow` adds simulations and large inputs
# make test-lm-eval-0.4.13, make test-axolotl-0.21   the same beside other versions, each in a venv of its own
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

PYTHON312 ?= python3.12

.PHONY: install demo test test-slow test-lm-eval-0.4.13 test-axolotl-0.21 lint bench clean

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

.venv-lm-eval-0.4.13/.ready: pyproject.toml
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install -q $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch==2.13.0
	$(@D)/bin/python -m pip install -q -e . 'lm_eval[hf]==0.4.13' pytest hypothesis
	touch $@

test-lm-eval-0.4.13: .venv-lm-eval-0.4.13/.ready
	$(<D)/bin/python -m pytest -m "not slow" tests/tasks

.venv-axolotl-0.21/.ready: pyproject.toml
	test -x $(@D)/bin/python || $(PYTHON312) -m venv $(@D)
	$(@D)/bin/python -m pip install -q -e '.[dev]' axolotl==0.21.0
	touch $@

test-axolotl-0.21: .venv-axolotl-0.21/.ready
	$(<D)/bin/python -m pytest -m "not slow" tests/integration

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
