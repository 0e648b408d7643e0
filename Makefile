# Verbs of the house; CI runs the same ones. `make demo` and `make test` set everything up by themselves.
PYTHON ?= python3
KILLS ?= 500
PAIRS ?= 100
MUTANTS ?= 1000
SEED ?= 0
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-browser test-all torture check format docs results page bench bench-quick simulate clean

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"s4mi needs Python 3.11 to 3.13, this is {v[0]}.{v[1]}: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

demo: $(READY) ## compare techniques on drawn images and write a report (at most six minutes after set-up)
	$(BIN)/s4mi demo --out s4mi-demo

test: $(READY) ## the fast tests
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not long and not slow and not browser and not torture"

test-long: $(READY) ## the tests that `make test` leaves out because they train whole runs or kill them; CI runs both
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "long and not slow"

test-browser: $(READY) ## the page in Chromium; skipped, saying so, where that is not installed
	$(BIN)/python -m pytest -m browser -rs

test-all: $(READY) ## all tests, slow ones too
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not torture"

torture: $(READY) ## kill every command, start it twice, damage its inputs: make torture KILLS=500 PAIRS=100 MUTANTS=1000 SEED=0 (an hour, idle)
	KILLS=$(KILLS) PAIRS=$(PAIRS) MUTANTS=$(MUTANTS) SEED=$(SEED) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 -s -m torture tests/torture

check: $(READY) ## formatting, lint, strict types, import contracts, generated pages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(BIN)/python docs/results_page/results_page.py --check

format: $(READY) ## put the code in its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY) ## write docs/reference from the code
	$(BIN)/python docs/generate.py

results: $(READY) ## write docs/results.md from the records in results/
	$(BIN)/python docs/results_page/results_page.py

page: ## build the page of `s4mi view` from web/ into src/s4mi/viewer/static (needs Node.js 20.19 or later)
	cd web && npm ci --no-audit --no-fund && npm run build

bench: $(READY) ## time everything side by side with what a user would write instead, and write docs/benchmarks.md (two hours, idle)
	$(BIN)/python benchmarks/everything.py

bench-quick: $(READY) ## the same with small networks and few images, printed only
	$(BIN)/python benchmarks/everything.py --quick

simulate: $(READY) ## simulate the coverage of every interval and write docs/explanation/intervals.md (eight minutes of processor time, in two processes)
	$(BIN)/python benchmarks/simulate_intervals.py

clean: ## remove the environment and everything made by tools
	rm -rf $(VENV) s4mi-demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache src/*.egg-info
