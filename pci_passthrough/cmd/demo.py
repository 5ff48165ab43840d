# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-demo``: the main job on hosts that are made up.

Everything is real but the hardware and the size: agents ask libvirt (its
test driver) and report over oslo.messaging (within this process) to a
conductor, which writes a database (SQLite). The commands shown are those of
the real programs.
"""

from collections.abc import Callable
from collections.abc import Sequence
import pathlib
import shlex
import sys
import tempfile
import time
import uuid

from oslo_log import log as logging

from pci_passthrough import conf as conf_module
from pci_passthrough import store
from pci_passthrough.cmd import agent as agent_cmd
from pci_passthrough.cmd import errors
from pci_passthrough.cmd import manage
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.services import agent
from pci_passthrough.services import conductor
from pci_passthrough.store import hosts

PROG = 'pci-passthrough-demo'

#: What puppet would have put on each of the hosts.
_PCI_INFORMATION = """\
pci_information = {"match": {"class": "network", "dev_type": "type-VF"}, \
"extra_info": {"physical_network": "physnet1", "group": "100g"}}
pci_information = {"match": {"class": "network"}, \
"extra_info": {"physical_network": "physnet1", "group": "whole-nic"}}
pci_information = {"match": {"class": "display", "product_id": "2684"}, \
"exclude": true}
pci_information = [{"class": "display"}, {"e.group": "gpu"}]
pci_information = {"class": "storage", "group": "scratch"}
"""

_FLAVORS = (
    'flavor create 100g --match class=network,e.group=100g --vnic-type direct',
    'flavor create whole-nic --match class=network,e.group=whole-nic',
    'flavor create bigGPU --match vendor_id=10de,product_id=2330',
    'flavor create midGPU --match product_id=20b5 --numa-policy preferred',
    'flavor create scratch --match class=storage,e.group=scratch',
)

#: Columns that fit into a terminal.
_FLAVOR_COLUMNS = "-c Name -c Match -c 'vNIC Type' -c 'NUMA Policy' -c State"
_DEVICE_COLUMNS = (
    '-c Host -c Address -c Type -c Vendor:Product -c State -c Instance'
)
_EVENT_COLUMNS = '-c At -c Action -c From -c To -c Actor'


class DemoError(Exception):
    """Something was not as this demonstration says it is."""


class Demo:
    """The story, in a folder of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._config = folder / 'conductor.conf'
        self._config.write_text(
            '[DEFAULT]\n'
            'host = controller\n'
            'transport_url = fake:/\n'
            f'log_file = {folder}/demo.log\n'
            '[database]\n'
            f'connection = sqlite:///{folder}/pci_passthrough.sqlite\n'
        )
        self._services: list[
            conductor.ConductorService | agent.AgentService
        ] = []

    def run(self) -> None:
        """Tell the whole story.

        :raises: DemoError if it does not end as it should.
        """
        configs = self._write_hosts()
        say(
            '1. On a compute host: what would it offer? The host needs some '
            'devices itself, and keeps them.'
        )
        # First, for it logs to the terminal.
        self._dry_run(configs[1])
        say('2. On the controller: a database and a conductor.')
        self._start_conductor()
        say('3. On each host an agent, which reports to the conductor.')
        self._start_agents(configs)
        self._manage('host list')
        say('4. The operator names what users may ask for: PCI flavors.')
        for command in _FLAVORS:
            self._manage(f'{command} -f value -c uuid')
        self._manage(f'flavor list {_FLAVOR_COLUMNS}')
        say('5. Pools: devices which no request can tell apart, counted now.')
        before = self._pools()
        self._manage('pool list')
        instances = self._claim_all_gpus()
        say('8. Every step was written down; here for one of the GPUs:')
        self._manage(f'device history compute-2/0000:03:00.0 {_EVENT_COLUMNS}')
        say('9. All of it goes back, and the pools are as full as before:')
        for instance in instances:
            self._manage(f'free {instance} -f value -c Host -c Address')
        self._manage('pool list')
        if self._pools() != before:
            raise DemoError('the pools are not what they were')

    def log(self) -> str:
        """Return what the services logged; the folder will be gone."""
        log = self._folder / 'demo.log'
        return log.read_text() if log.exists() else ''

    def stop(self) -> None:
        """Stop agents first, then the conductor."""
        for service in reversed(self._services):
            service.stop()
        for service in reversed(self._services):
            service.wait()

    def _start_conductor(self) -> None:
        conf = conf_module.load([f'--config-file={self._config}'], PROG)
        logging.setup(conf, 'pci_passthrough')
        self._conf = conf
        self._manage('db sync')
        service = conductor.ConductorService(conf)
        service.start()
        self._services.append(service)
        self._database = service.database

    def _write_hosts(self) -> list[pathlib.Path]:
        """Make hosts up; return the configuration of each."""
        configs = []
        for host in inventory.demo_hosts():
            written = testdriver.write_host(host, self._folder)
            config = self._folder / f'{host.name}.conf'
            config.write_text(
                '[DEFAULT]\n'
                f'host = {host.name}\n'
                'transport_url = fake:/\n'
                f'log_file = {self._folder}/demo.log\n'
                '[agent]\n'
                f'connection_uri = {written.uri}\n'
                f'host_root = {written.host_root}\n' + _PCI_INFORMATION
            )
            configs.append(config)
        return configs

    def _start_agents(self, configs: Sequence[pathlib.Path]) -> None:
        """Start one for each host; return when all have reported."""
        for config in configs:
            service = agent.AgentService(
                conf_module.load([f'--config-file={config}'], agent_cmd.PROG)
            )
            service.start()
            self._services.append(service)
        wait_for(
            lambda: len(hosts.get_all(self._database, 60)) == len(configs),
            'reports of all hosts',
        )

    def _claim_all_gpus(self) -> list[str]:
        """Claim until no GPU is left; return the instances.

        :raises: DemoError if that never happens, or happens without a word.
        """
        say(
            '6. Each instance wants a GPU, best a big one, and beside it a '
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
                    '7. That was one too many, and each host says why. Who '
                    'only wants a virtual function is served:'
                )
                self._manage(f'{claim} 100g')
                self._manage(
                    f'device list --state allocated {_DEVICE_COLUMNS}'
                )
                return [*instances, instance]
            instances.append(instance)
        raise DemoError('the GPUs did not run out')

    def _pools(self) -> list[tuple[str, str, int, int]]:
        pools = store.PciDevicePoolList.get_all(
            self._database, store.Catalog(), 60
        )
        return [(p.host, p.product_id, p.count, p.total) for p in pools]

    def _manage(self, command: str, *, may_fail: bool = False) -> int:
        show(f'pci-passthrough-manage {command}')
        result = manage.main(
            [f'--config-file={self._config}', *shlex.split(command)]
        )
        if result and not may_fail:
            raise DemoError(f'{command!r} has failed')
        return result

    def _dry_run(self, config: pathlib.Path) -> None:
        show(f'pci-passthrough-agent --once --dry-run --config-file={config}')
        if agent_cmd.main(['--once', '--dry-run', f'--config-file={config}']):
            raise DemoError('the dry run has failed')


def say(text: str) -> None:
    """Print a sentence of the story."""
    print(f'\n# {text}', flush=True)


def show(command: str) -> None:
    """Print a command before it runs."""
    print(f'\n$ {command}', flush=True)


def wait_for(
    condition: Callable[[], bool], what: str, seconds: float = 20
) -> None:
    """Return as soon as a condition is true.

    :raises: DemoError
    """
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise DemoError(f'there were no {what} within {seconds} seconds')
        time.sleep(0.02)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration in a temporary folder.

    :returns: 0, or 1 if it did not end as it should.
    """
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='pci-passthrough-demo-') as path:
        demo = Demo(pathlib.Path(path))
        try:
            demo.run()
        except (DemoError, *errors.EXPECTED) as error:
            sys.stderr.write(demo.log())
            return errors.report(PROG, error, None)
        finally:
            demo.stop()
    say(f'Done in {time.monotonic() - begin:.1f} seconds.')
    return 0
