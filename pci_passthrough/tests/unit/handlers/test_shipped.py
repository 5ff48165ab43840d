# SPDX-License-Identifier: Apache-2.0
"""Handlers reset, driver, vfs and command, on simulated files."""

import json
import os
import sys
from typing import Any

import fixtures

from pci_passthrough import exception
from pci_passthrough import handlers
from pci_passthrough.handlers import program
from pci_passthrough.handlers.privileged import vf_links
from pci_passthrough.specs import handler_command
from pci_passthrough.tests.unit.handlers import base

CLEAN, VERIFY, SETUP = handlers.Verb


class ShippedTest(base.HandlerTest):
    def handler(self, text: str) -> handlers.DeviceHandler:
        return handlers.Registry(self.host).handler(text)

    def run_verb(self, text: str, verb: str, address: str) -> str:
        output: str = getattr(self.handler(text), verb)(
            self.device(address), self.report
        )
        return output

    def fails(self, text: str, verb: str, address: str) -> str:
        error = self.assertRaises(
            handlers.HandlerError, self.run_verb, text, verb, address
        )
        return str(error)

    def test_reset(self) -> None:
        gpu = self.address('03')
        self.assertEqual((CLEAN,), self.handler('reset').verbs())
        output = self.run_verb('reset', 'clean', gpu)
        self.assertEqual('1', self.read(gpu, 'reset'))
        self.assertIn('flr bus', output)

    def test_reset_without_a_method(self) -> None:
        gpu = self.address('03')
        self.place(gpu, 'reset_method').write_text('\n')
        self.assertIn('switched off', self.fails('reset', 'clean', gpu))
        self.place(gpu, 'reset_method').unlink()
        self.assertIn('unknown', self.run_verb('reset', 'clean', gpu))
        self.place(gpu, 'reset').unlink()
        self.assertIn('offers no reset', self.fails('reset', 'clean', gpu))

    def test_reset_that_the_kernel_refuses(self) -> None:
        if os.geteuid() == 0:
            # Root may write any file, but no directory.
            self.place(self.address('03'), 'reset').unlink()
            self.place(self.address('03'), 'reset').mkdir()
        else:
            self.place(self.address('03'), 'reset').chmod(0)
        self.assertIn(
            'the reset failed: ',
            self.fails('reset', 'clean', self.address('03')),
        )

    def test_driver(self) -> None:
        self.simulate_drivers()
        nic = self.address('02', is_vf=True)
        output = self.run_verb('driver:vfio-pci', 'setup', nic)
        self.assertEqual('vfio-pci', self.files(nic).driver)
        self.assertIn('before: iavf', output)
        self.assertEqual('vfio-pci', self.read(nic, 'driver_override'))
        self.assertEqual(
            'is bound to vfio-pci',
            self.run_verb('driver:vfio-pci', 'setup', nic),
        )
        self.assertIn(
            'is the module loaded?',
            self.fails('driver:no-such-driver', 'setup', nic),
        )

    def test_vfs(self) -> None:
        pf = next(a for a, d in self.model.devices.items() if d.vfs)
        written = self.record_numbers(pf)
        self.assertEqual(
            'has 4 virtual functions', self.run_verb('vfs:4', 'setup', pf)
        )
        self.assertEqual([], written)
        self.assertIn('before: 4', self.run_verb('vfs:6', 'setup', pf))
        # The kernel takes a number only while there are none.
        self.assertEqual([0, 6], written)
        self.assertIn('before: 6', self.run_verb('vfs:0', 'setup', pf))
        self.assertEqual([0, 6, 0], written)
        self.assertIn('can have 64', self.fails('vfs:65', 'setup', pf))
        self.assertIn(
            'no SR-IOV', self.fails('vfs:1', 'setup', self.address('03'))
        )

    def record_numbers(self, pf: str) -> list[int]:
        written: list[int] = []

        def write(address: str, number: int) -> None:
            written.append(number)
            for place in self.place(address, '.').glob('virtfn*'):
                place.unlink()
            for index in range(number):
                self.place(address, f'virtfn{index}').symlink_to(
                    f'../0000:99:00.{index}'
                )

        self.useFixture(
            fixtures.MonkeyPatch(
                'pci_passthrough.handlers.privileged.attributes.'
                'set_number_of_vfs',
                write,
            )
        )
        return written

    def test_policy_of_vfs(self) -> None:
        sent = self.record_links()
        pf = next(a for a, d in self.model.devices.items() if d.vfs)
        interface = self.model.devices[pf].interface
        assert interface is not None
        self.run_verb('vfs:4,trust=off,vlan=7', 'setup', pf)
        self.assertEqual(
            [
                (interface.index, {'vf': index, **setting})
                for index in range(4)
                for setting in ({'vlan': 7}, {'trust': 0})
            ],
            sent,
        )
        del sent[:]
        vf = self.model.devices[pf].vfs[2]
        self.run_verb('vfs:mac=forget,spoofchk=on', 'setup', vf)
        self.assertEqual(
            [
                (interface.index, {'vf': 2, 'mac': vf_links.NO_MAC}),
                (interface.index, {'vf': 2, 'spoofchk': 1}),
            ],
            sent,
        )
        self.assertFalse(self.handler('vfs:4').supports(self.device(vf)))
        self.assertFalse(self.handler('vfs:vlan=0').supports(self.device(pf)))

    def record_links(self) -> list[tuple[int, dict[str, Any]]]:
        sent: list[tuple[int, dict[str, Any]]] = []

        class _Route:
            def __enter__(self) -> '_Route':
                return self

            def __exit__(self, *_details: object) -> None:
                pass

            def link(
                self, command: str, index: int, vf: dict[str, Any]
            ) -> None:
                assert command == 'set'
                sent.append((index, vf))

        self.useFixture(fixtures.MonkeyPatch('pyroute2.IPRoute', _Route))
        return sent

    def test_command(self) -> None:
        script = (
            'import json, os, sys; facts = json.load(sys.stdin); '
            'print(facts["verb"], facts["device"]["address"], '
            'os.environ["PCI_ADDRESS"], os.environ["PCI_VERB"], '
            'facts["device"]["extra_info"]["group"], sys.argv[1:])'
        )
        gpu = self.address('03')
        output = self.command(['-c', script, '$(id); x'], gpu)
        self.assertEqual(
            f"clean {gpu} {gpu} clean a ['$(id); x']", output.strip()
        )

    def command(
        self, arguments: list[str], address: str, timeout: float = 60
    ) -> str:
        self.host = handlers.Host(
            str(self.root),
            handler_command.parse(
                [
                    json.dumps(
                        {
                            'name': 'wash',
                            'program': [sys.executable, *arguments],
                            'verbs': ['clean', 'setup'],
                            'timeout': timeout,
                        }
                    )
                ]
            ),
        )
        self.assertEqual((CLEAN, SETUP), self.handler('command:wash').verbs())
        return self.run_verb('command:wash', 'clean', address)

    def test_command_that_fails(self) -> None:
        gpu = self.address('03')
        for script, timeout, reason in (
            ('import sys; print("bad", flush=True); sys.exit(3)', 60,
             'status 3'),
            ('import os; print("bad", flush=True); os.kill(os.getpid(), 9)',
             60, 'signal 9'),
            ('import time; print("bad", flush=True); time.sleep(3600)', 1,
             'more than 1 seconds'),
        ):  # fmt: skip
            with self.subTest(reason):
                error = self.assertRaises(
                    handlers.HandlerError,
                    self.command,
                    ['-c', script],
                    gpu,
                    timeout,
                )
                self.assertIn(reason, str(error))
                self.assertEqual('bad', error.output.strip())

    def test_long_output_is_bounded(self) -> None:
        output = self.command(
            ['-c', 'print("x" * 10**7 + "end")'], self.address('03')
        )
        self.assertTrue(output.startswith('[…]xxx'), output[:20])
        self.assertTrue(output.endswith('xend\n'), output[-20:])
        self.assertLess(len(output), program.MOST_OUTPUT + 10)

    def test_input_that_the_program_does_not_read(self) -> None:
        result = program.run(['true'], 60, stdin=b'x' * 10**7)
        self.assertEqual(0, result.status)

    def test_wrong_arguments(self) -> None:
        for text in (
            'reset:hard', 'wipe:x', 'nvme-sanitize:x', 'driver', 'driver:',
            'driver:../x', 'vfs', 'vfs:', 'vfs:x', 'vfs:-1', 'vfs:4,vlan=4095',
            'vfs:4,trust=yes', 'vfs:4,mac=00', 'command', 'command:other',
            'none-such', 'none',
        ):  # fmt: skip
            with self.subTest(text):
                self.assertRaises(
                    exception.InvalidConfiguration, self.handler, text
                )

    def test_unknown_handler_names_the_known_ones(self) -> None:
        error = self.assertRaises(
            exception.InvalidConfiguration, self.handler, 'nvme'
        )
        for name in (
            'command', 'driver', 'none', 'nvme-sanitize', 'reset', 'vfs',
            'wipe',
        ):  # fmt: skip
            self.assertIn(name, str(error))
