# Everything from a fresh clone: `make demo`, `make test`. Each sets up .venv by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-slow lint format setup clean

demo: $(READY)  ## the method on synthetic users, with its controls: a few minutes on two cores
	$(BIN)/plus demo

test: $(READY)  ## the fast tests, at most ten minutes on two cores
	$(BIN)/python -m pytest -n 2

test-slow: $(READY)  ## the rest: learning over seeds, crashes, full runs
	$(BIN)/python -m pytest -m slow -n 2

lint: $(READY)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "plus needs Python 3.11 or newer, found $$($(PYTHON) --version); run make PYTHON=/path/to/python3.11 demo"; exit 1; }
	@echo "setting up $(VENV): a minute or two, once"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,embed-offline,test,dev]"
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
