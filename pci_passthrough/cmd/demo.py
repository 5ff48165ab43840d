# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-demo``: the project at work on simulated hosts.

Only the hardware and the size are not real: agents discover devices through
libvirt (its test driver) and report by oslo.messaging (within this process) to
a conductor, which writes a database (SQLite). The demonstration runs the real
programs and prints their command lines.

With ``--api`` it starts the REST API as well, and runs a command of the user's
choice, for example a shell, in which ``openstack pci`` finds the REST API.
"""

import argparse
from collections.abc import Mapping
from collections.abc import Sequence
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
import uuid

import pci_passthrough
from pci_passthrough import store
from pci_passthrough.cmd import agent as agent_cmd
from pci_passthrough.cmd import database_errors
from pci_passthrough.cmd import demo_cloud
from pci_passthrough.cmd import manage
from pci_passthrough.store.claims import starts
from pci_passthrough.store.devices import lookup

PROG = demo_cloud.PROG

_FLAVORS = (
    'flavor create 100g --match class=network,e.group=100g --vnic-type direct',
    'flavor create whole-nic --match class=network,e.group=whole-nic',
    'flavor create bigGPU --match vendor_id=10de,product_id=2330',
    'flavor create midGPU --match product_id=20b5 --numa-policy preferred',
    'flavor create scratch --match class=storage,e.group=scratch',
)

_RESOURCE_FLAVORS = (
    'flavor create quarter-a16 --match resource_type=mdev,e.type=nvidia-558',
    'flavor create crypto-token --match resource_type=usb,e.type=crypto-token',
)

#: Columns that fit into the width of a terminal.
_FLAVOR_COLUMNS = "-c Name -c Match -c 'vNIC Type' -c 'NUMA Policy' -c State"
_DEVICE_COLUMNS = (
    '-c Host -c Address -c Type -c Vendor:Product -c State -c Instance'
)
_RESOURCE_COLUMNS = '-c Address -c Type -c Vendor:Product -c State'
_EVENT_COLUMNS = '-c At -c Action -c From -c To -c Actor'

#: Token of the form that ``authentication.NoAuth`` trusts.
_OPERATOR = 'admin:ops:admin,member,reader'


class Demo(demo_cloud.Cloud):
    """The demonstration, in a folder of its own."""

    def run(self) -> None:
        """Run the demonstration.

        :raises DemoError: a step has another result than it should.
        """
        configs = self.write_hosts()
        say(
            '1. On a compute host: which devices would it offer? It refuses '
            'those that it needs itself.'
        )
        # Before the services, because it sets up logging to the terminal.
        self._dry_run(configs[1])
        say('2. On the controller: a database and a conductor.')
        self._manage('db sync')
        self.start_conductor()
        say('3. On each host: an agent, which reports to the conductor.')
        self.start_agents(configs)
        self._manage('host list')
        say('4. The operator creates PCI flavors: names for devices.')
        for command in _FLAVORS:
            self._manage(f'{command} -f value -c uuid')
        self._manage(f'flavor list {_FLAVOR_COLUMNS}')
        say('5. Pools: devices that no request can distinguish, counted.')
        before = self._pools()
        self._manage('pool list')
        instances = self._claim_all_gpus()
        say('8. The ledger has every step; here those of one GPU:')
        self._manage(f'device history compute-2/0000:03:00.0 {_EVENT_COLUMNS}')
        self._fail_to_start(instances.pop(0))
        say(
            '10. The instances free all devices. The GPUs have a handler: the '
            'agents of their hosts reset them before anybody gets them.'
        )
        for instance in instances:
            self._manage(f'free {instance} -f value -c Host -c Address')
        self._manage(f'device list --state cleaning {_DEVICE_COLUMNS}')
        self.wait_for_cleaning()
        self._manage(f'device history compute-2/0000:03:00.0 {_EVENT_COLUMNS}')
        say('11. When they are clean, the pools are as before:')
        self._manage('pool list')
        if self._pools() != before:
            raise demo_cloud.DemoError('the pools differ from before')
        self._claim_slices()

    def _claim_slices(self) -> None:
        """Claim a slice of a GPU and a USB token; free them."""
        say(
            '12. Not all that can be given away is a PCI function. This host '
            'has a GPU that its driver cuts in slices, and USB devices; the '
            'stick is mounted. The agent makes the slices.'
        )
        self.start_agents([self.write_slices_host()])
        self._manage(f'device list --host compute-4 {_RESOURCE_COLUMNS}')
        say('13. An instance requests a slice and a token:')
        for command in _RESOURCE_FLAVORS:
            self._manage(f'{command} -f value -c uuid')
        instance = str(uuid.uuid5(uuid.NAMESPACE_OID, 'slices'))
        self._manage(
            f'claim {instance} quarter-a16,crypto-token --allocate '
            '-f value -c Host -c Address'
        )
        [used] = [
            device
            for device in lookup.get_all(self.database, instance_uuid=instance)
            if device.resource_type == 'mdev'
        ]
        self._manage(
            "pool list --host compute-4 -c Type -c 'Extra Info' -c Free "
            '-c Total'
        )
        say(
            '14. It frees both. The slice is removed and made anew, so that '
            'nothing of the instance is left in its memory:'
        )
        self._manage(f'free {instance} -f value -c Host -c Address')
        self.wait_for_cleaning()
        self._manage(
            f'device history compute-4/{used.address} {_EVENT_COLUMNS}'
        )

    def _claim_all_gpus(self) -> list[str]:
        """Claim until no GPU is left; return the instances.

        :raises DemoError: the GPUs never ran out.
        """
        say(
            '6. Each instance requests a GPU, if possible a big one, and a '
            'virtual function of a NIC.'
        )
        instances: list[str] = []
        for number in range(1, 20):
            instance = str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))
            claim = f'claim {instance}'
            if self._manage(
                f"{claim} 'bigGPU|midGPU,100g' --allocate", may_fail=True
            ):
                say(
                    '7. No GPU is left for this instance: the reasons, by '
                    'host. A request for a virtual function alone is served:'
                )
                self._manage(f'{claim} 100g')
                self._manage(
                    f'device list --state allocated {_DEVICE_COLUMNS}'
                )
                return [*instances, instance]
            instances.append(instance)
        raise demo_cloud.DemoError('the GPUs did not run out')

    def _fail_to_start(self, instance: str) -> None:
        """Free a GPU; let starts with it fail until it is quarantined.

        :param instance: holds a GPU; no other one is free.
        """
        say(
            '9. An instance frees its GPU. libvirt cannot start the guests of '
            'the next ones with it, nova-compute reports. After the third '
            'time nobody gets it any more; the reason is kept:'
        )
        self._manage(f'free {instance} -f value -c Host -c Address')
        for number in range(1, 4):
            instance = str(uuid.uuid5(uuid.NAMESPACE_OID, f'failed {number}'))
            self.wait_for_cleaning()
            self._manage(
                f"claim {instance} 'bigGPU|midGPU' --allocate "
                '-f value -c Host -c Address'
            )
            [gpu] = lookup.get_all(self.database, instance_uuid=instance)
            starts.failed(
                self.database,
                gpu.host,
                instance,
                f'internal error: vfio {gpu.address}: error opening '
                '/dev/vfio/7: Device or resource busy',
                f'nova-compute/{gpu.host}',
            )
            self._manage(f'free {instance} -f value -c Host -c Address')
        device = f'{gpu.host}/{gpu.address}'
        self._manage(
            f'device show {device} -c state -c failed_starts '
            '-c quarantine_reason -f yaml'
        )
        self._manage(f"claim {instance} 'bigGPU|midGPU'", may_fail=True)
        self._manage(
            f"device set {device} --release --reason 'the card is reseated' "
            '-c state -f value'
        )

    def _pools(self) -> list[tuple[str, str | None, int, int]]:
        pools = store.PciDevicePoolList.get_all(
            self.database, store.Limits(60)
        )
        return [(p.host, p.product_id, p.count, p.total) for p in pools]

    def _manage(self, command: str, *, may_fail: bool = False) -> int:
        show(f'pci-passthrough-manage {command}')
        result = manage.main(
            [f'--config-file={self.config}', *shlex.split(command)]
        )
        if result and not may_fail:
            raise demo_cloud.DemoError(f'{command!r} failed')
        return result

    def _dry_run(self, config: pathlib.Path) -> None:
        show(f'pci-passthrough-agent --once --dry-run --config-file={config}')
        if agent_cmd.main(['--once', '--dry-run', f'--config-file={config}']):
            raise demo_cloud.DemoError('the dry run failed')


def say(text: str) -> None:
    """Print a sentence of the demonstration."""
    print(f'\n# {text}', flush=True)


def show(command: str) -> None:
    """Print a command before it runs."""
    print(f'\n$ {command}', flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration in a temporary folder.

    :returns: 0, or 1 after an error; with ``--api`` the exit status of the
        command.
    """
    parser = argparse.ArgumentParser(PROG, description=__doc__)
    parser.add_argument(
        '--version', action='version', version=pci_passthrough.version()
    )
    parser.add_argument(
        '--api',
        nargs=argparse.REMAINDER,
        metavar='COMMAND',
        help='instead of the demonstration: run this command, by default a '
        'shell, while the REST API is running, for openstack pci',
    )
    command = parser.parse_args(argv).api
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='pci-passthrough-demo-') as path:
        demo = Demo(pathlib.Path(path))
        try:
            if command is not None:
                return _run_with_api(demo, command)
            demo.run()
        except (demo_cloud.DemoError, *database_errors.EXPECTED) as error:
            sys.stderr.write(demo.log())
            return database_errors.report(PROG, error, None)
        except KeyboardInterrupt:
            return 130
        finally:
            demo.stop()
    say(f'Done in {time.monotonic() - begin:.1f} seconds.')
    return 0


def _run_with_api(cloud: demo_cloud.Cloud, command: Sequence[str]) -> int:
    """Run a command while agents, a conductor and the REST API run."""
    configs = cloud.write_hosts()
    cloud.start_conductor()
    cloud.start_agents(configs)
    cloud.register_trackers()
    settings = {
        'OS_AUTH_TYPE': 'admin_token',
        'OS_ENDPOINT': cloud.start_api(),
        'OS_TOKEN': _OPERATOR,
        # pci-passthrough-manage takes its database from this variable.
        'OS_DATABASE__CONNECTION': cloud.database_url,
    }
    if not command:
        say('A cloud of three hosts, until you end this shell with exit.')
        for name, value in settings.items():
            print(f'export {name}={shlex.quote(value)}')
        command = [os.environ.get('SHELL', 'sh')]
    try:
        return subprocess.call(command, env=_environment(settings))  # noqa: S603
    except OSError as error:
        return database_errors.report(PROG, error, None)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with the settings of this cloud.

    It has no ``OS_`` variables of another cloud.
    """
    neutral = {k: v for k, v in os.environ.items() if not k.startswith('OS_')}
    programs = pathlib.Path(sys.executable).parent
    path = os.pathsep.join([str(programs), neutral.get('PATH', os.defpath)])
    return {**neutral, **settings, 'PATH': path}
