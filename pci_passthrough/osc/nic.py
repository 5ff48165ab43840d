# SPDX-License-Identifier: Apache-2.0
"""The PCI flavor of a NIC: ``--nic net-id=NET,pci-flavor=10g``.

The ``openstack`` and the ``nova`` command both have the option ``--nic`` and
refuse unknown keys. So this key is removed before they parse the option.
"""

import argparse

from pci_passthrough.osc import errors

#: The key in ``--nic``.
KEY = 'pci-flavor'
#: The key in request bodies of Nova's API.
BODY_KEY = 'pci_flavor'
#: The beginning of the tag that a port has in Neutron; the name follows.
TAG = f'{KEY}='
#: Of NICs whose PCI flavor has none.
DEFAULT_VNIC_TYPE = 'direct'

#: Added to the metavar and the help of ``--nic``.
METAVAR = f'{KEY}={KEY}'
HELP = (
    f'{KEY}=<{KEY}>: the NIC is a device of this PCI flavor, given by name '
    'or UUID, on the network (optional; only with a network: the PCI flavor '
    f'of a port is its tag {KEY}=<{KEY}>)'
)

_NETWORK = frozenset(('net-id', 'net-name'))
_PORT = 'port-id'


def split(option: str) -> tuple[str, str | None]:
    """Split the PCI flavor off the value of ``--nic``.

    :param option: value of ``--nic``, as the user wrote it.
    :returns: the value without the PCI flavor, and name or UUID of the PCI
        flavor; None means that the NIC requests no PCI flavor.
    :raises errors.ClientError: the NIC cannot have a PCI flavor; the message
        says what to write instead.
    """
    items = [item.partition('=') for item in option.split(',')]
    names = [value for key, _, value in items if key == KEY]
    if not names:
        return option, None
    _check(names, {key: value for key, _, value in items if key != KEY})
    rest = [''.join(item) for item in items if item[0] != KEY]
    return ','.join(rest), names[0]


def not_empty(text: str) -> str:
    """Parse the argument of an option ``--pci-flavor``.

    :raises argparse.ArgumentTypeError: it is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError('the name or UUID is empty')
    return text


def _check(names: list[str], others: dict[str, str]) -> None:
    if len(names) > 1:
        raise errors.ClientError(
            f'{KEY} is given {len(names)} times, and one NIC has one: give '
            '--nic once for each NIC'
        )
    [name] = names
    if not name:
        raise errors.ClientError(
            f'{KEY} is empty: give the name or the UUID of a PCI flavor, or '
            'leave it out'
        )
    if _PORT in others:
        raise errors.ClientError(
            f'{KEY} cannot be given with {_PORT}: set it for the port, '
            f'openstack port set --{KEY} {name} {others[_PORT]}'
        )
    if not _NETWORK & others.keys():
        raise errors.ClientError(
            f'{KEY} needs a network in the same --nic: '
            f'net-id=<net-uuid>,{KEY}={name}'
        )
