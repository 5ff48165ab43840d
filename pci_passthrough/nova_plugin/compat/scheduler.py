# SPDX-License-Identifier: Apache-2.0
"""Nova's base classes of filters and weighers, and their helpers."""

# Nova's scheduler loads only filters and weighers derived from these.
from nova.scheduler.filters import BaseHostFilter

# Reads a multiplier, which an aggregate of hosts may set.
from nova.scheduler.utils import get_weight_multiplier
from nova.scheduler.weights import BaseHostWeigher

__all__ = [
    'BaseHostFilter',
    'BaseHostWeigher',
    'get_weight_multiplier',
]
