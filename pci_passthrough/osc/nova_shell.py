# SPDX-License-Identifier: Apache-2.0
"""``nova pci-flavor-…``: an extension of novaclient.

novaclient makes a command of each function whose name begins with ``do_``;
the docstring is its help. It also calls ``__pre_parse_args__`` before it
parses the command line.
"""

import argparse
import sys
from typing import Any

from novaclient import utils
from openstack import connection as openstack_connection

from pci_passthrough import sdk
from pci_passthrough.osc import errors
from pci_passthrough.osc import match
from pci_passthrough.osc import nova_nics
from pci_passthrough.sdk import errors as sdk_errors
from pci_passthrough.sdk import pci_flavor
from pci_passthrough.sdk import proxy

__pre_parse_args__ = nova_nics.install


def _service(cs: Any) -> proxy.Proxy:
    """Return the service of the cloud that novaclient is logged in to."""
    nova = cs.client
    settings = {
        name: utils.env(f'OS_{name.upper()}', default=None)
        for name in (
            'pci_passthrough_api_version',
            'pci_passthrough_endpoint_override',
        )
    }
    if nova.session.auth is None:
        # novaclient hands it on with each request.
        nova.session.auth = nova.auth
    return sdk.service_of(
        openstack_connection.Connection(
            session=nova.session,
            region_name=nova.region_name,
            interface=nova.interface,
            **settings,
        )
    )


def _print(shown: pci_flavor.PciFlavor) -> None:
    flavor = shown.fields()
    for warning in flavor.pop('warnings', []):
        print(f'warning: {warning["text"]}', file=sys.stderr)
    utils.print_dict(
        {
            **flavor,
            'match': ' or '.join(map(match.format_term, flavor['match'])),
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
    """Decorate a command with the options for a PCI flavor's fields.

    :param new: the command creates a PCI flavor.
    """
    removal = '' if new else ', or "" to remove it'
    texts = {
        'description': f'A text for users{removal}.',
        'vnic-type': 'For NICs: direct, macvtap, direct-physical or vdpa'
        f'{removal}.',
        'numa-policy': f'legacy, preferred, required or socket{removal}.',
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
        # As with decorators, the help shows the last option first.
        for name, keywords in reversed(options):
            utils.add_arg(
                command,
                f'--{name}',
                **{'metavar': f'<{name}>', **keywords},
            )
        return command

    return decorate


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the values of the fields that the user gave; None for ""."""
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
    flavors = _service(cs).pci_flavors(availability=True)
    columns = {
        'UUID': 'uuid',
        'Name': 'name',
        'Availability': 'availability',
        'vNIC Type': 'vnic_type',
        'State': 'state',
        'Description': 'description',
    }
    utils.print_list(
        [flavor.fields() for flavor in flavors],
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
    _print(_service(cs).get_pci_flavor(args.pci_flavor))


@utils.arg('name', metavar='<name>', help='The name that requests will use.')
@_fields(new=True)
def do_pci_flavor_create(cs: Any, args: argparse.Namespace) -> None:
    """Create a PCI flavor."""
    flavor = _service(cs).create_pci_flavor(name=args.name, **_given(args))
    _print(flavor)


@utils.arg('pci_flavor', metavar='<pci-flavor>', help='Name or UUID.')
@utils.arg('--name', metavar='<name>', help='A new name.')
@_fields(new=False)
def do_pci_flavor_update(cs: Any, args: argparse.Namespace) -> None:
    """Change a PCI flavor; instances keep the devices they have by it."""
    changes = _given(args)
    if args.name is not None:
        changes['name'] = args.name
    if not changes:
        raise errors.ClientError('nothing to change was given')
    _print(_service(cs).update_pci_flavor(args.pci_flavor, **changes))


@utils.arg(
    'pci_flavors',
    metavar='<pci-flavor>',
    nargs='+',
    help='Name(s) or UUID(s).',
)
def do_pci_flavor_delete(cs: Any, args: argparse.Namespace) -> None:
    """Delete PCI flavors that no instance holds devices through."""
    service = _service(cs)
    failures = 0
    for name in args.pci_flavors:
        try:
            service.delete_pci_flavor(name, ignore_missing=False)
        except sdk_errors.ServiceError as error:
            failures += 1
            print(error, file=sys.stderr)
        else:
            print(f'PCI flavor {name} has been deleted.')
    if failures:
        raise errors.ClientError(
            f'{failures} of {len(args.pci_flavors)} PCI flavors failed to '
            'delete'
        )
