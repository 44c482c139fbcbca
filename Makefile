# Every target does its own set-up: a machine with python3 and make is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PHOTOS ?= 24
JOBS ?= 2
QUICK := tests/pipeline tests/planning tests/workspace tests/photos tests/display tests/machine \
  tests/remote/queue/test_job_state.py tests/remote/queue/test_job_spec.py \
  tests/remote/worker/test_checkpoints.py

.PHONY: demo test quick lint format docs bench faults package viewer clean help

help:            ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

demo: $(VENV)/.run        ## make a demo photo set and reconstruct it
	$(BIN)/insaat demo -o demo --photos $(PHOTOS)

test: $(VENV)/.dev        ## all tests, in JOBS processes
	$(BIN)/python -m pytest -n $(JOBS)

quick: $(VENV)/.dev       ## the tests that take seconds: with another Python, say
	$(BIN)/python -m pytest -n $(JOBS) $(QUICK)

lint: $(VENV)/.dev        ## formatting, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

format: $(VENV)/.dev      ## put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.run        ## write docs/parameters.md again
	$(BIN)/python docs/write_parameters.py

bench: $(VENV)/.bench     ## time, memory and accuracy on the benchmark sets
	$(BIN)/python benchmarks/reconstruct.py --json bench-out/reconstruct.json

faults: $(VENV)/.dev      ## the long fault tests
	$(BIN)/python -m pytest tests/faults tests/faults_remote tests/remote tests/planning/test_memory_advice.py --run-long

package: $(VENV)/.dev     ## the wheel, in dist/
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

viewer: web/node_modules/.package-lock.json   ## build the viewer page again (needs node)
	cd web && node build.mjs

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --no-fund --no-audit

clean:           ## remove everything that was made here
	rm -rf $(VENV) web/node_modules build dist demo demo-photos bench-out test-artifacts .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "insaat needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "python3 has no venv module; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

# -e: a checkout runs what its files say, and a change needs no second install.
$(VENV)/.run: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	@touch $(VENV)/.run $@

$(VENV)/.bench: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $(VENV)/.run $@
