# MaimConfig. `make` alone lists the targets. Needs python3 (3.10 or newer) with venv, and make.

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help serve test lint check bench

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  ARGS=... is passed on: make test ARGS='-k tenants'"

serve: $(VENV)/.installed ## Install into .venv where needed, and run the service
	@exec $(BIN)/maimconfig serve $(ARGS)

test: $(VENV)/.installed-dev ## Run the tests on SQLite and MariaDB
	$(BIN)/python -m pytest -n auto $(ARGS)

lint: $(VENV)/.installed-dev ## Look at the code without running it: ruff, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint ## All that must be right before a commit: ruff, mypy, tests, coverage
	$(BIN)/python -m pytest -n auto --cov --cov-report=term $(ARGS)

bench: $(VENV)/.installed-dev ## Measure the service beside a bare Flask application (needs wrk)
	$(BIN)/python -m benchmarks.control_plane $(ARGS)

# The stamps make a second start quick: pip runs again only when the dependencies may have changed.
$(VENV)/.installed: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing MaimConfig into $(VENV)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing MaimConfig and what its tests need into $(VENV)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed

# What venv leaves behind when it fails would pass for an environment next time.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.11")'
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }
