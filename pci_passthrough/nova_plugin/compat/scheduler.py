# SPDX-License-Identifier: Apache-2.0
"""What filters and weighers are made of."""

# Nova's scheduler takes only filters and weighers derived from these.
from nova.scheduler.filters import BaseHostFilter

# A multiplier may be set for an aggregate of hosts.
from nova.scheduler.utils import get_weight_multiplier

# Then the instance stays where it is, with the devices that it has.
from nova.scheduler.utils import request_is_rebuild
from nova.scheduler.weights import BaseHostWeigher

__all__ = [
    'BaseHostFilter',
    'BaseHostWeigher',
    'get_weight_multiplier',
    'request_is_rebuild',
]
