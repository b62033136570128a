# Everything installs into .venv; nothing else on the machine is touched.
#   make run [PORT=8080] [DATA=./var]    set up and start
#   make test                            set up, lint, type-check, check layers, run every test
.DEFAULT_GOAL := help
.PHONY: help setup run test lint format check-tools bench-kernel crash fuzz replay lock clean

PYTHON ?= python3
PORT   ?= 8080
DATA   ?= ./var
# Two test processes: each has its own PostgreSQL server and, for the browser tests, its own Chromium.
WORKERS ?= 2
PYTEST_ARGS ?=

BIN     := .venv/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check
TOOLS   := chromium chromedriver hledger
APT     := apt-get install -y chromium chromium-driver fonts-noto-cjk hledger
UV      := 0.13

help:
	@sed -n 's/^#   //p' Makefile
	@echo "also: setup lint format bench-kernel crash fuzz replay lock clean"

# ---- set-up: runs again only when a lock (or the package's own metadata) has changed

setup: .venv/.dev-stamp

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	$(PYTHON) -m venv .venv

# To run, only what runs is installed; the tests' tools come with `make setup` or `make test`.
.venv/.stamp: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Setting up .venv; the first time takes a minute or two"
	$(PIP) install -q --no-deps --require-hashes -r requirements.lock
	$(PIP) install -q --no-build-isolation --no-deps -e .
	@touch $@

.venv/.dev-stamp: requirements-dev.lock pyproject.toml | .venv/bin/python
	@echo "Setting up .venv; the first time takes a minute or two"
	$(PIP) install -q --no-deps --require-hashes -r requirements-dev.lock
	$(PIP) install -q --no-build-isolation --no-deps -e .
	@touch $@ .venv/.stamp

# ---- run

run: .venv/.stamp
	$(BIN)/entrepot serve --demo --port $(PORT) --data $(DATA)

replay: .venv/.stamp
	$(BIN)/entrepot replay --from 2008-07-01 --to 2009-03-31

# ---- check

check-tools:
	@for tool in $(TOOLS); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	  fc-list :lang=zh 2>/dev/null | grep -q . || missing="$$missing a-Chinese-font"; \
	  if [ -n "$$missing" ]; then echo "missing:$$missing. As root: $(APT)" >&2; exit 1; fi

lint: .venv/.dev-stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.dev-stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: check-tools lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

crash: .venv/.dev-stamp
	ENTREPOT_CRASH_ROUNDS=200 $(BIN)/python -m pytest tests/crash --timeout 7200 $(PYTEST_ARGS)

fuzz: .venv/.dev-stamp
	ENTREPOT_FUZZ_EXAMPLES=30 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup tests/test_openapi_fuzz.py $(PYTEST_ARGS)

bench-kernel: .venv/.dev-stamp
	$(BIN)/python -m benchmarks.kernel

# ---- keep

# The locks hold exact versions and the hashes of every platform's files. uv resolves; it is needed for nothing else.
lock:
	$(PYTHON) -m venv .venv/lock && .venv/lock/bin/python -m pip install -q 'uv~=$(UV)'
	.venv/lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  $(if $(UPGRADE),--upgrade) --group build pyproject.toml -o requirements.lock
	.venv/lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  $(if $(UPGRADE),--upgrade) -c requirements.lock --group dev pyproject.toml -o requirements-dev.lock
	rm -rf .venv/lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .schemathesis build dist \
	  test-output bench-output
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
