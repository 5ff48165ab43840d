# SPDX-License-Identifier: Apache-2.0
"""``nova boot --nic net-id=NET,pci-flavor=10g``.

novaclient has no place for another key, so its function that reads ``--nic``
is wrapped. What it returns becomes a request's body elsewhere, for which
novaclient has a hook.
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
    """A network's ID that knows the PCI flavor which its NIC has.

    Of a NIC, novaclient copies only keys that it knows into the body, but
    their values as they are. So nobody has to remember which NIC it was.
    """

    pci_flavor: str


def install() -> None:
    """Have novaclient take the key.

    It may be called again and again: novaclient does that once for each
    extension that is installed.
    """
    # Nobody minds if a body gets the same key twice.
    base.HookableMixin.add_hook('modify_body_for_create', _add_pci_flavors)
    # Without the function, novaclient refuses the key, as it always did.
    stock = getattr(shell, '_parse_nics', None)
    if stock is None or isinstance(stock, _NicParser):
        return
    shell._parse_nics = _NicParser(stock)
    for options, keywords in shell.do_boot.arguments:
        if '--nic' in options:
            keywords['help'] += f' {nic.HELP}.'
            keywords['metavar'] = f'{keywords["metavar"][:-1]},{nic.METAVAR}>'


class _NicParser:
    """Reads the options ``--nic`` of a command.

    :param stock: novaclient's own.
    """

    def __init__(self, stock: Callable[[Any, argparse.Namespace], Any]):
        self._stock = stock
        functools.update_wrapper(self, stock)

    def __call__(self, cs: Any, args: argparse.Namespace) -> Any:
        """Return NICs as ``ServerManager.create`` takes them.

        :raises novaclient.exceptions.CommandError: an option is wrong.
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
    """Add PCI flavors to what creates a server; all else is left alone."""
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
