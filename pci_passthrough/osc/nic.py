# SPDX-License-Identifier: Apache-2.0
"""A PCI flavor for a NIC: ``--nic net-id=NET,pci-flavor=10g``.

Both shells have an option ``--nic``, which refuses keys that it does not
know. So this key is taken out before they see it.
"""

from pci_passthrough.osc import errors

#: In the option.
KEY = 'pci-flavor'
#: In the bodies of Nova's API.
BODY_KEY = 'pci_flavor'

#: Beside the keys of the shells, where they show how the option looks.
METAVAR = f'{KEY}={KEY}'
HELP = (
    f'{KEY}=<{KEY}>: the NIC is a device of this PCI flavor, given by name '
    'or UUID, on the network (optional; only with a network: the PCI flavor '
    f'of a port is its tag {KEY}=<{KEY}>)'
)

_NETWORK = frozenset(('net-id', 'net-name'))
_PORT = 'port-id'


def split(option: str) -> tuple[str, str | None]:
    """Take the PCI flavor out of a NIC.

    :param option: value of ``--nic``, as the user wrote it.
    :returns: what remains for the shell, as it was, and name or UUID of the
        PCI flavor; None if none is asked for.
    :raises errors.ClientError: the PCI flavor makes no sense there; it says
        what would.
    """
    items = [item.partition('=') for item in option.split(',')]
    names = [value for key, _, value in items if key == KEY]
    if not names:
        return option, None
    _check(names, {key: value for key, _, value in items if key != KEY})
    rest = [''.join(item) for item in items if item[0] != KEY]
    return ','.join(rest), names[0]


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
            f'{KEY} cannot be given with {_PORT}: tag the port instead, '
            f'openstack port set --tag {KEY}={name} {others[_PORT]}'
        )
    if not _NETWORK & others.keys():
        raise errors.ClientError(
            f'{KEY} needs a network in the same --nic: '
            f'net-id=<net-uuid>,{KEY}={name}'
        )
