# SPDX-License-Identifier: Apache-2.0
"""Tests of a cloud that takes up PCI flavors, leaves them, and returns.

All of Nova's processes are restarted several times, always with the operator's
own list of filters. Each host has two H100s, which Nova itself offers before
PCI flavors come and after they have left.
"""

import json
from typing import Any
from typing import Final

from openstack import exceptions as sdk_exceptions

from pci_passthrough.tests.e2e import base
from pci_passthrough.tests.e2e import processes

_IDS: Final = {'vendor_id': '10de', 'product_id': '2330'}


class LeavingTestCase(base.CloudTestCase):
    """The way of two instances: native, PCI flavors, native, PCI flavors."""

    def setUp(self) -> None:
        super().setUp()
        self.nova = self.cloud.control.etc / 'nova'
        self.first, self.second = self.cloud.hosts.values()
        self.is_as_found = True
        self.addCleanup(self._restore)

    def _restore(self) -> None:
        if not self.is_as_found:
            self.offer_gpus()
            self.restart_nova()
        for row in self.cloud.manage('flavor', 'list', '-f', 'json'):
            self.cloud.manage('flavor', 'delete', row['Name'])

    def restart_nova(self, has_plugin: bool = True, pci: str = '') -> None:
        """Restart Nova with or without the plugin.

        :param pci: the section ``[pci]`` of all processes.
        """
        self.cloud.control.write_nova_files(has_plugin, pci)
        self.cloud.restart_nova()

    def offer_gpus(self, text: str | None = None) -> None:
        """Let the agents of all hosts offer other GPUs."""
        for host in self.cloud.hosts.values():
            host.offer_gpus(text)

    def convert(self, *words: str) -> str:
        """Return the file that ``import-nova`` or ``export-nova`` writes."""
        file = self.nova / 'converted'
        self.cloud.manage(*words, f'--output={file}', '--force')
        return file.read_text()

    def rewrite(self, *words: str, status: int = 0) -> dict[str, str]:
        """Run ``leave``, ``return`` or ``guard``; return results by name."""
        files = [
            f'--nova-conf={self.nova}/{name}'
            for name in ('nova.conf', 'pci.conf')
        ]
        rows = self.cloud.manage(*words, *files, '-f', 'json', status=status)
        return {row['Name']: row['Result'] for row in rows}

    def move(self, server: Any, flavor: str | None = None) -> None:
        """Migrate or resize an instance, and confirm it."""
        if flavor is None:
            self.compute.migrate_server(server.id)
        else:
            self.compute.resize_server(server.id, flavor)
        self.wait_for_status(server, 'VERIFY_RESIZE')
        self.compute.confirm_server_resize(server.id)
        self.wait_for_status(server, 'ACTIVE')

    def wait_for_native(self, *servers: Any) -> None:
        """Wait until each instance has one device, natively."""
        wanted = sorted(server.id for server in servers)

        def are_native() -> bool:
            rows = self.views.novas()
            # Rows of free devices.
            rows.pop('None', None)
            return (
                sorted(rows) == wanted
                and {len(devices) for devices in rows.values()} == {1}
                and rows == self.views.domains()
                and self.views.ours() == {}
            )

        processes.wait_for(
            are_native,
            f'native devices of {wanted}',
            pause=0.5,
            blame=lambda: f'they are {self.views.all()}',
        )

    def wait_for_devices(self, *servers: Any) -> None:
        """Wait until each instance has one device, by the PCI flavor."""
        wanted = {server.id: {'h100'} for server in servers}
        processes.wait_for(
            lambda: (
                self.views.pci_flavors() == wanted
                and {len(held) for held in self.views.ours().values()} == {1}
            ),
            f'a device by the PCI flavor for each of {wanted}',
            pause=0.5,
            blame=lambda: f'they are {self.views.pci_flavors()}',
        )
        self.assert_holdings(*servers)

    def test_there_and_back(self) -> None:
        self.is_as_found = False
        old, flavor = self._begin_natively()
        new = self._take_over(old, flavor)
        guarded = self._leave(old, new)
        other = self._live_natively(old, new, flavor, guarded)
        self._return(flavor, old, new, other)
        self.is_as_found = True

    def _begin_natively(self) -> tuple[Any, str]:
        """Boot an instance by an alias, in a cloud without the plugin."""
        lines = (
            '[pci]',
            f'device_spec = {json.dumps(_IDS)}',
            f'alias = {json.dumps({**_IDS, "name": "h100"})}',
        )
        self.offer_gpus('')
        self.restart_nova(has_plugin=False, pci='\n'.join(lines))
        flavor = self.create_flavor(alias='h100:1')
        server = self.boot(flavor, self.first.name)
        self.wait_for_native(server)
        return server, flavor

    def _take_over(self, old: Any, flavor: str) -> Any:
        """Install the plugin; the instance keeps its device, then moves."""
        before = self.views.domains()
        native = self.nova / 'pci.conf'
        information = self.convert(
            'import-nova', f'--nova-conf={native}', '--create'
        )
        aliases = [
            line
            for line in native.read_text().splitlines()
            if not line.startswith('device_spec')
        ]
        self.offer_gpus(information)
        self.restart_nova(pci='\n'.join(aliases))
        self.wait_for_holdings(before)
        self.wait_for_devices(old)
        prefix = 'pci_passthrough:'
        self.compute.create_flavor_extra_specs(
            flavor, {f'{prefix}pci_flavor': 'h100:1'}
        )
        self.compute.delete_flavor_extra_specs_property(
            flavor, f'{prefix}alias'
        )
        new = self.boot(flavor, self.first.name)
        self.move(old, self.create_flavor(pci_flavor='h100:1'))
        self.wait_for_devices(old, new)
        return new

    def _leave(self, old: Any, new: Any) -> str:
        """Leave; return a flavor that stays behind a guard."""
        before = self.views.domains()
        scratch = self.create_pci_flavor('e.group=scratch')
        guarded = self.create_flavor(pci_flavor=scratch)
        self.rewrite('guard', '--apply')
        aliases = self.convert('export-nova', '--pci-flavor', 'h100')
        self.restart_nova(pci=aliases)
        to_do = self.rewrite('leave', status=3)
        done = self.rewrite('leave', '--apply', status=3)
        self.assertEqual(to_do.keys(), done.keys())
        for server in (old, new):
            self.assertEqual('to be rewritten', to_do[server.id])
            self.assertEqual('rewritten', done[server.id])
        specs = self.convert(
            'export-nova',
            '--no-pci-flavor',
            f'--pci-information={self.first.gpu_file}',
        )
        native = aliases + specs
        # The hosts hand back the devices of their instances.
        self.offer_gpus('')
        self.restart_nova(pci=native)
        processes.wait_for(
            lambda: self.views.ours() == {},
            'the devices handed back',
            pause=0.5,
            blame=lambda: f'they are {self.views.all()}',
        )
        [left] = self.rewrite('leave', status=3).values()
        self.assertIn('no equivalent alias', left)
        self.restart_nova(has_plugin=False, pci=native)
        self.assertEqual(before, self.views.domains())
        self.wait_for_native(old, new)
        return guarded

    def _live_natively(
        self, old: Any, new: Any, flavor: str, guarded: str
    ) -> Any:
        """Evacuate, migrate and boot without the plugin."""
        refusal = self.assertRaises(
            sdk_exceptions.BadRequestException,
            self.create_server,
            guarded,
        )
        self.assertIn('needs-pci-passthrough is not defined', str(refusal))
        self.evacuate(new, self.first)
        self.wait_for_native(old, new)
        # Since microversion 2.95 an evacuated instance is not started.
        self.compute.start_server(new.id)
        self.wait_for_status(new, 'ACTIVE')
        self.move(old)
        other = self.boot(flavor, self.first.name)
        self.wait_for_native(old, new, other)
        return other

    def _return(self, flavor: str, *servers: Any) -> None:
        """Come back; what was created meanwhile gets PCI flavors, too."""
        before = self.views.domains()
        self.offer_gpus()
        self.restart_nova()
        self.wait_for_holdings(before)
        rows = self.rewrite('return', '--apply')
        self.assertLessEqual({server.id for server in servers}, set(rows))
        self.assertEqual({}, self.rewrite('return'))
        self.wait_for_devices(*servers)
        self.move(servers[0])
        self.wait_for_devices(*servers, self.boot(flavor))
