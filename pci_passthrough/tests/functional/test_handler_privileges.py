# SPDX-License-Identifier: Apache-2.0
"""Handlers with oslo.privsep's daemons, and a real block device.

Only root can start the daemons without sudo; the tests are skipped otherwise.
"""

import os
import pathlib
import signal
import stat
import subprocess
import sys

import psutil

from pci_passthrough import handlers
from pci_passthrough.handlers import verb_process
from pci_passthrough.handlers import verb_run
from pci_passthrough.tests.functional.services import programs
from pci_passthrough.tests.unit.handlers import base

_SIZE = 8 << 20

#: Prints the effective capabilities of each daemon.
_CAPABILITIES = """
import pathlib
from oslo_config import cfg
from pci_passthrough.handlers import privileged
import psutil
cfg.CONF([], default_config_files=[])
for name, context in privileged.CONTEXTS.items():
    before = set(psutil.Process().children())
    context.start()
    [daemon] = set(psutil.Process().children()) - before
    while True:
        status = pathlib.Path(f'/proc/{daemon.pid}/status').read_text()
        if 'CapInh:\\t0000000000000000' in status and daemon.cwd() == '/':
            break
    print(name, *(l.split()[1] for l in status.splitlines()
                  if l.startswith('CapEff')), flush=True)
"""

#: Prints the capabilities of a program of the daemon for NVMe.
_OF_A_PROGRAM = """
from oslo_privsep import capabilities
from pci_passthrough.handlers import program
from pci_passthrough.handlers.privileged import nvme_admin
needed = {capabilities.CAP_SYS_ADMIN}
capabilities.drop_all_caps_except(needed, needed, [])
nvme_admin.gain_nothing_by_exec()
words = [*nvme_admin._RUN[:-1], 'grep', 'CapEff', '/proc/self/status']
print(program.run(words, 60).text)
"""


class PrivilegesTest(base.HandlerTest):
    def setUp(self) -> None:
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest('needs root')
        path = os.pathsep.join(filter(None, sys.path))
        self.environment = {**os.environ, 'PYTHONPATH': path}

    def loop_device(self) -> tuple[pathlib.Path, str]:
        """Return the image of a new loop device, and the device's number."""
        image = self.folder / 'image'
        image.write_bytes(os.urandom(_SIZE))
        outcome = subprocess.run(
            ['losetup', '--find', '--show', image],
            capture_output=True,
            text=True,
        )
        if outcome.returncode:
            self.skipTest(f'no loop devices: {outcome.stderr}')
        device = outcome.stdout.strip()
        self.addCleanup(
            subprocess.run, ['losetup', '--detach', device], check=True
        )
        number = os.stat(device).st_rdev
        return image, f'{os.major(number)}:{os.minor(number)}'

    def put_disk(self, number: str) -> str:
        """Make a loop device the disk of an NVMe controller."""
        nvme = self.address('0108')
        [name] = self.files(nvme).disks()
        (self.root / 'sys/class/block' / name / 'dev').write_text(
            f'{number}\n'
        )
        node = self.root / 'dev' / name
        node.parent.mkdir()
        major, minor = map(int, number.split(':'))
        os.mknod(node, 0o600 | stat.S_IFBLK, os.makedev(major, minor))
        return nvme

    def run_verb(self, verb: str, text: str, address: str) -> verb_run.Outcome:
        return verb_run.run(
            verb_process.Request(
                verb=handlers.Verb(verb),
                handler=text,
                device=self.device(address),
                host=self.host,
            ),
            programs.PATIENCE,
            self.report,
            lambda: True,
        )

    def test_wipe_of_a_real_block_device(self) -> None:
        image, number = self.loop_device()
        nvme = self.put_disk(number)
        outcome = self.run_verb('verify', 'wipe', nvme)
        self.assertIn('not all zeros', outcome.output)
        outcome = self.run_verb('clean', 'wipe', nvme)
        self.assertTrue(outcome.succeeded, outcome.output)
        self.assertEqual(bytes(_SIZE), image.read_bytes())
        outcome = self.run_verb('verify', 'wipe', nvme)
        self.assertTrue(outcome.succeeded, outcome.output)

    def test_disk_that_the_host_has_open_is_not_wiped(self) -> None:
        image, number = self.loop_device()
        nvme = self.put_disk(number)
        before = image.read_bytes()
        node = next((self.root / 'dev').iterdir())
        # As mount, LVM and RAID do.
        descriptor = os.open(node, os.O_RDONLY | os.O_EXCL)
        try:
            outcome = self.run_verb('clean', 'wipe', nvme)
        finally:
            os.close(descriptor)
        self.assertIn('Device or resource busy', outcome.output)
        self.assertEqual(before, image.read_bytes())

    def test_reset_through_a_daemon(self) -> None:
        gpu = self.address('03')
        outcome = self.run_verb('clean', 'reset', gpu)
        self.assertTrue(outcome.succeeded, outcome.output)
        self.assertEqual('1', self.read(gpu, 'reset'))

    def test_capabilities_of_the_daemons(self) -> None:
        output = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', _CAPABILITIES],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        self.assertEqual(
            {
                'files': 0,
                'nvme': 1 << 21,  # CAP_SYS_ADMIN
                'links': 1 << 12,  # CAP_NET_ADMIN
            },
            {
                line.split()[0]: int(line.split()[1], 16)
                for line in output.splitlines()
            },
        )

    def test_capabilities_of_a_program(self) -> None:
        """Whatever root's user executes would get all of them otherwise."""
        for script, is_limited in (
            (_OF_A_PROGRAM, True),
            (
                _OF_A_PROGRAM.replace('nvme_admin.gain_nothing_by_exec()', ''),
                False,
            ),
        ):
            output = subprocess.run(
                [sys.executable, '-W', 'ignore', '-c', script],
                env=self.environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            self.assertEqual(
                is_limited, int(output.split()[1], 16) == 1 << 21, output
            )

    def test_killed_agent_takes_its_verb_along(self) -> None:
        script = f"""
import json, sys
from pci_passthrough import handlers
from pci_passthrough.handlers import verb_process, verb_run
request = verb_process.Request.from_line(sys.stdin.readline())
verb_run.run(
    request, {programs.PATIENCE},
    lambda percent, text: print(text, flush=True), lambda: True,
)
"""
        gpu = self.address('03')
        marker = self.folder / 'pid'
        command = handlers.Command(
            'wait',
            ('/bin/sh', '-c', f'echo $$ > {marker}.new; '
             f'mv {marker}.new {marker}; exec sleep 3600'),
            ('clean',),
            3600.0,
        )  # fmt: skip
        request = verb_process.Request(
            verb=handlers.Verb.CLEAN,
            handler='command:wait',
            device=self.device(gpu),
            host=handlers.Host(str(self.root), {'wait': command}),
            in_process=True,
        )
        agent = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-c', script],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=self.environment,
            text=True,
        )
        self.addCleanup(agent.wait)
        self.addCleanup(agent.kill)
        assert agent.stdin is not None
        agent.stdin.write(request.to_line())
        agent.stdin.flush()
        programs.wait_for(marker.exists, 'the program')
        program = psutil.Process(int(marker.read_text()))
        verb = program.parent()
        assert verb is not None
        # Nobody else works on the device meanwhile.
        agent.send_signal(signal.SIGKILL)
        for process in (verb, program):
            programs.wait_for(
                lambda process=process: (
                    not process.is_running()  # type: ignore[misc]
                    or process.status() == psutil.STATUS_ZOMBIE
                ),
                f'the end of {process}',
            )
