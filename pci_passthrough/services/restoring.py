# SPDX-License-Identifier: Apache-2.0
"""Sets devices up again that only exist in memory, and removes unplanned ones.

After a start of the host, a mediated device that an instance has does not
exist any more: it must be there before Nova starts the guest.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import threading

from oslo_log import log

from pci_passthrough import exception
from pci_passthrough import handlers
from pci_passthrough import objects
from pci_passthrough import resource_types
from pci_passthrough.discovery import scan
from pci_passthrough.handlers import device_lock
from pci_passthrough.handlers import verb_run
from pci_passthrough.services import device_use
from pci_passthrough.services import turns as turns_module

LOG = log.getLogger(__name__)

#: Runs a verb of a handler on a device.
RunVerb = Callable[[handlers.Verb, str, handlers.Device], verb_run.Outcome]


class Restoring:
    """The thread that makes devices exist as the last scan plans them.

    :param host: this host's name.
    :param registry: the handlers of this host.
    :param types: the resource types besides PCI functions.
    :param verdicts: returns the result of the last scan, None before it.
    :param run_verb: runs one verb, and always returns.
    :param check_unused: raises UntouchableDevice, or an Unavailable.
    :param held: returns the addresses of the devices that instances have, or
        raises an Unavailable.
    :param turns: shared with all that acts on devices.
    :param on_end: called when something has been done.
    """

    def __init__(
        self,
        host: str,
        registry: handlers.Registry,
        types: Mapping[str, resource_types.ResourceType],
        verdicts: Callable[[], scan.Scan | None],
        run_verb: RunVerb,
        check_unused: Callable[[objects.PciDevice], None],
        held: Callable[[], Collection[str]],
        turns: turns_module.Turns,
        on_end: Callable[[], None],
    ) -> None:
        self._host = host
        self._registry = registry
        self._types = types
        self._verdicts = verdicts
        self._run_verb = run_verb
        self._check_unused = check_unused
        self._held = held
        self._turns = turns
        self._on_end = on_end
        self._due = threading.Event()
        self._stopping = threading.Event()
        #: addresses of the devices that nobody planned at the last look
        self._unplanned: frozenset[str] = frozenset()
        #: the last error about each device
        self._errors: dict[str, str] = {}

    def wake(self) -> None:
        """Look at the result of the last scan, in the thread."""
        self._due.set()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopping.set()
        self._due.set()

    def run(self) -> None:
        """Restore and remove until ``stop``."""
        while not self._stopping.is_set():
            self._due.wait()
            self._due.clear()
            verdicts = self._verdicts()
            if verdicts is not None and not self._stopping.is_set():
                self.look(verdicts)

    def look(self, verdicts: scan.Scan) -> None:
        """Set up what is missing, and remove what nobody plans, once."""
        for item in verdicts.offered:
            device = item.device
            for text in self._missing(device):
                self._do(handlers.Verb.SETUP, text, device)
        self._remove_leftovers(
            [
                *(item.device for item in verdicts.offered),
                *(item.device for item in verdicts.refused),
            ]
        )

    def _missing(self, device: objects.PciDevice) -> list[str]:
        """Return the handlers that have to set a device up again."""
        names = device.get('handlers', [])
        if not names:
            return []
        facts = handlers.Device.of(device)
        try:
            return [
                text
                for text, handler in self._registry.handlers(names)
                if not handler.is_set_up(facts)
            ]
        except (
            OSError,
            handlers.HandlerError,
            exception.InvalidConfiguration,
        ) as error:
            self._note_error(device, f'cannot tell whether it exists: {error}')
            return []

    def _do(
        self, verb: handlers.Verb, text: str, device: objects.PciDevice
    ) -> None:
        facts = handlers.Device.of(device)
        place = device_lock.place_of(facts)
        if self._stopping.is_set() or not self._turns.begin(place):
            # Whoever has the turn wakes this thread at its end.
            return
        try:
            outcome = self._run_verb(verb, text, facts)
        finally:
            self._turns.end(place)
        if outcome.succeeded:
            self._errors.pop(str(device.address), None)
            LOG.info('%s %s of %s: %s', text, verb, device.address,
                     outcome.output)  # fmt: skip
        else:
            self._note_error(device, f'{text} {verb}: {outcome.output}')
        self._on_end()

    def _note_error(self, device: objects.PciDevice, text: str) -> None:
        """Log an error, once until it is another one."""
        if self._errors.get(str(device.address)) != text:
            self._errors[str(device.address)] = text
            LOG.warning(
                '%s does not exist as planned: %s. Trying again after each '
                'scan',
                device.address,
                text,
            )

    def _remove_leftovers(self, planned: Iterable[objects.PciDevice]) -> None:
        """Remove devices that two looks after each other find unplanned."""
        leftovers = [
            (resource_type, device)
            for resource_type in self._types.values()
            for device in self._leftovers(resource_type, planned)
        ]
        before = self._unplanned
        self._unplanned = frozenset(
            str(device.address) for _, device in leftovers
        )
        due = [
            (resource_type, device)
            for resource_type, device in leftovers
            if device.address in before
        ]
        if not due:
            return
        try:
            held = self._held()
            for resource_type, device in due:
                if device.address not in held:
                    self._remove(resource_type, device)
        except exception.Unavailable as error:
            LOG.debug('Leaving unplanned devices: %s', error.text)

    def _leftovers(
        self,
        resource_type: resource_types.ResourceType,
        planned: Iterable[objects.PciDevice],
    ) -> Iterable[objects.PciDevice]:
        host = resource_types.Host(name=self._host, root=self._registry.root)
        own = [
            device
            for device in planned
            if device.get('resource_type') == resource_type.name
        ]
        try:
            return list(resource_type.leftovers(host, own))
        except OSError as error:
            LOG.debug('No leftovers of %s: %s', resource_type.name, error)
            return ()

    def _remove(
        self,
        resource_type: resource_types.ResourceType,
        device: objects.PciDevice,
    ) -> None:
        try:
            self._check_unused(device)
        except device_use.UntouchableDevice as error:
            self._note_error(device, f'no entry plans it, but {error}')
            return
        for text in resource_type.default_handlers:
            self._do(handlers.Verb.CLEAN, text, device)
