# SPDX-License-Identifier: Apache-2.0
"""Tests which need no server, no libvirt and no privilege.

Hypothesis tries each property with a few examples, the same in each run, so
that ``make unit`` is quick and fails for a change only. The profile ``many``
searches among other examples in each run: ``make test-servers`` selects it
by the environment variable HYPOTHESIS_PROFILE. No example has a time limit.
"""

import os

import hypothesis

# Before anything else imports oslo.service.
from pci_passthrough import threading_backend  # noqa: F401

_any_speed = hypothesis.settings(
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.register_profile(
    'few', _any_speed, max_examples=25, derandomize=True
)
hypothesis.settings.register_profile('many', _any_speed, max_examples=150)
hypothesis.settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'few'))
