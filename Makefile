# Two commands need nothing but Python 3.11 or newer: `make demo` runs the day, `make test` runs every check.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUN_STAMP := build/.installed-run
DEV_STAMP := build/.installed-dev
TYPING := build/typing/tallystick

.PHONY: demo test bench chaos check lint types imports unit format lock clean

demo: $(RUN_STAMP)
	$(BIN)/tallystick demo --day almost-working

test: lint types imports unit

bench: $(DEV_STAMP)
	$(BIN)/python -m benchmarks

# Two thousand drawn days, several at a time; stops at the first broken law and says how to see it again.
chaos: $(RUN_STAMP)
	$(BIN)/tallystick chaos --days 2000 --seed 1

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_STAMP) $(TYPING)
	$(BIN)/mypy

imports: $(DEV_STAMP)
	$(BIN)/lint-imports

unit: $(DEV_STAMP)
	$(BIN)/python -m pytest

format: $(DEV_STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The folder src is the package; a link under its import name lets the type checker see the tests' imports.
$(TYPING):
	mkdir -p build/typing
	ln -sfn ../../src $(TYPING)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "tallystick needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "python -m venv failed; on Debian: apt install python3-venv" >&2; rm -rf $(VENV); exit 1; }

$(RUN_STAMP): $(BIN)/python requirements.lock pyproject.toml
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@mkdir -p build && touch $@

$(DEV_STAMP): $(BIN)/python requirements-dev.lock pyproject.toml
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@mkdir -p build && touch $@ $(RUN_STAMP)

# Needs uv; writes no index addresses into the locks.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra build pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra build --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf build .venv *.egg-info .mypy_cache .ruff_cache .pytest_cache
