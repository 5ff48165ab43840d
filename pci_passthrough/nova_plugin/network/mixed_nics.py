# SPDX-License-Identifier: Apache-2.0
"""Refuses macvtap and direct NICs in one instance, or warns of them.

A macvtap NIC is slower than a direct one, and chosen so that the instance
can be migrated live without losing its network. A direct NIC in the same
instance has to be unplugged for the move, so the instance loses that benefit.
"""

from collections.abc import Iterable

from oslo_log import log as logging

from pci_passthrough import exception
from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.nova_plugin.network import asked_nics
from pci_passthrough.objects import fields

LOG = logging.getLogger(__name__)

REFUSE = 'refuse'
ALLOW = 'allow'

_UNPLUGGED_TO_MOVE = {
    fields.VnicType.DIRECT,
    fields.VnicType.DIRECT_PHYSICAL,
}
_MIXED = _UNPLUGGED_TO_MOVE | {fields.VnicType.MACVTAP}


def check(new: Iterable[str], beside: Iterable[str] = ()) -> None:
    """Refuse mixed NICs, or warn, by ``[pci_passthrough] mixed_nics``.

    Does nothing outside a user's request to nova-api: only there a user gets
    the warning, and an instance that moves was checked when it was created.

    :param new: vNIC types of the requested NICs.
    :param beside: vNIC types of the NICs that the instance has already; read
        only if a new NIC is of a type that must not be mixed.
    :raises InvalidNic: the NICs are mixed, and the option says ``refuse``.
    """
    asked = asked_nics.current()
    if asked is None:
        return
    added = _MIXED & set(new)
    policy = bootstrap.nova_conf().pci_passthrough.mixed_nics
    if policy == ALLOW or not added:
        return
    types = added | _MIXED & set(beside)
    direct = sorted(types & _UNPLUGGED_TO_MOVE)
    if not direct or types == set(direct):
        return
    text = (
        f'NICs of vnic_type {" and ".join(direct)} and macvtap in one '
        'instance: a macvtap NIC is slower, and of no use for live migration '
        f'while a {direct[0]} NIC has to be unplugged for it; ask for one '
        'kind only'
    )
    if policy == REFUSE:
        raise exception.InvalidNic(text)
    LOG.warning('%s', text)
    asked.warn(text)
