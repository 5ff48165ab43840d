# SPDX-License-Identifier: Apache-2.0
"""Devices and their history."""

from openstack import resource

from pci_passthrough.sdk import base
from pci_passthrough.sdk import hardware


class PciDevice(hardware.Hardware):
    """A device of a host."""

    resources_key = 'pci_devices'
    base_path = '/pci-devices'
    allow_list = True
    query_names = (
        *hardware.FILTERS, 'address', 'state', 'instance_uuid', 'held_by',
    )  # fmt: skip

    uuid: str = resource.Body('uuid', alternate_id=True)
    address: str = resource.Body('address')
    parent_addr: str | None = resource.Body('parent_addr')
    iommu_group: int | None = resource.Body('iommu_group', type=int)
    #: The host's network interface or disk.
    devname: str | None = resource.Body('devname')
    mac_address: str | None = resource.Body('mac_address')
    link_speed: int | None = resource.Body('link_speed', type=int)
    total_vfs: int | None = resource.Body('total_vfs', type=int)
    capabilities: list[str] = resource.Body('capabilities', type=list)
    serial_number: str | None = resource.Body('serial_number')
    offered_by: str | None = resource.Body('offered_by')
    #: Why the host does not offer it.
    refusal: str | None = resource.Body('refusal')
    #: available, claimed, allocated, cleaning, quarantined, disabled,
    #: missing, refused or conflict.
    state: str = resource.Body('state')
    status: str = resource.Body('status')
    presence: str = resource.Body('presence')
    disabled_reason: str | None = resource.Body('disabled_reason')
    conflict: str | None = resource.Body('conflict')
    handlers: list[str] | None = resource.Body('handlers', type=list)
    on_failure: str | None = resource.Body('on_failure')
    preparation_step: str | None = resource.Body('preparation_step')
    preparation_attempt: int | None = resource.Body(
        'preparation_attempt', type=int
    )
    preparation_since: str | None = resource.Body('preparation_since')
    preparation_percent: int | None = resource.Body(
        'preparation_percent', type=int
    )
    preparation_text: str | None = resource.Body('preparation_text')
    quarantine_reason: str | None = resource.Body('quarantine_reason')
    failed_starts: int | None = resource.Body('failed_starts', type=int)
    start_failure: str | None = resource.Body('start_failure')
    instance_uuid: str | None = resource.Body('instance_uuid')
    request_id: str | None = resource.Body('request_id')
    pci_flavor_uuid: str | None = resource.Body('pci_flavor_uuid')
    #: Name of the PCI flavor through which it is held; since microversion
    #: 1.2.
    pci_flavor: str | None = resource.Body('pci_flavor')
    created_at: str | None = resource.Body('created_at')
    updated_at: str | None = resource.Body('updated_at')


class PciDeviceEvent(base.Resource):
    """An event of a device's history."""

    created_at: str = resource.Body('created_at')
    action: str = resource.Body('action')
    from_state: str | None = resource.Body('from_state')
    to_state: str | None = resource.Body('to_state')
    actor: str = resource.Body('actor')
    reason: str | None = resource.Body('reason')
    instance_uuid: str | None = resource.Body('instance_uuid')
    host: str = resource.Body('host')
    address: str = resource.Body('address')
