# SPDX-License-Identifier: Apache-2.0
"""``openstack port …``: PCI flavors of ports, which are tags for Neutron.

Each command extends the one of python-openstackclient (OSC) with the option
``--pci-flavor``, and translates it into OSC's options for tags and for the
vnic_type. It replaces OSC's own, because OSC takes the last command of a name.
"""

import argparse
from collections.abc import Iterable
from typing import Any
from typing import cast

from openstack import exceptions as sdk_exceptions
from openstackclient.network.v2 import port
from osc_lib import exceptions

from pci_passthrough.osc import nic
from pci_passthrough.osc.v1 import base
from pci_passthrough.sdk import pci_flavor
from pci_passthrough.sdk import proxy

_OPTION = f'--{nic.KEY}'

#: Neutron refuses longer tags.
_MAX_TAG_LENGTH = 255


class CreatePort(port.CreatePort):
    """Create a new port."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the PCI flavor."""
        parser = super().get_parser(prog_name)
        _add_pci_flavor(
            parser,
            'the NIC of the port is a device of this PCI flavor (name or '
            'UUID) that is on the network; the port gets its vnic_type, '
            'unless --vnic-type is given',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Create the port."""
        if parsed_args.pci_flavor is not None:
            flavor = _service(self).get_pci_flavor(parsed_args.pci_flavor)
            parsed_args.tags = _with_tag(parsed_args, flavor, ())
            if parsed_args.vnic_type is None:
                parsed_args.vnic_type = _vnic_type(flavor)
        created: base.Output = super().take_action(parsed_args)
        return created


class SetPort(port.SetPort):
    """Set port properties."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the PCI flavor."""
        parser = super().get_parser(prog_name)
        _add_pci_flavor(
            parser,
            'from its next server on, the NIC of the port is a device of this '
            'PCI flavor (name or UUID), instead of any other; the port gets '
            'its vnic_type, unless --vnic-type is given',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change the port."""
        if parsed_args.pci_flavor is not None:
            flavor = _service(self).get_pci_flavor(parsed_args.pci_flavor)
            known = _port(self, parsed_args)
            others = [tag for tag in known.tags if not _names_flavor(tag)]
            kept = () if parsed_args.no_tag else others
            parsed_args.tags = _with_tag(parsed_args, flavor, kept)
            parsed_args.no_tag = True
            vnic_type = _vnic_type(flavor)
            # Neutron does not change that of a bound port, not even to what
            # it is.
            if (
                parsed_args.vnic_type is None
                and known.binding_vnic_type != vnic_type
            ):
                parsed_args.vnic_type = vnic_type
            if known.device_id:
                self.log.warning(
                    'Port %s is in use by %s, which keeps its device; the PCI '
                    'flavor counts when the port is attached again',
                    parsed_args.port,
                    known.device_id,
                )
        super().take_action(parsed_args)


class UnsetPort(port.UnsetPort):
    """Unset port properties."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the PCI flavor."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            _OPTION,
            action='store_true',
            help='remove the PCI flavor of the port; its vnic_type stays',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change the port."""
        if parsed_args.pci_flavor:
            known = _port(self, parsed_args)
            removed = [tag for tag in known.tags if _names_flavor(tag)]
            parsed_args.tags = [*(parsed_args.tags or ()), *removed]
        super().take_action(parsed_args)


class ListPort(port.ListPort):
    """List ports."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the PCI flavor."""
        parser = super().get_parser(prog_name)
        _add_pci_flavor(
            parser, 'list only ports of this PCI flavor (name or UUID)'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return columns and rows."""
        name = parsed_args.pci_flavor
        if name is not None:
            if parsed_args.any_tags:
                raise exceptions.CommandError(
                    f'give either {_OPTION} or --any-tags: Neutron cannot '
                    'combine them'
                )
            parsed_args.any_tags = _tags(_service(self), name)
        listed: base.Output = super().take_action(parsed_args)
        return listed


def _add_pci_flavor(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument(
        _OPTION, metavar=f'<{nic.KEY}>', type=nic.not_empty, help=text
    )


def _service(command: Any) -> proxy.Proxy:
    return cast(proxy.Proxy, command.app.client_manager.pci_passthrough)


def _port(command: Any, parsed_args: argparse.Namespace) -> Any:
    """Return the port of a command from Neutron."""
    return command.app.client_manager.network.find_port(
        parsed_args.port, ignore_missing=False
    )


def _names_flavor(tag: str) -> bool:
    return tag.startswith(nic.TAG)


def _vnic_type(flavor: pci_flavor.PciFlavor) -> str:
    return flavor.vnic_type or nic.DEFAULT_VNIC_TYPE


def _with_tag(
    parsed_args: argparse.Namespace,
    flavor: pci_flavor.PciFlavor,
    others: Iterable[str],
) -> list[str]:
    """Return the tags of a port with one that names a PCI flavor.

    The tag has the name or UUID that the user wrote, unless it is too long.

    :param others: tags that the port keeps.
    """
    given = parsed_args.tags or ()
    if any(map(_names_flavor, given)):
        raise exceptions.CommandError(
            f'give either {_OPTION} or --tag {nic.TAG}…: a port has one PCI '
            'flavor'
        )
    tag = f'{nic.TAG}{parsed_args.pci_flavor}'
    if len(tag) > _MAX_TAG_LENGTH:
        tag = f'{nic.TAG}{flavor.uuid}'
    return [*others, *given, tag]


def _tags(service: proxy.Proxy, name: str) -> list[str]:
    """Return the tags that ports of a PCI flavor may have.

    :param name: name or UUID, also of a PCI flavor that is gone.
    """
    names = {name}
    try:
        flavor = service.get_pci_flavor(name)
    except sdk_exceptions.NotFoundException:
        pass
    else:
        names |= {flavor.name, flavor.uuid}
    return [f'{nic.TAG}{name}' for name in sorted(names)]
