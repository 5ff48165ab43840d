# SPDX-License-Identifier: Apache-2.0
"""Finds handlers by the names that entries of pci_information have."""

from collections.abc import Iterable
import importlib.metadata
from typing import Any

from oslo_log import log
import stevedore

from pci_passthrough import exception
from pci_passthrough.handlers import command
from pci_passthrough.handlers import driver
from pci_passthrough.handlers import interface
from pci_passthrough.handlers import mdev
from pci_passthrough.handlers import nvme_sanitize
from pci_passthrough.handlers import reset
from pci_passthrough.handlers import vfs
from pci_passthrough.handlers import wipe
from pci_passthrough.objects import device as device_obj
from pci_passthrough.specs import handler_names

LOG = log.getLogger(__name__)

#: Namespace of the entry points with handlers of other packages.
NAMESPACE = 'pci_passthrough.device_handler'

#: The handlers of this project; no other package can replace them.
SHIPPED: dict[str, type[interface.DeviceHandler]] = {
    'command': command.CommandHandler,
    'driver': driver.DriverHandler,
    'mdev': mdev.MdevHandler,
    'nvme-sanitize': nvme_sanitize.NvmeSanitizeHandler,
    'reset': reset.ResetHandler,
    'vfs': vfs.VfsHandler,
    'wipe': wipe.WipeHandler,
}


class Registry:
    """All handlers that can be used on a host.

    :param host: passed on to the handlers.
    """

    def __init__(self, host: interface.Host) -> None:
        self.host = host
        self._classes: dict[str, Any] = {**_from_elsewhere(), **SHIPPED}

    @property
    def root(self) -> str:
        """The host's root directory."""
        return self.host.root

    @property
    def names(self) -> list[str]:
        """The known names, sorted, without ``none``."""
        return sorted(self._classes)

    def handler(self, text: str) -> interface.DeviceHandler:
        """Return the handler that a text such as ``driver:vfio-pci`` means.

        :raises InvalidConfiguration: there is no such handler, or it does not
            take the argument.
        """
        name, colon, argument = text.partition(':')
        handler_class = self._classes.get(name)
        if handler_class is None:
            raise exception.InvalidConfiguration(
                f'there is no handler {name!r}; known are: '
                f'{", ".join([*self.names, handler_names.NONE])}'
            )
        try:
            handler: interface.DeviceHandler = handler_class(
                argument if colon else None, self.host
            )
        except Exception as error:
            # Of another package, perhaps: ValueError is the documented one.
            reason = str(error) or type(error).__name__
            raise exception.InvalidConfiguration(
                f'handler {text!r}: {reason}'
            ) from error
        return handler

    def handlers(
        self, texts: Iterable[str]
    ) -> list[tuple[str, interface.DeviceHandler]]:
        """Return handlers with their texts.

        :raises InvalidConfiguration: see ``handler``.
        """
        return [(text, self.handler(text)) for text in texts]

    def obstacle(self, text: str, device: device_obj.PciDevice) -> str | None:
        """Return why a handler cannot work on a device; None: nothing known.

        :raises InvalidConfiguration: see ``handler``.
        """
        handler = self.handler(text)
        facts = interface.Device.of(device)
        if not handler.supports(facts):
            return f'it is not made for a {facts.kind}'
        try:
            return handler.obstacle(facts)
        except interface.HandlerError as error:
            return str(error)
        except OSError as error:
            return f'sysfs cannot be read: {error.strerror}'

    def erases_storage(self, texts: Iterable[str]) -> bool:
        """Whether one of some known handlers erases what a device stores."""
        return any(
            handler.erases_storage for _, handler in self.handlers(texts)
        )


def _from_elsewhere() -> dict[str, Any]:
    """Return the handler classes of other packages by name.

    A package that cannot be imported, or that brings no handler, is logged
    and left out: an entry that names its handler is refused.
    """
    manager = stevedore.ExtensionManager(
        NAMESPACE, on_load_failure_callback=_log_failure
    )
    classes = {}
    for extension in manager:
        if not (
            isinstance(extension.plugin, type)
            and issubclass(extension.plugin, interface.DeviceHandler)
        ):
            LOG.error(
                'Ignoring handler %s of %s: %s is no DeviceHandler',
                extension.name,
                extension.entry_point.value,
                extension.plugin,
            )
        elif extension.name in (*SHIPPED, handler_names.NONE):
            LOG.error(
                'Ignoring handler %s of %s: pci_passthrough has one of that '
                'name',
                extension.name,
                extension.entry_point.value,
            )
        else:
            classes[extension.name] = extension.plugin
    return classes


def _log_failure(
    _manager: stevedore.ExtensionManager[Any],
    entry_point: importlib.metadata.EntryPoint,
    error: BaseException,
) -> None:
    LOG.error(
        'Ignoring handler %s of %s, which cannot be imported: %s',
        entry_point.name,
        entry_point.value,
        error,
    )
