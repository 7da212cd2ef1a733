# Every target sets up what it needs. PYTHON chooses the interpreter of a new environment.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SOURCES := pyproject.toml kernel/pyproject.toml $(wildcard plugins/*/pyproject.toml)
# Over one worker for each processor; a module stays whole, with the servers that it has started.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile

.PHONY: help serve test coverage test-slow check format bench bench-load docs clean

help:
	@echo "make serve      run the server on embedded defaults: SQLite, a demo model, no key"
	@echo "make test       run the tests"
	@echo "make coverage   run the tests, and see what of the code they reach: takes half as long again"
	@echo "make test-slow  run the slow ones: empty environments, long streams, fuzzing, a browser"
	@echo "make check      lint, formatting, types, import rules, the architecture's tests, known weaknesses, documentation"
	@echo "make bench      measure, side by side, in one run"
	@echo "make bench-load  ten minutes of everything at the same time: memory, latency, errors"
	@echo "make docs       build the documentation into docs/_build"
	@echo "make format     put the sources in form"
	@echo "make clean      remove what the other targets made"

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# `--inexact` leaves alone what is there: node packs that were installed by hand, and uv itself.
$(VENV)/.serve: $(BIN)/uv $(SOURCES)
	$(BIN)/uv sync --quiet --inexact --no-dev
	@touch $@

$(VENV)/.dev: $(BIN)/uv $(SOURCES)
	$(BIN)/uv sync --quiet --inexact
	@touch $@

serve: $(VENV)/.serve
	@$(BIN)/tavernkeep serve

test: $(VENV)/.dev
	$(PYTEST) -m "not slow"

coverage: $(VENV)/.dev
	$(PYTEST) -m "not slow" --cov --cov-report=term --cov-report=xml

test-slow: $(VENV)/.dev  # they want more than Python: apt-get install chromium nginx systemd
	$(PYTEST) -m slow

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest --quiet tests/architecture
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive kernel plugins
	.ci/audit
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/engine.py
	PYTHONPATH=tests $(BIN)/python benchmarks/turns.py
	PYTHONPATH=tests $(BIN)/python benchmarks/server.py

bench-load: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python benchmarks/load.py

clean:
	rm -rf $(VENV) docs/_build docs/reference/generated .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov
	rm -f .coverage .coverage.* coverage.xml
