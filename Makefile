# Everything anyone needs, CI included. Each target does its own set-up, on a machine with Python 3.11+ and make.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := requirements.lock
PIP := -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo test prove check bench format lock clean
.SUFFIXES:

help: ## say what each target does
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup: $(READY) ## build the environment that the other targets use

# The stamp is written last, and the environment is built anew without it: an interrupted set-up leaves no half one.
$(READY): pyproject.toml $(LOCK)
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "lorchestra needs Python 3.11 or newer, and $(if $(PYTHON),'$(PYTHON)' is not,none was found);" \
			"install one, or name it: make PYTHON=<path>" >&2; \
		exit 1; }
	@echo "setting up $(VENV)"
	@rm -f $(READY)
	@'$(PYTHON)' -m venv --clear $(VENV)
	@$(BIN)/python $(PIP) install --require-hashes --requirement $(LOCK)
	@$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## run the day of a made-up clinic, in lorchestra-demo/
	@$(BIN)/lorchestra demo
	@echo 'The command is in $(VENV). To use it yourself: . $(BIN)/activate'

test: $(READY) ## run the tests, with a sample of the kill loops and the coverage gate
	$(BIN)/python -m pytest -m 'not prove' --numprocesses=auto --dist=worksteal --cov=lorchestra

prove: $(READY) ## run the exhaustive kill and resume loops
	$(BIN)/python -m pytest -m prove --numprocesses=auto --dist=worksteal

check: $(READY) ## check format, lint, types, imports and docs
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/e2e/test_docs.py

bench: $(READY) ## run the benchmarks, each beside its baseline
	$(BIN)/python -m benchmarks

format: $(READY) ## format the code and mend what lint can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# One lock for Python 3.11 to 3.13, on Linux and macOS, with hashes and without addresses: each machine uses its own
# registry. uv is needed for this alone, so it lives in an environment of its own. UPGRADE=--upgrade takes newer releases.
lock: ## write requirements.lock anew from pyproject.toml
	@'$(PYTHON)' -m venv --clear .venv-lock
	@.venv-lock/bin/python $(PIP) install uv
	@.venv-lock/bin/uv pip compile pyproject.toml --extra dev --output-file $(LOCK) $(UPGRADE) \
		--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' --quiet
	@rm -rf .venv-lock

clean: ## remove the environment and all caches
	rm -rf $(VENV) .venv-lock .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage .coverage.*
