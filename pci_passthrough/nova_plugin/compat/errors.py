# SPDX-License-Identifier: Apache-2.0
"""Errors of Nova for requests that are not served."""

# On a host: Nova tries another host, or the instance stays on its host.
from nova.exception import ComputeResourcesUnavailable

# The base of errors of the Nova plugin.
from nova.exception import NovaException

# nova-scheduler found no host: the server's fault has its text.
from nova.exception import NoValidHost

# Nova's API answers 400, in every method that reads PCI requests.
from nova.exception import PciRequestAliasNotDefined

# Nova's API answers 403, in every method that takes devices of a project.
from nova.exception import PortLimitExceeded

# No method of Nova's API catches it, so the answer has its ``code``, and its
# text if it is ``safe``.
from nova.exception import Unauthorized

__all__ = [
    'ComputeResourcesUnavailable',
    'NoValidHost',
    'NovaException',
    'PciRequestAliasNotDefined',
    'PortLimitExceeded',
    'Unauthorized',
]
