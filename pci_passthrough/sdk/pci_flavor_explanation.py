# SPDX-License-Identifier: Apache-2.0
"""Why requests for a PCI flavor get no devices."""

from typing import Any

from openstack import resource

from pci_passthrough.sdk import base


class Explanation(base.Resource):
    """Why hosts can serve a request for a PCI flavor, or cannot.

    Hosts are None unless the user may see them.
    """

    #: UUID of the PCI flavor.
    pci_flavor: str = resource.Body('pci_flavor', alternate_id=True)
    #: Name of the PCI flavor.
    name: str = resource.Body('name')
    #: Devices in one request.
    count: int = resource.Body('count', type=int)
    #: How many hosts can serve the request.
    serving: int | None = resource.Body('serving', type=int)
    summary: str | None = resource.Body('summary')
    #: ``condition``, ``text`` and, for some users, the number of ``hosts``.
    reasons: list[dict[str, Any]] = resource.Body('reasons', type=list)
    #: Each host with the ``condition`` that keeps it from serving.
    hosts: list[dict[str, Any]] | None = resource.Body('hosts', type=list)
    #: The conditions in their order, and which are fulfilled by some host;
    #: since microversion 1.2.
    steps: list[dict[str, Any]] | None = resource.Body('steps', type=list)
    #: Devices left; since microversion 1.2.
    left: int | None = resource.Body('left', type=int)
    #: What is probably not meant: ``code`` and ``text``.
    warnings: list[dict[str, str]] | None = resource.Body(
        'warnings', type=list
    )
