# SPDX-License-Identifier: Apache-2.0
"""``nova pci-flavor-…``: an extension of novaclient.

It finds what begins with ``do_``; the first text of each is its help. It also
calls what it finds as ``__pre_parse_args__``, before it reads the command.
"""

import argparse
import sys
from typing import Any

from keystoneauth1 import adapter
from novaclient import utils

from pci_passthrough.osc import client
from pci_passthrough.osc import errors
from pci_passthrough.osc import match
from pci_passthrough.osc import microversion
from pci_passthrough.osc import nova_nics

__pre_parse_args__ = nova_nics.install


def _service(cs: Any) -> client.Client:
    """Return the service in the cloud that novaclient is logged in to."""
    nova = cs.client
    return client.Client(
        adapter.Adapter(
            nova.session,
            auth=nova.auth,
            service_type=client.SERVICE_TYPE,
            interface=nova.interface,
            region_name=nova.region_name,
            endpoint_override=utils.env(
                'OS_PCI_PASSTHROUGH_ENDPOINT_OVERRIDE', default=None
            ),
        ),
        microversion.parse(
            utils.env(
                'OS_PCI_PASSTHROUGH_API_VERSION', default=microversion.NEWEST
            )
        ),
    )


def _print(flavor: dict[str, Any]) -> None:
    utils.print_dict(
        {
            **flavor,
            'match': ' or '.join(map(match.typed, flavor['match'])),
        }
    )


def _boolean(text: str) -> bool:
    try:
        return {'true': True, 'false': False}[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(
            f'{text!r} is neither true nor false'
        ) from None


def _fields(new: bool) -> Any:
    """Decorate a command with the options of a PCI flavor's fields."""
    nothing = '' if new else ', or "" for none'
    texts = {
        'description': f'A text for users{nothing}.',
        'vnic-type': 'For NICs: direct, macvtap, direct-physical or vdpa'
        f'{nothing}.',
        'numa-policy': f'legacy, preferred, required or socket{nothing}.',
        'state': 'active, deprecated or disabled.',
    }
    options: list[tuple[str, dict[str, Any]]] = [
        (
            'match',
            {
                'action': 'append',
                'type': match.parse,
                'required': new,
                'help': f'{match.HELP[0].upper()}{match.HELP[1:]}.',
            },
        ),
        *((name, {'help': text}) for name, text in texts.items()),
        (
            'is-public',
            {
                'metavar': '<boolean>',
                'type': _boolean,
                'help': 'true: for all projects; false: for its owner and '
                'projects that it is shared with.',
            },
        ),
    ]

    def decorate(command: Any) -> Any:
        # What comes last is shown first, as it is with decorators.
        for name, keywords in reversed(options):
            words = {'metavar': f'<{name}>', **keywords}
            utils.add_arg(command, f'--{name}', **words)
        return command

    return decorate


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that were given; "" means none."""
    names = (
        'description', 'vnic_type', 'numa_policy', 'state', 'is_public',
        'match',
    )  # fmt: skip
    given = {name: getattr(args, name) for name in names}
    return {
        name: None if value == '' else value
        for name, value in given.items()
        if value is not None
    }


def do_pci_flavor_list(cs: Any, args: argparse.Namespace) -> None:
    """Print the PCI flavors that you may use."""
    found = _service(cs).pci_flavors({'availability': True})
    columns = {
        'UUID': 'uuid',
        'Name': 'name',
        'Availability': 'availability',
        'vNIC Type': 'vnic_type',
        'State': 'state',
        'Description': 'description',
    }
    utils.print_list(
        found,
        list(columns),
        {
            header: lambda flavor, key=key: (
                '-' if flavor.get(key) is None else flavor[key]
            )
            for header, key in columns.items()
        },
    )


@utils.arg('pci_flavor', metavar='<pci-flavor>', help='Name or UUID.')
def do_pci_flavor_show(cs: Any, args: argparse.Namespace) -> None:
    """Show details of a PCI flavor."""
    _print(_service(cs).pci_flavor(args.pci_flavor)[0])


@utils.arg('name', metavar='<name>', help='What requests will say.')
@_fields(new=True)
def do_pci_flavor_create(cs: Any, args: argparse.Namespace) -> None:
    """Create a PCI flavor."""
    values = {'name': args.name, **_given(args)}
    _print(_service(cs).create_pci_flavor(values))


@utils.arg('pci_flavor', metavar='<pci-flavor>', help='Name or UUID.')
@utils.arg('--name', metavar='<name>', help='A new name.')
@_fields(new=False)
def do_pci_flavor_update(cs: Any, args: argparse.Namespace) -> None:
    """Change a PCI flavor; what instances hold through it stays theirs."""
    changes = _given(args)
    if args.name is not None:
        changes['name'] = args.name
    if not changes:
        raise errors.ClientError('nothing to change was given')
    service = _service(cs)
    flavor, etag = service.pci_flavor(args.pci_flavor)
    _print(service.update_pci_flavor(flavor['uuid'], etag, changes))


@utils.arg(
    'pci_flavors',
    metavar='<pci-flavor>',
    nargs='+',
    help='Name(s) or UUID(s).',
)
def do_pci_flavor_delete(cs: Any, args: argparse.Namespace) -> None:
    """Delete PCI flavors which nothing holds devices through."""
    service = _service(cs)
    failures = 0
    for name in args.pci_flavors:
        try:
            service.delete_pci_flavor(name)
        except errors.RequestFailed as error:
            failures += 1
            print(error, file=sys.stderr)
        else:
            print(f'PCI flavor {name} has been deleted.')
    if failures:
        raise errors.ClientError(
            f'{failures} of {len(args.pci_flavors)} PCI flavors failed to '
            'delete'
        )
