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
from pci_passthrough.cmd import manage
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.services import agent
from pci_passthrough.services import conductor
from pci_passthrough.store import hosts

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
    'flavor create 100g --match class=network,e.group=100g '
    '--vnic-type direct --description "a 100 Gbit/s virtual function"',
    'flavor create whole-nic --match class=network,e.group=whole-nic',
    'flavor create bigGPU --match vendor_id=10de,product_id=2330',
    'flavor create midGPU --match vendor_id=10de,product_id=20b5 '
    '--numa-policy preferred',
    'flavor create scratch --match class=storage --match e.group=scratch',
)


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
        self._start_conductor()
        agents = self._start_agents()
        say('Three hosts, which are libvirt test drivers. One of them:')
        self._dry_run(agents[1])
        say('The agents have reported all of it to the conductor:')
        self._manage('host list')
        say('The operator names what users may ask for, while it all runs:')
        for command in _FLAVORS:
            self._manage(command, '-f', 'value', '-c', 'uuid')
        self._manage('flavor list')
        self._manage('device list --host compute-2')
        say('Pools: devices which no request can tell apart, counted now:')
        before = self._pools()
        self._manage('pool list')
        instances = self._claim_all_gpus()
        say('All of it goes back, and the pools are full again:')
        for instance in instances:
            self._manage(f'free {instance}', '-f', 'value')
        self._manage('pool list')
        if self._pools() != before:
            raise DemoError('the pools are not what they were')

    def stop(self) -> None:
        """Stop agents first, then the conductor."""
        for service in reversed(self._services):
            service.stop()
        for service in reversed(self._services):
            service.wait()

    def _start_conductor(self) -> None:
        conf = conf_module.load(
            [f'--config-file={self._config}'], 'pci-passthrough-demo'
        )
        logging.setup(conf, 'pci_passthrough')
        self._conf = conf
        self._manage('db sync')
        service = conductor.ConductorService(conf)
        service.start()
        self._services.append(service)
        self._database = service.database

    def _start_agents(self) -> list[pathlib.Path]:
        """Write hosts and configurations; return when all have reported."""
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
            service = agent.AgentService(
                conf_module.load(
                    [f'--config-file={config}'], 'pci-passthrough-agent'
                )
            )
            service.start()
            self._services.append(service)
        wait_for(
            lambda: len(hosts.get_all(self._database, 60)) == len(configs),
            'reports of all hosts',
        )
        return configs

    def _claim_all_gpus(self) -> list[str]:
        """Claim until no GPU is left; return the instances.

        :raises: DemoError if that never happens, or happens without a word.
        """
        say(
            'Instances want a GPU, best a big one, and two virtual '
            'functions each, until there is none left:'
        )
        instances = []
        for number in range(1, 20):
            instance = str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))
            request = "'bigGPU|midGPU,100g:2'"
            command = f'claim {instance} {request} --allocate'
            if self._manage(command, may_fail=True):
                say('That was one too many. Who only needs a NIC is served:')
                self._manage(f'claim {instance} 100g')
                self._manage('device list --state allocated')
                return [*instances, instance]
            instances.append(instance)
        raise DemoError('the GPUs did not run out')

    def _pools(self) -> list[tuple[str, str, int, int]]:
        pools = store.PciDevicePoolList.get_all(
            self._database, store.Catalog(), 60
        )
        return [(p.host, p.product_id, p.count, p.total) for p in pools]

    def _manage(
        self, command: str, *options: str, may_fail: bool = False
    ) -> int:
        show('pci-passthrough-manage ' + command)
        result = manage.main(
            [
                f'--config-file={self._config}',
                *shlex.split(command),
                *options,
            ]
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
        except DemoError as error:
            print(f'pci-passthrough-demo: {error}', file=sys.stderr)
            return 1
        finally:
            demo.stop()
    say(f'Done in {time.monotonic() - begin:.1f} seconds.')
    return 0
