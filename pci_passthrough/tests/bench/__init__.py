# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: ratios measured in one run, each with its answers checked.

Run them with ``make bench`` or ``python -m pci_passthrough.tests.bench``.
No test depends on their figures.
"""

# Chooses oslo.service's threading backend, before anything chooses another.
from pci_passthrough import cmd  # noqa: F401
