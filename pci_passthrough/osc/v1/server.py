# SPDX-License-Identifier: Apache-2.0
"""``openstack server …``: PCI flavors for NICs.

Each command extends the one of python-openstackclient (OSC) with an option.
It replaces OSC's own, because OSC takes the last command of a name.
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
from typing import Any
from typing import TYPE_CHECKING

from openstackclient.compute.v2 import server
from osc_lib import exceptions

from pci_passthrough.osc import errors
from pci_passthrough.osc import nic
from pci_passthrough.osc import warning
from pci_passthrough.osc.v1 import base

if TYPE_CHECKING:
    import requests

#: Attribute in which OSC's options collect the NICs, in their order.
_NICS = 'nics'

_UNKNOWN_RELEASE = (
    'this release of python-openstackclient does not send NICs in a way that '
    'a PCI flavor can be added to'
)


class _NicAction(argparse.Action):
    """Splits the PCI flavor off ``--nic``, and leaves the rest to OSC.

    :param stock: OSC's action, which appends a dictionary for each NIC.
    """

    def __init__(self, stock: argparse.Action) -> None:
        super().__init__(
            stock.option_strings,
            stock.dest,
            nargs=stock.nargs,
            metavar=stock.metavar,
        )
        self._stock = stock

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Append a NIC, which has the PCI flavor as an additional key."""
        try:
            rest, name = nic.split(values)
        except errors.ClientError as error:
            raise argparse.ArgumentError(self, str(error)) from error
        self._stock(parser, namespace, rest, option_string)
        if name is None:
            return
        appended = getattr(namespace, _NICS)[-1]
        if not isinstance(appended, dict):
            raise argparse.ArgumentError(self, _UNKNOWN_RELEASE)
        appended[nic.KEY] = name


class CreateServer(server.CreateServer):
    """Create a new server."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Accept a PCI flavor in ``--nic``."""
        parser = super().get_parser(prog_name)
        # argparse has no public way to change an existing option. If it is
        # not as expected here, OSC goes on refusing the unknown key.
        actions = parser._option_string_actions
        stock = actions.get('--nic')
        if stock is not None and stock.dest == _NICS:
            stock.help = f'{stock.help}\n{nic.HELP}'
            stock.metavar = str(stock.metavar).replace(
                'tag=tag', f'tag=tag,{nic.METAVAR}'
            )
            actions['--nic'] = _NicAction(stock)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Create the server."""
        # NICs can also be the strings 'auto' and 'none'.
        names = [
            network.get(nic.KEY) if isinstance(network, dict) else None
            for network in getattr(parsed_args, _NICS, ())
        ]

        def amend(body: Any) -> None:
            networks = body['server']['networks']
            for network, name in zip(networks, names, strict=True):
                if name is not None:
                    network[nic.BODY_KEY] = name

        with _posting(self, amend if any(names) else None):
            created: base.Output = super().take_action(parsed_args)
        return created


class AddNetwork(server.AddNetwork):
    """Add network to server."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the PCI flavor."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            f'--{nic.KEY}',
            metavar=f'<{nic.KEY}>',
            type=nic.not_empty,
            help='attach a device of this PCI flavor (name or UUID) that is '
            'on the network',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Add the network."""
        name = parsed_args.pci_flavor

        def amend(body: Any) -> None:
            body['interfaceAttachment'][nic.BODY_KEY] = name

        with _posting(self, None if name is None else amend):
            super().take_action(parsed_args)


@contextlib.contextmanager
def _posting(
    command: Any, amend: Callable[[Any], None] | None
) -> Iterator[None]:
    """Amend the body that a command posts to Nova, and show Nova's warnings.

    OSC and the SDK only put keys into a body that they know. Every POST goes
    through one method of the SDK's proxy. Only the body is changed there;
    errors and microversions stay those of OSC.

    :param amend: changes the body; None means that nothing is changed.
    :raises osc_lib.exceptions.CommandError: OSC posts a body of another form.
        Nothing was posted then, unless the message says otherwise.
    """
    compute = command.app.client_manager.sdk_connection.compute
    post = compute.post
    amended = amend is None

    def amend_and_post(url: str, **keywords: Any) -> 'requests.Response':
        nonlocal amended
        if amend is not None:
            try:
                amend(keywords['json'])
            except (KeyError, TypeError, ValueError) as error:
                raise exceptions.CommandError(_UNKNOWN_RELEASE) from error
        amended = True
        response: requests.Response = post(url, **keywords)
        for text in warning.texts(response.headers):
            command.log.warning('%s', text)
        return response

    compute.post = amend_and_post
    try:
        yield
    finally:
        # Uncovers the method of the class.
        del compute.post
    if not amended:
        raise exceptions.CommandError(
            f'{_UNKNOWN_RELEASE}; it may have been done without the PCI flavor'
        )
