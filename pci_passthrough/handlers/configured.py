# SPDX-License-Identifier: Apache-2.0
"""Checks which handlers the configuration of a host names."""

from collections.abc import Iterable
from collections.abc import Iterator

from oslo_config import cfg

from pci_passthrough import exception
from pci_passthrough import resource_types
from pci_passthrough.handlers import default_handlers
from pci_passthrough.handlers import interface
from pci_passthrough.handlers import privileged
from pci_passthrough.handlers import registry as registry_module
from pci_passthrough.objects import device as device_obj
from pci_passthrough.specs import handler_command
from pci_passthrough.specs import lint
from pci_passthrough.specs import pci_information


def registry_for(
    conf: cfg.ConfigOpts,
    root: str | None,
    entries: Iterable[pci_information.Entry],
) -> registry_module.Registry:
    """Return the handlers of a host, which has all that its entries name.

    :param root: the host's root directory, None if it is elsewhere.
    :raises InvalidPciInformation: an entry names a handler that does not
        exist, or that does not take the argument.
    :raises InvalidConfiguration: a command is malformed or may take longer
        than all handlers, or the handlers have no root directory.
    """
    commands = handler_command.parse(conf.agent.handler_command)
    timeout = conf.agent.handler_timeout
    for command in commands.values():
        if command.timeout > timeout:
            raise exception.InvalidConfiguration(
                f'[agent] handler_command {command.name} may take '
                f'{command.timeout:g} seconds, and handler_timeout ends it '
                f'after {timeout:g}: lower its "timeout", or raise '
                'handler_timeout'
            )
    registry = registry_module.Registry(
        interface.Host(root or '/', commands, timeout)
    )
    for entry in entries:
        try:
            registry.handlers(entry.handlers or ())
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


def defaults_for(
    conf: cfg.ConfigOpts,
    root: str | None,
    registry: registry_module.Registry,
) -> default_handlers.DefaultHandlers:
    """Return the handlers of entries that name none.

    :param root: the host's root directory, None if it is elsewhere.
    """
    is_wanted = conf.agent.default_handlers and root is not None
    return default_handlers.DefaultHandlers(
        registry,
        privileged.startable(conf) if is_wanted else None,
        resource_types.load(),
    )


def unable(
    registry: registry_module.Registry,
    offered: Iterable[tuple[device_obj.PciDevice, pci_information.Entry]],
) -> Iterator[lint.Finding]:
    """Yield a finding for each handler that cannot prepare its device."""
    for device, entry in offered:
        for text in entry.handlers or ():
            obstacle = registry.obstacle(text, device)
            if obstacle is not None:
                yield lint.Finding(
                    f'entry {entry.index} {entry.text}',
                    'handler',
                    f'{text} cannot prepare {device.address}, which will be '
                    f'quarantined: {obstacle}',
                    'name another handler, or match fewer devices',
                    is_mistake=True,
                )
