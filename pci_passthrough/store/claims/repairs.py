# SPDX-License-Identifier: Apache-2.0
"""Notes in the ledger about the repairs of nova-compute."""

from collections.abc import Collection
from typing import Final

from pci_passthrough import exception
from pci_passthrough.objects import fields
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import database
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup

_R = fields.Repair

#: Why each repair was needed, for the ledger.
_REASONS: Final = {
    _R.FREE: 'the claim was freed: Nova has no PCI device record for it',
    _R.END: 'the device was freed: the instance does not have it any more',
    _R.ALLOCATE: "the claim was allocated, as Nova's PCI device record is",
    _R.ADOPT: 'the instance was recorded as holder: Nova has a PCI device '
    'record, and there was no claim',
    _R.RESTORE: "Nova's PCI device record was lost, and was restored: the "
    'instance holds the device',
    _R.TAKE_OVER: 'pci_information offers the device now, and [pci] '
    'device_spec does not match it any more',
    _R.HAND_BACK: '[pci] device_spec matches the device again, and '
    'pci_information does not offer it any more',
}


@database.retried
def note(
    db: database.Writer,
    host: str,
    instance_uuid: str,
    addresses: Collection[str],
    repair: str,
    actor: str,
) -> None:
    """Record that nova-compute has repaired something.

    :param instance_uuid: the instance that has or had the devices.
    :param addresses: the devices' addresses; unknown ones are left out.
    :param repair: one of ``fields.Repair``.
    :param actor: who acts, for the ledger.
    :raises: InvalidRequest
    """
    request_spec.check_owner(instance_uuid)
    if repair not in _REASONS:
        raise exception.InvalidRequest(repair, 'there is no such repair')
    with db.write() as connection:
        devices = lookup.select(
            connection,
            models.compute_nodes.c.host == host,
            models.pci_devices.c.address.in_(sorted(addresses)),
        )
        ledger.append(
            connection,
            [
                ledger.entry(
                    device,
                    repair,
                    actor,
                    device.state,
                    _REASONS[repair],
                    instance_uuid,
                )
                for device in devices
            ],
        )
