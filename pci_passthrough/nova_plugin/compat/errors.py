# SPDX-License-Identifier: Apache-2.0
"""Errors by which Nova is told that a request is not served."""

# On a host: the instance goes to another one, or stays where it is.
from nova.exception import ComputeResourcesUnavailable

# Nova's API answers 400, in every method that reads PCI requests.
from nova.exception import PciRequestAliasNotDefined

# No method of Nova's API makes something else of it, so it becomes an answer
# with its ``code``, and its text if it is ``safe``.
from nova.exception import Unauthorized

__all__ = [
    'ComputeResourcesUnavailable',
    'PciRequestAliasNotDefined',
    'Unauthorized',
]
