# Every command of the project. `make` lists them; each sets up first what it needs.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
PACKAGES := domain activities workflows infra api workers
DEMO_ARGS ?=
RUN_ARGS ?=
BENCH_ARGS ?=
PYTEST_ARGS ?= -n 2 --dist loadfile

.PHONY: help setup demo run test check lint types imports replay search bench clean distclean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv from the hash-pinned requirements (at once when they have not changed)
	@$(PYTHON) infra/local/bootstrap.py

demo: setup ## start everything, play real purchases, prove the books, stop everything
	@$(BIN)/clearhold demo $(DEMO_ARGS)

run: setup ## start everything and stay; data is kept in .clearhold/
	@$(BIN)/clearhold up $(RUN_ARGS)

test: setup lint types imports ## the checks and the whole test suite, on servers of its own
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: setup lint types imports ## lint, formatting, types, import rules, and the checks of the repository itself
	@$(BIN)/python -m pytest -q tests/architecture

lint: setup
	@echo "ruff …" && $(BIN)/ruff check && $(BIN)/ruff format --check

types: setup
	@echo "mypy --strict … (half a minute the first time)" && $(BIN)/mypy --strict

imports: setup
	@echo "import rules …" && $(BIN)/lint-imports

search: setup ## look for new counterexamples of the properties, at random and for long
	@HYPOTHESIS_PROFILE=search $(BIN)/python -m pytest -q $(SEARCH_ARGS) tests/unit

replay: setup ## replay the recorded histories, and the newest of a stack that runs, against the workflows as they are
	@$(BIN)/python -m workers.replay tests/replay/histories

bench: setup ## measure payments, ledger and references side by side
	@$(BIN)/clearhold bench $(BENCH_ARGS)

clean: ## delete .clearhold (all local data) and the caches within this folder
	@$(PYTHON) infra/local/clean.py

distclean: clean ## the same, and .venv
	@rm -rf .venv
