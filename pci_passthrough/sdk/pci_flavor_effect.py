# SPDX-License-Identifier: Apache-2.0
"""Effects of changes of PCI flavors."""

from typing import Any

from openstack import resource

from pci_passthrough.sdk import base


class Effect(base.Resource):
    """The effect that a change of a PCI flavor would have.

    Fields that the user may not see are None.
    """

    #: The PCI flavor after the change; None means that it is deleted.
    pci_flavor: dict[str, Any] | None = resource.Body('pci_flavor', type=dict)
    #: Numbers of devices: ``before``, ``after``, ``gained`` and ``lost``.
    devices: dict[str, int] | None = resource.Body('devices', type=dict)
    #: Pools that are ``gained`` and ``lost``.
    pools: dict[str, list[dict[str, Any]]] | None = resource.Body(
        'pools', type=dict
    )
    #: ``stranded`` devices, the ``instances`` that hold them, and
    #: ``instance_count``; devices held ``outside`` of host aggregates.
    requests: dict[str, Any] | None = resource.Body('requests', type=dict)
    #: Why the change would be refused; None means that it would not.
    refusal: str | None = resource.Body('refusal')
    #: What is probably not meant: ``code`` and ``text``.
    warnings: list[dict[str, str]] | None = resource.Body(
        'warnings', type=list
    )
