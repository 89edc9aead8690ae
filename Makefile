# make demo   render videos, build them into documents, train on them, look at the result (a few minutes on 2 cores)
# make test   the whole suite
# make check  what CI runs: the suite, ruff, mypy
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Cleared (make CONSTRAINTS=) pip chooses the newest torch, with CUDA.
CONSTRAINTS ?= -c constraints.txt

.PHONY: demo test lint check clean help
help:
	@sed -n 's/^# //p' Makefile | head -3

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet $(CONSTRAINTS) -e '.[all,dev]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/python pipelines/demo.py

test: $(VENV)/installed
	HF_HUB_OFFLINE=1 $(BIN)/pytest -n 2 -m 'not ray and not processes'
	HF_HUB_OFFLINE=1 $(BIN)/pytest -m 'ray or processes'

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: test lint

clean:
	rm -rf $(VENV) demo builds dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
