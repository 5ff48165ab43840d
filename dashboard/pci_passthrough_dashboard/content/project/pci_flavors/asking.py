# SPDX-License-Identifier: Apache-2.0
"""How users ask for a PCI flavor: properties and commands to copy. Pure."""

import shlex
from typing import Any
from typing import NamedTuple

from django.utils.translation import gettext_lazy as _


class Way(NamedTuple):
    """One way to ask, with text that can be copied."""

    title: Any
    text: Any
    command: str


def ways(name: str, vnic_type: str | None) -> list[Way]:
    """Return the ways to ask for a PCI flavor.

    :param name: the name of the PCI flavor, which may have any printable
        character.
    :param vnic_type: that of the PCI flavor.
    """
    extra_spec = f'pci_passthrough:pci_flavor={name}:1'
    nic = shlex.quote(f'net-id=NETWORK,pci-flavor={name}')
    tag = shlex.quote(f'pci-flavor={name}')
    return [
        Way(
            _('Extra spec of a Nova flavor'),
            _(
                'Each server of the Nova flavor gets one device. An '
                'administrator sets it.'
            ),
            extra_spec,
        ),
        Way(
            _('Command for the Nova flavor'),
            _('FLAVOR is the name of the Nova flavor.'),
            f'openstack flavor set --property {shlex.quote(extra_spec)} '
            'FLAVOR',
        ),
        Way(
            _('NIC of a new server'),
            _('The NIC is a device on the network. Needs the client plugin.'),
            f'openstack server create --flavor FLAVOR --image IMAGE '
            f'--nic {nic} SERVER',
        ),
        Way(
            _('Port'),
            _(
                'Any tool that can use a port can use this one, without '
                'knowing of PCI flavors.'
            ),
            'openstack port create --network NETWORK --vnic-type '
            f'{vnic_type or "direct"} --tag {tag} PORT',
        ),
    ]
