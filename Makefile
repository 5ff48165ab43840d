# SPDX-License-Identifier: Apache-2.0
#
# Everything starts from a checkout and Python 3.11: `make demo` shows the
# project at work, `make test` proves it. Both install what is missing, into
# the system with apt-get and into .venv with pip, and are quick to repeat.
# Each release of Nova has an environment of its own beside .venv.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
BIN := $(VENV)/bin
# Two servers at a time are what a small machine carries.
CONCURRENCY ?= 2

# The releases of Nova that the door is tested with. The first one is that of
# our own tests. `make test-nova NOVA=33.0.2` takes one of them.
NOVA_RELEASES := 34.0.0 33.0.2 32.2.1
NOVA ?= $(NOVA_RELEASES)
NOVA_VENV := .venv-nova-34
NOVA_STESTR := tools/with-nova $(NOVA_VENV) stestr --config .stestr-nova.conf \
    --repo-url .stestr-nova

# Those of our tests inside Nova which take longest: `make test-nova` has them.
NOVA_LONG := test_crashes|BothInPlacement|test_nic_(attach|moves)

# The cloud of `make test-e2e`, with Nova and its fellow services.
E2E_VENV := .venv-e2e
E2E := pci_passthrough/tests/e2e
E2E_STESTR := $(E2E_VENV)/bin/stestr --config $(E2E)/stestr.conf \
    --repo-url $(E2E_VENV)/stestr
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E)

DOCUMENTS := doc $(wildcard *.rst)

# pbr asks git for the version. A tarball and an empty repository have none.
ifndef PBR_VERSION
ifeq ($(shell git rev-parse --quiet --verify HEAD 2>/dev/null),)
export PBR_VERSION := 0.1.0.dev0
endif
endif

REQUIREMENTS := requirements.txt setup.cfg setup.py pyproject.toml bindep.txt
TEST_REQUIREMENTS := test-requirements.txt doc/requirements.txt

.PHONY: demo tour test lint unit functional nova-functional nova-long test-nova \
    test-e2e bench docs genconfig clean

demo: $(VENV)/.installed
	$(BIN)/pci-passthrough-demo

# The tour of the README.
tour: $(VENV)/.installed-for-tour
	$(BIN)/pci-passthrough-demo --api tools/tour

# All is tried even when something fails, so that one run shows all that is
# wrong. The closing line must come last.
test: $(VENV)/.installed-for-tests
	@rc=0; \
	$(MAKE) --no-print-directory --keep-going --jobs=2 \
	    --output-sync=target lint docs $(NOVA_VENV)/.installed || rc=1; \
	: an earlier run must not speak for one that did not start; \
	rm -f .stestr/[0-9]* .stestr-nova/.stestr/[0-9]*; \
	$(BIN)/stestr run --worker-file .stestr-workers.yaml || rc=1; \
	$(MAKE) --no-print-directory nova-functional || rc=1; \
	[ $$rc = 0 ] || echo 'Something above has failed.'; \
	($(BIN)/stestr last --subunit || true; \
	 $(NOVA_STESTR) last --subunit || true) | \
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

# Our tests inside Nova, on the fixtures of Nova's own tests.
nova-functional: .stestr-nova/.stestr
	$(NOVA_STESTR) run --concurrency $(CONCURRENCY) \
	    --exclude-regex '$(NOVA_LONG)'

nova-long: .stestr-nova/.stestr
	$(NOVA_STESTR) run --concurrency $(CONCURRENCY) '$(NOVA_LONG)'

.stestr-nova/.stestr: | $(NOVA_VENV)/.installed
	mkdir -p .stestr-nova
	$(NOVA_STESTR) init

# Nova's own tests on each release, with the door and, what fails, without.
test-nova: $(VENV)/.installed-for-tests nova-long \
    $(foreach release,$(NOVA),.venv-nova-$(basename $(basename \
        $(release)))/.installed)
	$(BIN)/python -m pci_passthrough.tests.nova_suites \
	    --concurrency $(CONCURRENCY) $(NOVA)

# A whole cloud of real processes. They end with the first process of their
# namespace, whatever happens to the tests.
test-e2e: $(E2E_VENV)/.installed
	@rc=0; \
	rm -rf $(E2E_VENV)/stestr && mkdir $(E2E_VENV)/stestr; \
	$(E2E_STESTR) init; \
	$(AS_ROOT) unshare --mount --pid --fork --kill-child --mount-proc \
	    --propagation private bash -c '"$$@"; exit $$?' reaper \
	    $(E2E_STESTR) run --serial '$(E2E_TESTS)' || rc=1; \
	($(E2E_STESTR) last --subunit || true) | \
	    $(E2E_VENV)/bin/python tools/closing_line.py || rc=1; \
	exit $$rc

bench: $(VENV)/.installed-for-tests
	$(BIN)/python -m pci_passthrough.tests.bench

docs: $(VENV)/.installed-for-tests
	$(BIN)/sphinx-build -q -W --keep-going -b html doc/source doc/build/html

genconfig: $(VENV)/.installed
	$(BIN)/oslo-config-generator \
	    --config-file etc/pci_passthrough/config-generator.conf
	$(BIN)/oslo-config-generator \
	    --config-file etc/nova/config-generator.conf
	$(BIN)/oslopolicy-sample-generator \
	    --config-file etc/pci_passthrough/policy-generator.conf

clean:
	rm -rf $(VENV) .venv-* .tox .stestr .stestr-nova* .mypy_cache \
	    .ruff_cache .hypothesis .import_linter_cache .coverage doc/build build dist *.egg-info
	find pci_passthrough tools -name __pycache__ -prune -exec rm -rf {} +

# The stamps are newer than the files that say what to install.
$(VENV)/.installed: $(REQUIREMENTS)
	tools/make-venv $(VENV)
	tools/install-packages $(BIN)/bindep
	$(BIN)/python -m pip install -q -r requirements.txt
	$(BIN)/python -m pip install -q --no-build-isolation --no-deps -e .
	touch $@

$(VENV)/.installed-for-tour: $(VENV)/.installed test-requirements.txt
	grep '^python-.*client' test-requirements.txt | \
	    $(BIN)/python -m pip install -q -r /dev/stdin
	touch $@

$(VENV)/.installed-for-tests: $(VENV)/.installed $(TEST_REQUIREMENTS)
	tools/install-packages $(BIN)/bindep test
	$(BIN)/python -m pip install -q -r test-requirements.txt \
	    -r doc/requirements.txt
	touch $@

# .venv-nova-34 has the release of NOVA_RELEASES that begins with 34.
.venv-nova-%/.installed: $(REQUIREMENTS) nova-test-requirements.txt Makefile
	tools/make-venv $(@D)
	tools/install-packages $(@D)/bin/bindep
	$(@D)/bin/python -m pip install -q -r requirements.txt \
	    -r nova-test-requirements.txt \
	    $(patsubst %,nova==%,$(filter $*.%,$(NOVA_RELEASES)))
	$(@D)/bin/python -m pip install -q --no-build-isolation --no-deps -e .
	touch $@

$(E2E_VENV)/.installed: $(REQUIREMENTS) $(E2E)/requirements.txt
	tools/make-venv $(@D)
	tools/install-packages $(@D)/bin/bindep e2e
	$(@D)/bin/python -m pip install -q -r requirements.txt \
	    -r $(E2E)/requirements.txt
	$(@D)/bin/python -m pip install -q --no-build-isolation --no-deps -e .
	touch $@
