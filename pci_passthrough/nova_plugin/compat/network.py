# SPDX-License-Identifier: Apache-2.0
"""What Nova has to do with Neutron.

For what runs when Nova has begun its work: several modules of Nova read
options when these are imported.
"""

from typing import Any

# An interface cannot be attached: nova-api answers 400.
from nova.exception import InterfaceAttachPciClaimFailed
from nova.network import neutron

__all__ = ['InterfaceAttachPciClaimFailed']


def admin_client(context: Any) -> Any:
    """Return a client of Neutron's API with Nova's own rights."""
    return neutron.get_client(context, admin=True)
