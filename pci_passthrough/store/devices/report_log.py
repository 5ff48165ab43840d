# SPDX-License-Identifier: Apache-2.0
"""Logs what reports of agents change about held devices."""

from oslo_log import log as logging

from pci_passthrough import reporting

LOG = logging.getLogger(__name__)


def log_change(host: str, change: reporting.Change) -> None:
    """Log a change of the hardware of a held device."""
    before = change.before
    if before is None:
        return
    holder = (
        f'instance {before.instance_uuid} holds it'
        if before.instance_uuid
        else f'it is {before.state}'
    )
    if change.action == reporting.Action.CONFLICT:
        LOG.error(
            'Host %s, device %s is in conflict (%s): %s. No free device of '
            'this vendor and product is given to anybody on this host until '
            'an operator resolves the conflict, see "openstack pci device '
            'resolve"',
            host,
            before.address,
            holder,
            change.values.get('conflict', before.conflict),
        )
    elif change.action == reporting.Action.MOVE:
        LOG.warning(
            'Host %s, device %s (%s): the serial number proves that the '
            'hardware is at %s now; the record has moved there',
            host,
            before.address,
            holder,
            change.address,
        )
