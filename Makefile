# Everything runs in .venv, which is made when it is missing or older than what it is made from.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
STAMP := $(VENV)/.installed
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n : 4)))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-all lint bench bench-logic weights format clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(STAMP)  ## compile a trained network; accuracy, exactness and latency of the result (one minute)
	$(BIN)/python -m examples.demo

test: lint  ## everything that CI runs: style, types, tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(JOBS) --dist worksteal -m 'not gpu and not slow'

test-all: lint  ## and what takes minutes or a GPU
	$(BIN)/pytest -q

lint: $(STAMP)  ## style and types alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)  ## latency beside ONNX Runtime, in int8 and in blocks; what transforms gain (ten minutes)
	$(BIN)/python -m tests.bench_cpu
	$(BIN)/python -m tests.bench_blocks
	$(BIN)/python -m tests.bench_quant

bench-logic: $(STAMP)  ## a trained network of 48,000 gates, from DATA=FOLDER (one minute)
	$(BIN)/python -m tests.bench_logic $(DATA)

weights: $(STAMP)  ## train the examples again
	$(BIN)/python -m examples.train

format: $(STAMP)  ## let ruff write
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what was built, the environment too
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch first and by its exact version: a range would let a newer build in, with gigabytes for GPUs.
$(STAMP): pyproject.toml constraints.txt
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo \
		"EdgeGate needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11" >&2; exit 6; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -qq -c constraints.txt torch==2.13.0
	$(PIP) install -qq -c constraints.txt -e '.[compile,dev]'
	@touch $@
