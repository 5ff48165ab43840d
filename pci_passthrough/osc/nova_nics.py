# SPDX-License-Identifier: Apache-2.0
"""``nova boot --nic net-id=NET,pci-flavor=10g``.

novaclient accepts no further key in ``--nic``, so this module wraps its
function that parses the option. The NICs which that function returns become
the body of a request later; novaclient has a hook there.
"""

import argparse
from collections.abc import Callable
import functools
import sys
from typing import Any
from typing import TYPE_CHECKING

from novaclient import base
from novaclient import exceptions
from novaclient.v2 import shell

from pci_passthrough.osc import errors
from pci_passthrough.osc import nic
from pci_passthrough.osc import warning

if TYPE_CHECKING:
    import requests


class _NetworkId(str):
    """The ID of a NIC's network, with the PCI flavor of the NIC.

    novaclient copies only the keys of a NIC that it knows into the body, but
    copies their values unchanged. So the PCI flavor stays with its NIC.
    """

    pci_flavor: str


def install() -> None:
    """Make novaclient accept the key.

    novaclient calls this once for each extension that is installed; further
    calls change nothing.
    """
    # A second hook would only set the same key again.
    base.HookableMixin.add_hook('modify_body_for_create', _add_pci_flavors)
    # In a novaclient without this function, --nic goes on refusing the key.
    stock = getattr(shell, '_parse_nics', None)
    if stock is None or isinstance(stock, _NicParser):
        return
    shell._parse_nics = _NicParser(stock)
    for options, keywords in shell.do_boot.arguments:
        if '--nic' in options:
            keywords['help'] += f' {nic.HELP}.'
            keywords['metavar'] = f'{keywords["metavar"][:-1]},{nic.METAVAR}>'


class _NicParser:
    """Parses the options ``--nic`` of a command.

    :param stock: novaclient's own function.
    """

    def __init__(self, stock: Callable[[Any, argparse.Namespace], Any]):
        self._stock = stock
        functools.update_wrapper(self, stock)

    def __call__(self, cs: Any, args: argparse.Namespace) -> Any:
        """Return NICs in the form of novaclient's ``ServerManager.create``.

        :raises novaclient.exceptions.CommandError: an option is invalid.
        """
        cs.client.session.session.hooks['response'].append(_show_warnings)
        try:
            options = [nic.split(option) for option in args.nics]
        except errors.ClientError as error:
            raise exceptions.CommandError(str(error)) from error
        rest = [option for option, _ in options]
        nics = self._stock(cs, _with_nics(args, rest))
        for place, (_, name) in enumerate(options):
            if name is not None:
                network = _NetworkId(nics[place]['net-id'])
                network.pci_flavor = name
                nics[place]['net-id'] = network
        return nics


def _with_nics(
    args: argparse.Namespace, nics: list[str]
) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(args), 'nics': nics})


def _add_pci_flavors(body: Any, **_: Any) -> None:
    """Add PCI flavors to the body of a request that creates a server."""
    networks = body.get('server', {}).get('networks')
    if not isinstance(networks, list):
        return
    for network in networks:
        uuid = network.get('uuid')
        if isinstance(uuid, _NetworkId):
            network[nic.BODY_KEY] = uuid.pci_flavor


def _show_warnings(response: 'requests.Response', **_: Any) -> None:
    for text in warning.texts(response.headers):
        print(f'WARNING: {text}', file=sys.stderr)
