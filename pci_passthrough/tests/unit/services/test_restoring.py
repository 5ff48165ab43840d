# SPDX-License-Identifier: Apache-2.0
"""What the agent makes exist again, and what it removes."""

from collections.abc import Iterable
from collections.abc import Sequence

import fixtures
import testtools

from pci_passthrough import exception
from pci_passthrough import handlers
from pci_passthrough import objects
from pci_passthrough import resource_types
from pci_passthrough.discovery import scan
from pci_passthrough.handlers import verb_run
from pci_passthrough.services import device_use
from pci_passthrough.services import restoring
from pci_passthrough.services import turns
from pci_passthrough.specs import pci_information

SERVER, ONE, TWO = '0000:01:00.0', 'slot-1', 'slot-2'

[ENTRY] = pci_information.PciInformation.parse(
    ['{"resource_type": "slot", "serial_number": "*"}']
).entries


class Slots(resource_types.ResourceType):
    """Slots that only exist while somebody remembers them."""

    name = 'slot'
    default_handlers = ('opener',)

    def __init__(self) -> None:
        self.existing: set[str] = set()

    def find(
        self, host: resource_types.Host
    ) -> Iterable[resource_types.Found]:
        return ()

    def leftovers(
        self,
        host: resource_types.Host,
        planned: Iterable[objects.PciDevice],
    ) -> Iterable[objects.PciDevice]:
        wanted = {device.address for device in planned}
        return [slot(address) for address in self.existing - wanted]


class Opener(handlers.DeviceHandler):
    """Opens a slot."""

    slots = Slots()

    def supports(self, device: handlers.Device) -> bool:
        return True

    def is_set_up(self, device: handlers.Device) -> bool:
        if device.address == 'unreadable':
            raise OSError(5, 'Input/output error')
        return device.address in self.slots.existing


def slot(address: str) -> objects.PciDevice:
    return objects.device.described(
        resource_type='slot',
        address=address,
        parent_addr=SERVER,
        handlers=['opener'],
    )


def planned(*addresses: str) -> scan.Scan:
    offered = [scan.Offered(slot(address), ENTRY) for address in addresses]
    return scan.Scan(offered, [], {}, use_unknown=False)


class Registry(handlers.Registry):
    """Knows one handler more."""

    def handlers(
        self, texts: Iterable[str]
    ) -> list[tuple[str, handlers.DeviceHandler]]:
        return [(text, Opener(None, self.host)) for text in texts]


class RestoringTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.slots = Slots()
        self.useFixture(
            fixtures.MonkeyPatch(f'{__name__}.Opener.slots', self.slots)
        )
        self.done: list[tuple[str, str]] = []
        self.held: Sequence[str] | None = ()
        self.used: str | None = None
        self.outcome = verb_run.Outcome(True, 'done')
        self.turns = turns.Turns()
        self.ends = 0
        self.restoring = restoring.Restoring(
            'compute-1',
            Registry(handlers.Host()),
            {'slot': self.slots},
            lambda: None,
            self.run_verb,
            self.check_unused,
            self.who_has,
            self.turns,
            self.count_end,
        )

    def run_verb(
        self, verb: handlers.Verb, text: str, device: handlers.Device
    ) -> verb_run.Outcome:
        self.assertFalse(self.turns.begin(SERVER))
        self.done.append((str(verb), device.address))
        if self.outcome.succeeded and verb == handlers.Verb.SETUP:
            self.slots.existing.add(device.address)
        elif self.outcome.succeeded:
            self.slots.existing.remove(device.address)
        return self.outcome

    def check_unused(self, device: objects.PciDevice) -> None:
        if self.used == device.address:
            raise device_use.UntouchableDevice('the domain g0 has it')

    def who_has(self) -> Sequence[str]:
        if self.held is None:
            raise exception.ConductorUnavailable('no answer')
        return self.held

    def count_end(self) -> None:
        self.ends += 1

    def test_missing_devices_are_set_up(self) -> None:
        self.slots.existing.add(ONE)
        for _ in range(2):
            self.restoring.look(planned(ONE, TWO))
        self.assertEqual([('setup', TWO)], self.done)
        self.assertEqual(1, self.ends)

    def test_a_failure_is_tried_again_and_logged_once(self) -> None:
        self.outcome = verb_run.Outcome(False, 'no memory')
        for _ in range(3):
            self.restoring.look(planned(ONE))
        self.assertEqual([('setup', ONE)] * 3, self.done)
        self.assertEqual(
            f'{ONE} does not exist as planned: opener setup: no memory. '
            'Trying again after each scan\n',
            self.log.output,
        )

    def test_what_cannot_be_read_is_left_alone(self) -> None:
        self.restoring.look(planned('unreadable'))
        self.assertEqual([], self.done)
        self.assertIn('cannot tell whether it exists', self.log.output)

    def test_others_have_their_turn(self) -> None:
        self.turns.begin(SERVER)
        self.restoring.look(planned(ONE))
        self.assertEqual([], self.done)

    def test_leftovers_are_removed_at_the_second_look(self) -> None:
        self.slots.existing |= {ONE, TWO}
        self.restoring.look(planned(ONE))
        self.assertEqual([], self.done)
        self.restoring.look(planned(ONE))
        self.assertEqual([('clean', TWO)], self.done)

    def test_leftovers_that_somebody_has(self) -> None:
        self.slots.existing |= {TWO}
        for held, used, words in (
            ([TWO], None, ''),
            (None, None, ''),
            ([], TWO, 'no entry plans it, but the domain g0 has it'),
        ):
            self.held, self.used = held, used
            for _ in range(3):
                self.restoring.look(planned())
            self.assertIn(words, self.log.output)
        self.assertEqual([], self.done)

    def test_the_thread_ends(self) -> None:
        self.restoring.wake()
        self.restoring.stop()
        self.restoring.run()
        self.assertEqual([], self.done)
