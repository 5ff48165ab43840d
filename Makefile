# SPDX-License-Identifier: Apache-2.0
#
# Everything starts from a checkout and Python 3.11: `make demo` shows the
# project at work, `make unit` tests it in a minute, `make test` proves it. They
# install what is missing, into .venv with pip and, but for `make unit`, into
# the system with apt-get; they are quick to repeat. Each release of Nova has
# an environment of its own beside .venv.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
BIN := $(VENV)/bin
# Two servers at a time are what a small machine carries.
CONCURRENCY ?= 2

# The releases of Nova that the Nova plugin is tested with. The first one is
# that of our own tests. `make test-nova NOVA=33.0.2` takes one of them.
NOVA_RELEASES := 34.0.0 33.0.2 32.2.1
NOVA ?= $(NOVA_RELEASES)
NOVA_SUITES ?=
NOVA_VENV := .venv-nova-34
NOVA_STESTR := tools/with-nova $(NOVA_VENV) stestr --config .stestr-nova.conf \
    --repo-url .stestr-nova

# Which tests `make test` leaves to `make test-servers` and `make test-nova`.
HEAVY := pci_passthrough/tests/heavy-tests.txt
# Which of our tests inside Nova run on request only.
LONG := pci_passthrough/tests/long-tests.txt

# The cloud of `make test-e2e`, with Nova and its fellow services.
E2E_VENV := .venv-e2e
E2E := pci_passthrough/tests/e2e
E2E_STESTR := $(E2E_VENV)/bin/stestr --config $(E2E)/stestr.conf \
    --repo-url $(E2E_VENV)/stestr

# Horizon with the plugin, in a browser.
DASHBOARD_VENV := .venv-dashboard
DASHBOARD_STESTR := $(DASHBOARD_VENV)/bin/stestr \
    --config dashboard/stestr.conf --repo-url $(DASHBOARD_VENV)/stestr

# Ansible with its stock modules for OpenStack, for one test.
ANSIBLE_VENV := .venv-ansible
ANSIBLE_REQUIREMENTS := pci_passthrough/tests/functional/sdk/ansible-requirements.txt

AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E)

DOCUMENTS := doc $(wildcard *.rst)

# pbr asks git for the version. A tarball and an empty repository have none.
ifndef PBR_VERSION
ifeq ($(shell git rev-parse --quiet --verify HEAD 2>/dev/null),)
export PBR_VERSION := 0.1.0.dev0
endif
endif

# Tests start hundreds of programs, and each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

# A package index that resets connections is tried again for a while.
export PIP_RETRIES ?= 10

REQUIREMENTS := requirements.txt setup.cfg setup.py pyproject.toml bindep.txt
TEST_REQUIREMENTS := test-requirements.txt doc/requirements.txt

.PHONY: demo tour unit functional nova-functional test test-servers test-nova \
    test-e2e test-dashboard environments lint docs bench hil genconfig clean

# The end of each layer's recipe: its line and its status. $(1) are commands
# that print the runs' subunit streams.
closing_line = [ $$rc = 0 ] || echo 'Something above has failed.'; \
	($(1)) | $(or $(2),$(BIN))/python tools/closing_line.py || rc=1; \
	exit $$rc
LAST := $(BIN)/stestr last --subunit || true
NOVA_LAST := $(NOVA_STESTR) last --subunit || true

# An earlier run must not speak for one that did not start.
FORGET := rm -f .stestr/[0-9]* .stestr-nova/.stestr/[0-9]*

demo: $(VENV)/.installed
	$(BIN)/pci-passthrough-demo

# The tour of the documentation.
tour: $(VENV)/.installed-for-tour
	$(BIN)/pci-passthrough-demo --api tools/tour

# Quick, and without a server: pip installs all that it needs.
unit: $(VENV)/.installed-for-unit
	@rc=0; $(FORGET); \
	$(BIN)/stestr --test-path ./pci_passthrough/tests/unit run \
	    --concurrency $(CONCURRENCY) || rc=1; \
	$(call closing_line,$(LAST))

# The heart of everything. All is tried even when something fails, so that one
# run shows all that is wrong. The closing line must come last.
test: $(VENV)/.installed-for-tests
	@rc=0; $(FORGET); \
	$(MAKE) --no-print-directory --keep-going --jobs=2 \
	    --output-sync=target lint docs $(NOVA_VENV)/.installed || rc=1; \
	$(BIN)/stestr run --worker-file .stestr-workers.yaml \
	    --exclude-list $(HEAVY) || rc=1; \
	$(MAKE) --no-print-directory nova-functional || rc=1; \
	$(call closing_line,$(LAST); $(NOVA_LAST))

# The rest of the tests with servers, and many examples for each property.
test-servers: $(VENV)/.installed-for-tests $(ANSIBLE_VENV)/.installed
	@rc=0; $(FORGET); \
	HYPOTHESIS_PROFILE=many $(BIN)/stestr run \
	    --worker-file .stestr-workers.yaml --include-list $(HEAVY) \
	    '^pci_passthrough\.tests\.unit\.' || rc=1; \
	$(call closing_line,$(LAST))

lint: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/flake8 --select H --ignore H306 pci_passthrough tools setup.py
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/doc8 $(DOCUMENTS)
	$(BIN)/sphinx-lint $(DOCUMENTS)

functional: $(VENV)/.installed-for-tests $(ANSIBLE_VENV)/.installed
	$(BIN)/stestr run --worker-file .stestr-workers.yaml \
	    '^pci_passthrough\.tests\.functional\.'

# Our tests inside Nova, on the fixtures of Nova's own tests.
nova-functional: .stestr-nova/.stestr
	$(NOVA_STESTR) run --concurrency $(CONCURRENCY) \
	    --exclude-list $(HEAVY)

.stestr-nova/.stestr: | $(NOVA_VENV)/.installed
	mkdir -p .stestr-nova
	$(NOVA_STESTR) init

# The rest of our tests inside Nova; and Nova's own tests on each release, with
# this project and, what fails, without. `make test-nova
# NOVA_SUITES=--all` runs many more of Nova's, and all of ours; with --quick,
# fewer of Nova's.
test-nova: $(VENV)/.installed-for-tests .stestr-nova/.stestr \
    $(foreach release,$(NOVA),.venv-nova-$(basename $(basename \
        $(release)))/.installed)
	@rc=0; $(FORGET); \
	$(NOVA_STESTR) run --concurrency $(CONCURRENCY) \
	    --include-list $(HEAVY) \
	    $(if $(filter --all,$(NOVA_SUITES)),,--exclude-list $(LONG)) || rc=1; \
	($(NOVA_LAST)) | $(BIN)/python -m pci_passthrough.tests.nova_suites \
	    --concurrency $(CONCURRENCY) --count-stdin $(NOVA_SUITES) \
	    $(NOVA) || rc=1; \
	exit $$rc

# A whole cloud of real processes. They end with the first process of their
# namespace, whatever happens to the tests.
test-e2e: $(E2E_VENV)/.installed
	@rc=0; \
	rm -rf $(E2E_VENV)/stestr && mkdir $(E2E_VENV)/stestr; \
	$(E2E_STESTR) init; \
	$(AS_ROOT) unshare --mount --pid --fork --kill-child --mount-proc \
	    --propagation private bash -c '"$$@"; exit $$?' reaper \
	    $(E2E_STESTR) run --serial '$(E2E_TESTS)' || rc=1; \
	$(call closing_line,$(E2E_STESTR) last --subunit || true,$(E2E_VENV)/bin)

# Keystone, the REST API, Horizon with the plugin, and a browser. With
# `PCI_PASSTHROUGH_SCREENSHOTS=<folder>` the pages are saved as pictures.
test-dashboard: $(DASHBOARD_VENV)/.installed
	@rc=0; \
	rm -rf $(DASHBOARD_VENV)/stestr && mkdir $(DASHBOARD_VENV)/stestr; \
	$(DASHBOARD_STESTR) init; \
	$(DASHBOARD_STESTR) run --serial '$(DASHBOARD_TESTS)' || rc=1; \
	$(call closing_line,$(DASHBOARD_STESTR) last --subunit || \
	    true,$(DASHBOARD_VENV)/bin)

# What the layers after `make test` need beside its environments.
environments: $(ANSIBLE_VENV)/.installed $(E2E_VENV)/.installed \
    $(DASHBOARD_VENV)/.installed \
    $(foreach release,$(NOVA_RELEASES), .venv-nova-$(basename $(basename $(release)))/.installed)

# Horizon's copy of the policies, in the form of its own command.
.PHONY: dashboard/policies
dashboard/policies: $(DASHBOARD_VENV)/.installed
	$(DASHBOARD_VENV)/bin/python -c 'from openstack_dashboard.management.\
	commands.dump_default_policies import Command; Command().handle(\
	namespace="pci_passthrough", output_file="dashboard/\
	pci_passthrough_dashboard/conf/default_policies.yaml")'

bench: $(VENV)/.installed-for-tests
	$(BIN)/python -m pci_passthrough.tests.bench

# nvme-sanitize with a real kernel and QEMU's NVMe controllers.
hil: $(VENV)/.installed-for-tests
	$(BIN)/python -m pci_passthrough.tests.hil

docs: $(VENV)/.installed-for-tests
	$(BIN)/sphinx-build -q -W --keep-going -b html doc/source doc/build/html

genconfig: $(VENV)/.installed
	$(BIN)/oslo-config-generator \
	    --config-file etc/pci_passthrough/config-generator.conf
	$(BIN)/oslo-config-generator \
	    --config-file etc/pci_passthrough/samples-generator.conf
	$(BIN)/oslo-config-generator \
	    --config-file etc/nova/config-generator.conf
	$(BIN)/oslopolicy-sample-generator \
	    --config-file etc/pci_passthrough/policy-generator.conf

clean:
	rm -rf $(VENV) .venv-* .tox .stestr .stestr-nova* .mypy_cache \
	    .ruff_cache .hypothesis .import_linter_cache .coverage doc/build build dist *.egg-info
	find pci_passthrough tools -name __pycache__ -prune -exec rm -rf {} +

# The stamps are newer than the files that say what to install.
#
# Of all that pip installs, only libvirt-python needs packages of the system.
$(VENV)/.installed: $(REQUIREMENTS)
	tools/make-venv $(VENV)
	tools/install-packages $(BIN)/bindep
	$(BIN)/python -m pip install -q -r requirements.txt
	$(BIN)/python -m pip install -q --no-build-isolation --no-deps -e .
	touch $@

$(VENV)/.installed-for-unit: $(REQUIREMENTS) test-requirements.txt
	tools/make-venv $(VENV)
	grep -v '^libvirt-python' requirements.txt | \
	    $(BIN)/python -m pip install -q -r /dev/stdin -r test-requirements.txt
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
	touch $(VENV)/.installed-for-unit $@

# .venv-nova-34 has the release of NOVA_RELEASES that begins with 34.
.venv-nova-%/.installed: $(REQUIREMENTS) nova-test-requirements.txt Makefile
	tools/make-venv $(@D)
	tools/install-packages $(@D)/bin/bindep
	$(@D)/bin/python -m pip install -q -r requirements.txt \
	    -r nova-test-requirements.txt \
	    $(patsubst %,nova==%,$(filter $*.%,$(NOVA_RELEASES)))
	$(@D)/bin/python -m pip install -q --no-build-isolation --no-deps -e .
	touch $@

# The collection is only to be had within Ansible's distribution of a hundred
# collections, so this one is taken out of it.
$(ANSIBLE_VENV)/.installed: $(ANSIBLE_REQUIREMENTS) Makefile
	tools/make-venv $(@D)
	$(@D)/bin/python -m pip install -q -r $(ANSIBLE_REQUIREMENTS)
	$(@D)/bin/python -m pip download -q --no-deps --dest $(@D) ansible==12.3.0
	$(@D)/bin/python -c 'import sys, zipfile; \
	    wheel = zipfile.ZipFile(sys.argv[1]); \
	    wheel.extractall(sys.argv[2], [name for name in wheel.namelist() \
	        if name.startswith("ansible_collections/openstack/cloud/")])' \
	    $(@D)/ansible-12.3.0-*.whl $(@D)/collections
	rm $(@D)/ansible-12.3.0-*.whl
	touch $@

$(E2E_VENV)/.installed: $(REQUIREMENTS) $(E2E)/requirements.txt
	tools/make-venv $(@D)
	tools/install-packages $(@D)/bin/bindep e2e
	$(@D)/bin/python -m pip install -q -r requirements.txt \
	    -r $(E2E)/requirements.txt
	$(@D)/bin/python -m pip install -q --no-build-isolation --no-deps -e .
	touch $@

$(DASHBOARD_VENV)/.installed: $(REQUIREMENTS) dashboard/requirements.txt \
    dashboard/test-requirements.txt
	tools/make-venv $(@D)
	tools/install-packages $(@D)/bin/bindep dashboard
	$(@D)/bin/python -m pip install -q -r requirements.txt \
	    -r dashboard/test-requirements.txt
	$(@D)/bin/python -m pip install -q --no-build-isolation --no-deps -e .
	touch $@
