# Two commands do everything on a fresh machine: `make demo` and `make test`. Python 3.11 or newer is all they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

unexport PYTHONDONTWRITEBYTECODE # hundreds of tests start the command: compile it once
PYTEST := $(BIN)/python -m pytest
PARALLEL := -n auto --dist worksteal

.PHONY: demo test test-all test-pythons everyday torture portable mutants faults takeover lint types check bench evaluate lock clean
.DEFAULT_GOAL := check

$(VENV)/run.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "licsync needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name one: make PYTHON=python3.12 demo")'
	@test -x $(BIN)/python || { echo 'Creating the virtual environment $(VENV) ...'; $(PYTHON) -m venv $(VENV); }
	@echo 'Installing licsync-daemon and what it needs into $(VENV), once; this takes up to a minute ...'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/test.stamp
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --group dev
	@touch $@

demo: $(VENV)/run.stamp ## a practice fleet on loopback, synced twice and shown
	@$(BIN)/licsync-daemon demo
	@echo
	@echo 'To type licsync-daemon without its folder, in this terminal: export PATH="$(CURDIR)/$(BIN):$$PATH"'

test: everyday ## everything needed to trust a clone
	@echo 'Not run: tests/faults, tests/simulations, tests/torture and tests/system (misbehaving servers, a simulated year, kills and races by the thousand, machines with systemd, the image). Run them with: make test-all'

test-all: everyday torture ## every test

everyday: $(VENV)/dev.stamp
	$(PYTEST) $(PARALLEL) tests/unit tests/properties tests/contract tests/integration tests/acceptance

torture: $(VENV)/dev.stamp
	$(PYTEST) tests/faults tests/simulations tests/torture tests/system

test-pythons: ## the unit and contract tests on every Python from 3.11 that this machine has
	.ci/test-pythons

$(VENV)/test.stamp: $(VENV)/run.stamp
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --group test
	@touch $@

portable: $(VENV)/test.stamp
	$(PYTEST) -p no:cacheprovider $(PARALLEL) tests/unit tests/contract

mutants: $(VENV)/dev.stamp ## small deliberate faults, each of which the tests named for it must catch; only some: make mutants WORDS=guard
	$(BIN)/python -m tests.mutants $(WORDS)

faults: $(VENV)/dev.stamp ## servers that misbehave, exceptions injected, flipped bits, broken streams; some servers: make faults WORDS=upload
	$(BIN)/python -m tests.faults $(WORDS)

takeover: $(VENV)/dev.stamp ## how long until another daemon leads, against a PostgreSQL of its own; more rounds: make takeover ROUNDS=20
	$(BIN)/python -m tests.torture.takeover $(ROUNDS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

check: lint types test ## what must be green before a commit

bench: $(VENV)/dev.stamp ## print the figures that the documentation quotes
	$(BIN)/python -m benchmarks

evaluate: $(VENV)/dev.stamp ## judge likely duplicates by fleet folders with a truth: make evaluate FLEETS='DIR...'; NAMES=1 gives accounts names
	$(BIN)/python -m benchmarks.evaluate $(FLEETS)

clean:
	rm -rf $(VENV) .venv-3.* .pytest_cache .mypy_cache .ruff_cache .hypothesis

lock: $(VENV)/dev.stamp ## renew the locked versions of the container (needs: pip install uv)
	uv pip compile -q --generate-hashes --no-emit-index-url --no-annotate --universal --python-version 3.11 \
	  --custom-compile-command 'make lock' --extra postgresql pyproject.toml -o requirements.lock
	printf 'hatchling>=1.27\npip>=25.1\n' | uv pip compile -q --generate-hashes --no-emit-index-url --no-annotate --universal \
	  --python-version 3.11 --custom-compile-command 'make lock' - -o requirements-build.lock
