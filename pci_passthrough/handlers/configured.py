# SPDX-License-Identifier: Apache-2.0
"""Checks which handlers the configuration of a host names."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

from pci_passthrough import exception
from pci_passthrough.handlers import interface
from pci_passthrough.handlers import registry as registry_module
from pci_passthrough.objects import device as device_obj
from pci_passthrough.specs import handler_command
from pci_passthrough.specs import lint
from pci_passthrough.specs import pci_information


def registry_for(
    root: str | None,
    commands: Sequence[str],
    entries: Iterable[pci_information.Entry],
) -> registry_module.Registry:
    """Return the handlers of a host, which has all that its entries name.

    :param root: the host's root directory, None if it is elsewhere.
    :param commands: the values of ``[agent] handler_command``.
    :raises InvalidPciInformation: an entry names a handler that does not
        exist, or that does not take the argument.
    :raises InvalidConfiguration: a command is malformed, or the handlers have
        no root directory.
    """
    registry = registry_module.Registry(
        interface.Host(root or '/', handler_command.parse(commands))
    )
    for entry in entries:
        try:
            registry.handlers(entry.handlers)
        except exception.InvalidConfiguration as error:
            raise exception.InvalidPciInformation(
                entry.text, 'handler', str(error), '{"handler": "reset", …}'
            ) from error
        if entry.handlers and root is None:
            raise exception.InvalidConfiguration(
                f'pci_information entry {entry.text} has handlers, so [agent] '
                "host_root must name the directory with that host's sys and "
                'dev'
            )
    return registry


def unsupported(
    registry: registry_module.Registry,
    offered: Iterable[tuple[device_obj.PciDevice, pci_information.Entry]],
) -> Iterator[lint.Finding]:
    """Yield a finding for each handler that is not made for its device."""
    for device, entry in offered:
        facts = interface.Device.of(device)
        for text, handler in registry.handlers(entry.handlers):
            if not handler.supports(facts):
                yield lint.Finding(
                    f'entry {entry.index} {entry.text}',
                    'handler',
                    f'{text} is not made for {device.address} '
                    f'({device.dev_type}, class {device.pci_class}), which '
                    'will be quarantined',
                    'name another handler, or match fewer devices',
                    is_mistake=True,
                )
