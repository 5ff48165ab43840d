# SPDX-License-Identifier: Apache-2.0
"""Nova's view of the held devices of a host, as ``reconcile`` compares it."""

from typing import Any

from pci_passthrough.nova_plugin.compat import pci
from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.nova_plugin.compute import attachments
from pci_passthrough.nova_plugin.compute import device_spec
from pci_passthrough.nova_plugin.compute import reconcile


def rows(
    tracker: Any, held: attachments.Attachments, spec: device_spec.DeviceSpec
) -> list[reconcile.Row]:
    """Return all devices that instances of a host have.

    :param tracker: Nova's tracker, with the native rows.
    :param held: the attachments of the host.
    :param spec: ``[pci] device_spec`` of the host.
    """

    def in_spec(row: Any) -> bool:
        return spec.entry_for(row) is not None

    attached = [
        reconcile.Row(
            address=known.address,
            instance_uuid=str(known.instance_uuid),
            claim_id=known.claim_id,
            request_id=known.request_id,
            is_allocated=known.is_allocated,
            is_attachment=True,
            in_device_spec=any(map(in_spec, known.rows)),
            is_rowless=not known.rows,
            kind=known.kind,
        )
        for known in held.held()
    ]
    native = [
        reconcile.Row(
            address=row.address,
            instance_uuid=row.instance_uuid,
            claim_id=attachment.claim_id(row),
            request_id=row.request_id,
            is_allocated=row.status == pci.PciDeviceStatus.ALLOCATED,
            is_attachment=False,
            in_device_spec=in_spec(row),
            kind=(row.vendor_id, row.product_id),
        )
        for row in tracker.pci_devs
        if attachment.is_held(row)
    ]
    return [*attached, *native]
