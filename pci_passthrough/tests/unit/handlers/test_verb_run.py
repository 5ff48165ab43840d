# SPDX-License-Identifier: Apache-2.0
"""Verbs in their own processes, with a handler that another package brings."""

import contextlib
import os
import pathlib
import sys
import textwrap
import threading
from typing import Any

import fixtures
import psutil

from pci_passthrough import handlers
from pci_passthrough.handlers import device_lock
from pci_passthrough.handlers import verb_process
from pci_passthrough.handlers import verb_run
from pci_passthrough.tests.functional.services import programs
from pci_passthrough.tests.unit.handlers import base

#: A package of another vendor, as in the documentation.
_MODULE = '''
import os
import pathlib
import subprocess
import time

from pci_passthrough import handlers


class Wash(handlers.DeviceHandler):
    """Washes devices with water of a given temperature."""

    def __init__(self, argument, host):
        super().__init__(None, host)
        self.temperature = int(argument)

    def supports(self, device):
        return device.pci_class.startswith('03')

    def clean(self, device, progress):
        progress(50, f'washing {device.address}')
        print('a line that must not disturb anybody')
        return f'washed at {self.temperature} degrees'

    def verify(self, device, progress):
        raise handlers.HandlerError('still dirty', 'a stain')

    def setup(self, device, progress):
        if self.temperature == 1:
            os._exit(7)
        if self.temperature == 2:
            raise ZeroDivisionError('a defect')
        subprocess.Popen(['sleep', '3600'])
        progress(None, str(os.getpid()))
        time.sleep(3600)
'''


class VerbRunTest(base.HandlerTest):
    def setUp(self) -> None:
        super().setUp()
        package = self.folder / 'package'
        info = package / 'washing-1.0.dist-info'
        info.mkdir(parents=True)
        (package / 'washing.py').write_text(textwrap.dedent(_MODULE))
        (info / 'METADATA').write_text('Name: washing\nVersion: 1.0\n')
        (info / 'entry_points.txt').write_text(
            '[pci_passthrough.device_handler]\nwash = washing:Wash\n'
            'reset = washing:Wash\nbroken = washing:Nothing\n'
            'none = washing:Wash\nodd = os:path\n'
        )
        path = os.pathsep.join([str(package), *filter(None, sys.path)])
        self.useFixture(fixtures.EnvironmentVariable('PYTHONPATH', path))
        self.useFixture(fixtures.PythonPathEntry(str(package)))
        self.addCleanup(sys.modules.pop, 'washing', None)
        # Otherwise this process knows the entry points that it has read once.
        self.useFixture(
            fixtures.MonkeyPatch(
                'stevedore.extension.ExtensionManager.ENTRY_POINT_CACHE', {}
            )
        )
        self.gpu = self.address('03')

    def run_verb(
        self, verb: str, text: str, address: str = '', **settings: Any
    ) -> verb_run.Outcome:
        request = verb_process.Request(
            verb=handlers.Verb(verb),
            handler=text,
            device=self.device(address or self.gpu),
            host=self.host,
            in_process=True,
        )
        settings = {
            'timeout': programs.PATIENCE,
            'still_wanted': lambda: True,
            **settings,
        }
        return verb_run.run(request, on_progress=self.report, **settings)

    def test_request_as_a_line(self) -> None:
        request = verb_process.Request(
            verb=handlers.Verb.CLEAN,
            handler='command:x',
            device=self.device(self.gpu),
            host=handlers.Host(
                '/host',
                {'x': handlers.Command('x', ('/a', 'b'), ('clean',), 1.5)},
                7.5,
            ),
            in_process=True,
            config_files=('a',),
            config_dirs=('b',),
        )
        line = request.to_line()
        self.assertEqual(1, line.count('\n'))
        self.assertEqual(request, verb_process.Request.from_line(line))

    def test_handler_of_another_package(self) -> None:
        logger = self.useFixture(fixtures.FakeLogger())
        registry = handlers.Registry(self.host)
        self.assertIn('wash', registry.names)
        # Nobody replaces what this project ships.
        self.assertEqual(
            'ResetHandler', type(registry.handler('reset')).__name__
        )
        for name in ('reset', 'none', 'broken', 'odd'):
            self.assertIn(f'Ignoring handler {name} of ', logger.output)
        outcome = self.run_verb('clean', 'wash:60')
        self.assertEqual(
            verb_run.Outcome(True, 'washed at 60 degrees'), outcome
        )
        self.assertEqual([(50, f'washing {self.gpu}')], self.progress)

    def test_failure(self) -> None:
        for verb, text, reasons in (
            ('verify', 'wash:60', ['a stain', 'still dirty']),
            ('setup', 'wash:1', ['ended without a result, status 7']),
            ('setup', 'wash:2', ['ZeroDivisionError: a defect']),
            ('clean', 'wash:x', ['invalid literal']),
            ('clean', 'soap', ["no handler 'soap'"]),
        ):
            with self.subTest(text):
                outcome = self.run_verb(verb, text)
                self.assertFalse(outcome.succeeded)
                for reason in reasons:
                    self.assertIn(reason, outcome.output)

    def test_device_of_another_kind(self) -> None:
        outcome = self.run_verb('clean', 'wash:60', self.address('02'))
        self.assertFalse(outcome.succeeded)
        self.assertIn('is not made for type-PF', outcome.output)

    def test_privileged_function(self) -> None:
        self.assertTrue(self.run_verb('clean', 'reset').succeeded)
        self.assertEqual('1', self.read(self.gpu, 'reset'))

    def test_hanging_verb_is_killed_with_its_programs(self) -> None:
        # The time limit begins with the start of the process.
        begun = threading.Event()
        result: list[verb_run.Outcome] = []

        def still_wanted() -> bool:
            if self.progress:
                begun.set()
            return not begun.is_set()

        result.append(
            self.run_verb(
                'setup',
                'wash:60',
                still_wanted=still_wanted,
                question_interval=0.05,
            )
        )
        self.assertFalse(result[0].succeeded)
        self.assertIn('not wanted', result[0].output)
        [(_, text)] = self.progress
        self.assertFalse(psutil.pid_exists(int(text)))
        programs.wait_for(
            lambda: not self.has_process(str(int(text))), 'the end of all'
        )

    def test_program_of_a_verb_that_is_not_wanted_ends(self) -> None:
        marker = self.folder / 'pid'
        script = f'echo $$ > {marker}.new; mv {marker}.new {marker}; sleep 99d'
        command = handlers.Command(
            'wait', ('/bin/sh', '-c', script), ('clean',), 3600.0
        )
        self.host = handlers.Host(str(self.root), {'wait': command})
        outcome = self.run_verb(
            'clean',
            'command:wait',
            still_wanted=lambda: not marker.exists(),
            question_interval=0.05,
        )
        self.assertIn('not wanted', outcome.output)
        program = int(marker.read_text())
        programs.wait_for(
            lambda: not psutil.pid_exists(program), 'the end of the program'
        )

    def test_program_that_escapes_keeps_the_device_locked(self) -> None:
        marker = self.folder / 'pid'
        script = (
            f"setsid sh -c 'echo $$ > {marker}.new; mv {marker}.new {marker};"
            " exec sleep 99d' > /dev/null 2>&1 & "
            f'until [ -e {marker} ]; do sleep 0.01; done; exit 3'
        )
        command = handlers.Command(
            'wait', ('/bin/sh', '-c', script), ('clean',), 3600.0
        )
        self.host = handlers.Host(str(self.root), {'wait': command})
        for name in ('verb_run._END', 'device_lock.PATIENCE'):
            self.useFixture(
                fixtures.MonkeyPatch(f'pci_passthrough.handlers.{name}', 0.2)
            )
        outcome = self.run_verb('clean', 'command:wait')
        program = psutil.Process(int(marker.read_text()))
        self.addCleanup(_kill, program)
        self.assertIn('status 3', outcome.output)
        self.assertIn('left behind: ', outcome.output)
        error = self.assertRaises(
            handlers.HandlerError,
            device_lock.take,
            str(self.root),
            self.gpu,
        )
        self.assertIn('still acts on it: ', str(error))
        program.kill()
        programs.wait_for(
            lambda: device_lock.holder(str(self.root), self.gpu) is None,
            'the end of the lock',
        )
        device_lock.take(str(self.root), self.gpu)
        name = f'process {os.getpid()} ('
        self.assertIn(name, str(device_lock.holder(str(self.root), self.gpu)))

    def has_process(self, session: str) -> bool:
        for process in psutil.process_iter():
            try:
                fields = pathlib.Path(f'/proc/{process.pid}/stat').read_text()
            except OSError:
                continue
            if fields.rpartition(')')[2].split()[3] == session:
                return process.status() != psutil.STATUS_ZOMBIE
        return False

    def test_time_limit(self) -> None:
        outcome = self.run_verb('setup', 'wash:60', timeout=0.1)
        self.assertFalse(outcome.succeeded)
        self.assertIn('did not end within 0.1 seconds', outcome.output)


def _kill(program: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        program.kill()
