# SPDX-License-Identifier: Apache-2.0
#
# Everything starts from a checkout and Python 3.11: `make demo` shows the
# project at work, `make test` proves it. Both install what is missing, into
# the system with apt-get and into .venv with pip, and are quick to repeat.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
BIN := $(VENV)/bin
# Two servers at a time are what a small machine carries.
CONCURRENCY ?= 2

DOCUMENTS := doc $(wildcard *.rst)

# pbr asks git for the version. A tarball and an empty repository have none.
ifndef PBR_VERSION
ifeq ($(shell git rev-parse --quiet --verify HEAD 2>/dev/null),)
export PBR_VERSION := 0.1.0.dev0
endif
endif

REQUIREMENTS := requirements.txt setup.cfg setup.py pyproject.toml bindep.txt
TEST_REQUIREMENTS := test-requirements.txt doc/requirements.txt

.PHONY: demo test lint unit functional bench docs genconfig clean

demo: $(VENV)/.installed
	$(BIN)/pci-passthrough-demo

# All is tried even when something fails, so that one run shows all that is
# wrong. The closing line must come last.
test: $(VENV)/.installed-for-tests
	@rc=0; \
	$(MAKE) --no-print-directory lint || rc=1; \
	: an earlier run must not speak for one that did not start; \
	rm -f .stestr/[0-9]*; \
	$(BIN)/stestr run --concurrency $(CONCURRENCY) || rc=1; \
	$(MAKE) --no-print-directory docs || rc=1; \
	[ $$rc = 0 ] || echo 'Something above has failed.'; \
	($(BIN)/stestr last --subunit || true) | \
	    $(BIN)/python tools/closing_line.py || rc=1; \
	exit $$rc

lint: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/flake8 --select H --ignore H306 pci_passthrough tools setup.py
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/doc8 $(DOCUMENTS)
	$(BIN)/sphinx-lint $(DOCUMENTS)

unit functional: $(VENV)/.installed-for-tests
	$(BIN)/stestr run --concurrency $(CONCURRENCY) \
	    '^pci_passthrough\.tests\.$@\.'

bench: $(VENV)/.installed-for-tests
	$(BIN)/python -m pci_passthrough.tests.bench

docs: $(VENV)/.installed-for-tests
	$(BIN)/sphinx-build -q -W --keep-going -b html doc/source doc/build/html

genconfig: $(VENV)/.installed
	$(BIN)/oslo-config-generator \
	    --config-file etc/pci_passthrough/config-generator.conf

clean:
	rm -rf $(VENV) .tox .stestr .mypy_cache .ruff_cache .hypothesis \
	    .import_linter_cache .coverage doc/build build dist *.egg-info
	find pci_passthrough tools -name __pycache__ -prune -exec rm -rf {} +

# The stamps are newer than the files that say what to install.
$(VENV)/.installed: $(REQUIREMENTS)
	tools/make-venv $(VENV)
	tools/install-packages $(BIN)/bindep
	$(BIN)/python -m pip install -q -r requirements.txt
	$(BIN)/python -m pip install -q --no-build-isolation --no-deps -e .
	touch $@

$(VENV)/.installed-for-tests: $(VENV)/.installed $(TEST_REQUIREMENTS)
	tools/install-packages $(BIN)/bindep test
	$(BIN)/python -m pip install -q -r test-requirements.txt \
	    -r doc/requirements.txt
	touch $@
