# SPDX-License-Identifier: Apache-2.0
"""A host loses its power while a device is cleaned, and starts again.

The agent and all processes of its handlers end at once. Real programs.
"""

import json
import sys

import psutil

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.tests.functional.services import base
from pci_passthrough.tests.functional.services import programs
from pci_passthrough.tests.functional.store import audit
from pci_passthrough.tests.functional.store import base as store_base

_HOST = 'compute-1'
_GPU = '{"match": {"class": "display"}, "handler": "command:wash"}'

#: Washes a device as soon as it may go on. A forgetful one takes what an
#: earlier one has begun for done: wrong.
_WASH = """
import os, pathlib, sys, time
folder, forgetful = pathlib.Path(sys.argv[1]), sys.argv[2] == 'forgetful'
log = folder / 'washed'
has_begun = log.exists()
with log.open('a') as file:
    print('begin', os.getpid(), file=file)
if forgetful and has_begun:
    sys.exit(0)
while not (folder / 'go').exists():
    time.sleep(0.05)
with log.open('a') as file:
    print('end', os.getpid(), file=file)
"""


class PowerCutTest(base.ServicesTestCase):
    def run_host(self, kind: str) -> None:
        """Start conductor and agent of a host with one GPU.

        :param kind: of the program that washes: ``thorough`` or
            ``forgetful``.
        """
        command = {
            'name': 'wash',
            'program': [sys.executable, '-c', _WASH, str(self.folder), kind],
            'verbs': ['clean'],
        }
        self.start_conductor()
        self.agent = self.start_agent(
            self.write_host(_HOST, nics=1, vfs=1, gpus=1, consumer_gpus=0),
            (_GPU,),
            handler_command=json.dumps(command),
            preparation_interval=1,
        )
        self.wait_for_report(_HOST)
        self.wait_until('available')
        self.caller = self.client()

    def wait_until(self, state: str) -> None:
        programs.wait_for(
            lambda: set(self.states(_HOST).values()) == {state}, state
        )

    def claim(self) -> str:
        owner = store_base.new_id()
        self.caller.claim(
            claims.ClaimRequest(_HOST, owner, [base.request(1, 'gpu')], 'nova')
        )
        return owner

    def lines(self, word: str) -> list[int]:
        """Return the process ids of the lines that the program wrote."""
        log = self.folder / 'washed'
        lines = log.read_text().splitlines() if log.exists() else []
        return [int(x.split()[1]) for x in lines if x.startswith(word)]

    def wait_for_begin(self, times: int) -> None:
        programs.wait_for(
            lambda: len(self.lines('begin')) == times, f'begin {times}'
        )

    def cut_power_while_washing(self) -> None:
        """Free a device; end its host in the middle of the cleaning."""
        self.caller.free(_HOST, self.claim(), 'nova')
        self.wait_for_begin(1)
        self.agent.kill()
        [pid] = self.lines('begin')
        self.assertFalse(psutil.pid_exists(pid))
        self.assertEqual({'cleaning'}, set(self.states(_HOST).values()))
        self.assertRaises(exception.ClaimRefused, self.claim)

    def mistakes(self) -> list[str]:
        """Return what is wrong about a device that is available now."""
        if not self.lines('end'):
            return ['nothing has washed it']
        return audit.unclean(self.db)

    def test_in_the_middle_of_cleaning(self) -> None:
        self.run_host('thorough')
        self.cut_power_while_washing()
        self.agent.start()
        self.wait_for_begin(2)
        self.assertRaises(exception.ClaimRefused, self.claim)
        (self.folder / 'go').touch()
        self.wait_until('available')
        self.assertEqual(self.lines('begin')[1:], self.lines('end'))
        self.claim()
        self.assertEqual([], self.mistakes())

    def test_before_it_has_begun(self) -> None:
        """The instance ends while its host has no power."""
        self.run_host('thorough')
        owner = self.claim()
        self.agent.kill()
        self.caller.free(_HOST, owner, 'nova')
        self.assertRaises(exception.ClaimRefused, self.claim)
        (self.folder / 'go').touch()
        self.agent.start()
        self.wait_until('available')
        self.claim()
        self.assertEqual(1, len(self.lines('end')))
        self.assertEqual([], self.mistakes())

    def test_control(self) -> None:
        """A program that forgets what was cut off is noticed."""
        self.run_host('forgetful')
        self.cut_power_while_washing()
        self.agent.start()
        self.wait_until('available')
        self.assertEqual(['nothing has washed it'], self.mistakes())
