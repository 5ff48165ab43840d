# SPDX-License-Identifier: Apache-2.0
"""nvme-sanitize drives nvme-cli, which a program of this folder stands for."""

import dataclasses
import json
import os
import pathlib
import sys
from typing import Any

import fixtures

from pci_passthrough import handlers
from pci_passthrough.handlers import function_files
from pci_passthrough.handlers import nvme_sanitize
from pci_passthrough.tests.unit.handlers import base

_CRYPTO, _BLOCK, _OVERWRITE = 1, 2, 4
_FORMAT, _MANAGES = 2, 8

#: SSTAT: done, and global data erased.
_ERASED = 0x101


class NvmeSanitizeTest(base.HandlerTest):
    def setUp(self) -> None:
        super().setUp()
        self.nvme = self.address('0108')
        [(name, _)] = self.files(self.nvme).disks().items()
        controller = name.rpartition('n')[0]
        self.place(self.nvme, f'nvme/{controller}/dev').write_text('242:0\n')
        self.node = f'{self.root}/dev/{controller}'
        self.state = self.folder / 'state'
        # Without site-packages it starts in a moment.
        program = self.folder / 'programs' / 'nvme'
        program.parent.mkdir()
        source = pathlib.Path(__file__).with_name('nvme').read_text()
        program.write_text(f'#!{sys.executable} -SE\n{source}')
        program.chmod(0o755)
        for variable, value in (
            ('PATH', f'{program.parent}:{os.environ["PATH"]}'),
            ('FAKE_NVME', str(self.state)),
        ):
            self.useFixture(fixtures.EnvironmentVariable(variable, value))
        for target, replacement in (
            # Nodes with numbers can be made by root only.
            (
                'pci_passthrough.handlers.function_files.FunctionFiles.'
                'open_node',
                lambda *_arguments: os.open('/dev/null', os.O_RDONLY),
            ),
            ('pci_passthrough.handlers.nvme_sanitize._PAUSE', 0),
            ('pci_passthrough.handlers.driver_binding.PATIENCE', 0.2),
        ):
            self.useFixture(fixtures.MonkeyPatch(target, replacement))

    def set_up(
        self,
        sanicap: int = 0,
        oacs: int = _FORMAT,
        fna: int = 0,
        cmic: int = 0,
        **state: Any,
    ) -> None:
        self.state.write_text(
            json.dumps(
                {
                    'controller': {
                        'sanicap': sanicap,
                        'oacs': oacs,
                        'fna': fna,
                        'cmic': cmic,
                        'cntlid': 3,
                        # As nvme-cli writes large numbers.
                        'unvmcap': str(512 << 20),
                    },
                    'namespaces': [1, 2],
                    'detached': [],
                    'nmic': 0,
                    'controllers': [3],
                    'primary': 3,
                    'secondary': [],
                    'sanitize': [0, 0],
                    'result': _ERASED,
                    'calls': [],
                    **state,
                }
            )
        )

    @property
    def calls(self) -> list[str]:
        """The calls that change something, without the node."""
        calls = json.loads(self.state.read_text())['calls']
        for call in calls:
            self.assertEqual(self.node, call[1])
        return [
            ' '.join([call[0], *call[2:]])
            for call in calls
            if not call[0].startswith(('id-', 'list-', 'sanitize-log'))
        ]

    def run_verb(self, verb: str, **changes: Any) -> str:
        handler = nvme_sanitize.NvmeSanitizeHandler(None, self.host)
        device = dataclasses.replace(self.device(self.nvme), **changes)
        output: str = getattr(handler, verb)(device, self.report)
        return output

    def fails(self, verb: str, **changes: Any) -> str:
        error = self.assertRaises(
            handlers.HandlerError, self.run_verb, verb, **changes
        )
        return f'{error} {error.output}'

    def test_quickest_sanitize_that_the_controller_has(self) -> None:
        for capabilities, action in (
            (_CRYPTO | _BLOCK | _OVERWRITE, '--sanact=4'),
            (_BLOCK | _OVERWRITE, '--sanact=2'),
            (_OVERWRITE, '--sanact=3 --owpass=1'),
        ):
            with self.subTest(capabilities):
                self.set_up(capabilities)
                self.run_verb('clean')
                self.assertEqual([f'sanitize {action}'], self.calls)
                self.assertIn('erased', self.run_verb('verify'))
        percents = [percent for percent, _ in self.progress]
        self.assertEqual([0, 0, 25, 50, 75], percents[:5])

    def test_sanitize_that_was_in_progress_is_followed(self) -> None:
        self.set_up(_CRYPTO, sanitize=[2, 2])
        self.assertIn('was in progress', self.run_verb('clean'))
        self.assertEqual([], self.calls)
        self.run_verb('verify')

    def test_sanitize_that_fails(self) -> None:
        self.set_up(_BLOCK, result=3)
        self.assertIn('SSTAT 0x0003', self.fails('clean'))
        self.assertIn('does not say', self.fails('verify'))

    def test_data_written_since_then(self) -> None:
        # "Global data erased" is reset by the first write.
        self.set_up(_CRYPTO, sanitize=[1, 0])
        self.assertIn('does not say', self.fails('verify'))

    def test_format_without_sanitize(self) -> None:
        for fna, setting in ((0, 1), (4, 2)):
            self.set_up(fna=fna)
            self.run_verb('clean')
            calls = [call.rpartition('=') for call in self.calls]
            self.assertEqual(
                [
                    f'format --namespace-id={number} --ses={setting} '
                    '--force --timeout'
                    for number in (1, 2)
                ],
                [words for words, _, _ in calls],
            )
            for _, _, milliseconds in calls:
                # It ends before the agent ends the verb.
                self.assertLess(int(milliseconds), self.host.timeout * 1000)
                self.assertGreater(int(milliseconds), 10**6)
        self.assertIn('no log', self.run_verb('verify'))

    def test_namespaces_that_the_owner_has_detached(self) -> None:
        self.set_up(oacs=_FORMAT | _MANAGES, namespaces=[], detached=[7])
        self.assertIn('namespaces 7', self.run_verb('clean'))
        self.assertIn('--namespace-id=7', self.calls[0])
        self.set_up(oacs=_FORMAT | _MANAGES, namespaces=[])
        self.assertIn('no namespace', self.fails('clean'))

    def test_virtual_function_never_sanitizes(self) -> None:
        self.set_up(_CRYPTO)
        parent = self.address('02')
        self.run_verb('clean', parent_addr=parent)
        self.assertEqual(
            ['format', 'format'], [call.split()[0] for call in self.calls]
        )
        for fna in (1, 2):
            self.set_up(_CRYPTO, fna=fna)
            self.assertIn(
                'would erase', self.fails('clean', parent_addr=parent)
            )
            self.assertEqual([], self.calls)

    def test_namespace_that_others_can_have(self) -> None:
        self.set_up(nmic=1)
        parent = self.address('02')
        self.assertIn(
            'namespace 1 can', self.fails('clean', parent_addr=parent)
        )
        self.assertEqual([], self.calls)
        self.run_verb('clean')
        self.assertNotEqual([], self.calls)

    def test_controllers_of_one_subsystem(self) -> None:
        for sanicap in (_CRYPTO, 0):
            for controllers, primary, others in (
                ([3], 3, None),
                ([3, 10, 11], 3, None),
                ([3, 10, 11], 9, '10, 11;'),
                ([3, 4, 10, 11], 3, 'too: 4;'),
                ([], 3, None),
            ):
                with self.subTest(f'{sanicap} {controllers} {primary}'):
                    self.set_up(
                        sanicap,
                        cmic=2,
                        controllers=controllers,
                        primary=primary,
                        secondary=[10, 11],
                    )
                    if others is None:
                        self.run_verb('clean')
                        self.assertNotEqual([], self.calls)
                    else:
                        self.assertIn(others, self.fails('clean'))
                        self.assertEqual([], self.calls)
        self.set_up(_CRYPTO, cmic=2, fails='list-ctrl')
        self.assertIn('status 2', self.fails('clean'))
        self.assertEqual([], self.calls)

    def test_controller_that_can_neither(self) -> None:
        self.set_up(oacs=0)
        self.assertIn('use the handler wipe', self.fails('clean'))

    def test_namespaces_come_back(self) -> None:
        self.set_up(oacs=_MANAGES, namespaces=[])
        self.assertIn('1048576 blocks', self.run_verb('setup'))
        self.assertEqual(
            [
                'create-ns --nsze=1048576 --ncap=1048576 --flbas=0',
                'attach-ns --namespace-id=1 --controllers=3',
                'ns-rescan',
            ],
            self.calls,
        )
        self.assertEqual('namespaces: 1', self.run_verb('setup'))
        self.set_up(oacs=0, namespaces=[])
        self.assertIn('cannot create', self.fails('setup'))

    def test_nvme_cli_that_fails(self) -> None:
        self.set_up(_CRYPTO, fails='sanitize')
        self.assertIn('Invalid Field', self.fails('clean'))
        self.set_up(_CRYPTO, fails='id-ctrl')
        self.assertIn('status 2', self.fails('clean'))

    def test_function_without_controller(self) -> None:
        self.set_up(_CRYPTO)
        self.useFixture(
            fixtures.MonkeyPatch(
                f'{function_files.__name__}.FunctionFiles.nvme_controllers',
                lambda self: {},
            )
        )
        self.assertIn('its driver is nvme', self.fails('clean'))
        self.assertEqual([], self.calls)

    def test_comes_back_from_a_guest_driver(self) -> None:
        self.simulate_drivers()
        self.set_up(_CRYPTO)
        self.place(self.nvme, 'driver').unlink()
        self.place(self.nvme, 'driver').symlink_to(
            '/sys/bus/pci/drivers/vfio-pci'
        )
        self.assertIn('bound to nvme', self.run_verb('clean'))
        self.assertEqual('', self.read(self.nvme, 'driver_override'))
