# `make app` opens the zoo, `make test` checks everything; `make help` lists the rest.
# Both set up .venv themselves, once per content of the requirements files.
#
# PYTHON=python3.12    another Python than `python3`, for the first set-up
# PORT=8600            another port for the app
# PIP_ARGS=...         more options for pip; on Linux, where the ordinary torch brings
#                      CUDA with it, name PyTorch's index of CPU wheels here
#                      (PIP_ARGS='--extra-index-url URL'): the app needs no GPU
# PYTEST_ARGS=...      more options for pytest, such as '-k geometry'

PYTHON ?= python3
PORT ?= 8501
PIP_ARGS ?=
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
CODE := app.py superposition zoo training figures pages benchmarks tests

# A stamp carries the checksum of what was installed, so an edited pin installs again.
checksum = $(shell cat $(1) | cksum | cut -d ' ' -f 1)
APP_READY := $(VENV)/ready-app-$(call checksum,requirements.txt)
DEV_READY := $(VENV)/ready-dev-$(call checksum,requirements.txt requirements-dev.txt)

say = @printf '\n== %s\n' "$(1)"

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help app test lint types contracts pytest unit browser chromium format zoo space fuzz clean

help:
	@echo 'make app       serve the app on http://localhost:$(PORT)'
	@echo 'make test      format, lint, types, import contracts, every test'
	@echo 'make lint      format and lint only'
	@echo 'make types     mypy only'
	@echo 'make contracts which room may import which'
	@echo 'make unit      the tests that need no browser'
	@echo 'make browser   the tests that drive Chromium'
	@echo 'make fuzz      a hundred random addresses for each page, and damaged zoo files'
	@echo 'make format    rewrite the code in the common format'
	@echo 'make zoo       train the embedded zoo again, into zoo/data'
	@echo 'make space     gather what a host needs, into build/space (docs/hosting.md)'
	@echo 'make clean     remove .venv and every cache'

# For glibc's malloc: with one heap, what readers leave behind can be returned (docs/hosting.md).
ONE_HEAP := MALLOC_ARENA_MAX=1

# With no address given, Streamlit would ask a server elsewhere for this machine's.
app: $(APP_READY)
	@$(ONE_HEAP) $(BIN)/python -m streamlit run app.py --server.port $(PORT) --browser.serverAddress localhost

test: lint types contracts pytest

lint: $(DEV_READY)
	$(call say,format)
	@$(BIN)/ruff format --check --quiet --diff .
	$(call say,lint)
	@$(BIN)/ruff check --quiet .

types: $(DEV_READY)
	$(call say,types)
	@$(BIN)/mypy

contracts: $(DEV_READY)
	$(call say,import contracts)
	@$(BIN)/lint-imports --no-logo

pytest: $(DEV_READY) chromium
	$(call say,tests)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

unit: $(DEV_READY)
	@$(BIN)/python -m pytest --ignore tests/browser $(PYTEST_ARGS)

browser: $(DEV_READY) chromium
	@$(BIN)/python -m pytest tests/browser $(PYTEST_ARGS)

chromium: $(DEV_READY)
	$(call say,Chromium)
	@$(BIN)/python tests/browser/chromium.py --install

# `make test` has few cases of these; here are enough to find something rare.
FUZZ_CASES ?= 100
fuzz: $(DEV_READY)
	@FUZZ_CASES=$(FUZZ_CASES) $(BIN)/python -m pytest -q -k fuzz $(PYTEST_ARGS)

format: $(DEV_READY)
	@$(BIN)/ruff check --quiet --select I --fix .
	@$(BIN)/ruff format --quiet .

zoo: $(APP_READY)
	@$(BIN)/python -m training build --out zoo/data

# What is served, and nothing else: no tests, no benchmarks, and a README of the Space's own.
SPACE := build/space
SERVED := app.py pages figures superposition zoo training .streamlit requirements.txt LICENSE
space:
	@rm -rf $(SPACE) && mkdir -p $(SPACE)
	@tar -cf - --exclude=__pycache__ --exclude=.build $(SERVED) | tar -xf - -C $(SPACE)
	@cp hosting/Dockerfile $(SPACE)/Dockerfile
	@cp hosting/space.md $(SPACE)/README.md
	@echo '$(SPACE) is ready: docs/hosting.md says what to do with it'

clean:
	rm -rf $(VENV) build .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	$(call say,Python environment in $(VENV))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "$(PYTHON) is `$(PYTHON) --version 2>&1`, and Python 3.11 or newer is needed."; \
	    echo "If you have one under another name: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { \
	    echo "No environment without Python's venv module: on Debian and Ubuntu, install python3-venv."; \
	    rm -rf $(VENV); exit 1; }

# pip's own progress is shown: the first download is large.
$(APP_READY): | $(BIN)/python
	$(call say,packages of the app (once))
	@$(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) -r requirements.txt
	@rm -f $(VENV)/ready-* && touch $@

$(DEV_READY): | $(BIN)/python
	$(call say,packages of the app and its tests (once))
	@$(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) -r requirements-dev.txt
	@rm -f $(VENV)/ready-* && touch $@ $(APP_READY)
