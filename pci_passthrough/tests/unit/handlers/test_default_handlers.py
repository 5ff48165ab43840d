# SPDX-License-Identifier: Apache-2.0
"""Handlers of devices whose entry names none."""

import os
import pathlib
from typing import Any

import fixtures
from oslo_config import cfg

from pci_passthrough import handlers
from pci_passthrough import objects
from pci_passthrough import resource_types
from pci_passthrough.handlers import default_handlers
from pci_passthrough.handlers import privileged
from pci_passthrough.specs import pci_information
from pci_passthrough.tests.unit.handlers import base

#: class, type, whether it has a physical function, vGPU type, handler
_RULES = (
    ('030000', 'type-PCI', False, None, 'reset'),
    ('030200', 'type-VF', True, None, 'reset'),
    ('030200', 'type-VF', True, '558', None),
    ('038000', 'type-PF', False, None, 'reset'),
    ('0b4000', 'type-VF', True, None, 'reset'),
    ('100000', 'type-PCI', False, None, 'reset'),
    ('120000', 'type-PF', False, None, 'reset'),
    ('010802', 'type-PCI', False, None, 'nvme-sanitize'),
    ('010802', 'type-PF', False, None, 'nvme-sanitize'),
    ('010802', 'type-VF', True, None, None),
    # An NVMe controller for administration alone has no namespaces.
    ('010803', 'type-PCI', False, None, None),
    ('010601', 'type-PCI', False, None, None),
    ('020000', 'type-VF', True, None, None),
    ('020000', 'type-PF', False, None, None),
    ('020000', 'vdpa', True, None, None),
    ('0c0330', 'type-PCI', False, None, None),
    ('0b2000', 'type-PCI', False, None, None),
)


class DefaultHandlersTest(base.HandlerTest):
    def scanned(self, address: str, **changes: Any) -> objects.PciDevice:
        facts = {**self.device(address).as_dict(), 'vgpu_type': None}
        return objects.PciDevice(**{**facts, **changes})

    def entry(self, more: str = '') -> pci_information.Entry:
        [entry] = pci_information.PciInformation.parse(
            [f'{{"match": {{"address": "*"}}{more}}}']
        ).entries
        return entry

    def chosen(
        self,
        device: objects.PciDevice,
        more: str = '',
        contexts: tuple[str, ...] | None = ('files', 'nvme'),
    ) -> tuple[tuple[str, ...], str | None]:
        """Return the handlers, and why there is no default."""
        defaults = default_handlers.DefaultHandlers(
            handlers.Registry(self.host), contexts, {}
        )
        entry = self.entry(more)
        return (
            defaults.handlers_of(device, entry),
            defaults.obstacle(device, entry),
        )

    def test_rule(self) -> None:
        gpu = self.address('03')
        for pci_class, dev_type, is_vf, vgpu_type, name in _RULES:
            device = self.scanned(
                gpu,
                pci_class=pci_class,
                dev_type=dev_type,
                parent_addr='0000:01:00.0' if is_vf else None,
                vgpu_type=vgpu_type,
            )
            self.assertEqual(name, default_handlers.name_for(device))

    def test_reset(self) -> None:
        gpu = self.scanned(self.address('03'))
        self.assertEqual((('reset',), None), self.chosen(gpu))
        none, wipe = ', "handler": "none"', ', "handler": "wipe"'
        self.assertEqual(((), None), self.chosen(gpu, none))
        self.assertEqual((('wipe',), None), self.chosen(gpu, wipe))
        self.assertEqual(((), None), self.chosen(gpu, contexts=None))
        names, obstacle = self.chosen(gpu, contexts=())
        self.assertEqual((), names)
        self.assertIn('[privileged_files] helper_command', str(obstacle))

    def test_function_that_cannot_be_reset(self) -> None:
        gpu = self.scanned(self.address('03'))
        self.place(gpu.address, 'reset').unlink()
        names, obstacle = self.chosen(gpu)
        self.assertEqual((), names)
        self.assertIn('no reset: the kernel offers no reset', str(obstacle))
        gone = gpu.replace(address='0000:ff:1f.7')
        self.assertIn('no PCI function', str(self.chosen(gone)[1]))

    def test_nvme(self) -> None:
        nvme = self.scanned(self.address('0108'), pci_class='010802')
        programs = self.folder / 'bin'
        programs.mkdir()
        self.useFixture(
            fixtures.EnvironmentVariable('PATH', os.fspath(programs))
        )
        for name in ('setpriv', 'nvme'):
            self.assertEqual(
                ((), f'no nvme-sanitize: {name} is not installed'),
                self.chosen(nvme),
            )
            (programs / name).touch(0o755)
        self.assertIn('there is no ', str(self.chosen(nvme)[1]))
        (self.root / 'dev').mkdir()
        self.assertEqual((('nvme-sanitize',), None), self.chosen(nvme))
        self.assertEqual((), self.chosen(nvme, contexts=('files',))[0])

    def test_contexts_that_can_be_started(self) -> None:
        conf = cfg.ConfigOpts()
        conf.register_opt(cfg.StrOpt('connection_uri'), group='agent')
        config = pathlib.Path(self.folder / 'agent.conf')
        config.write_text('[privileged_files]\nhelper_command = doas helper\n')
        conf([f'--config-file={config}'], default_config_files=[])
        for user, uri, contexts in (
            (0, 'qemu:///system', {'files', 'nvme', 'links'}),
            (1000, 'qemu:///system', {'files'}),
            (1000, 'test:///node.xml', {'files', 'nvme', 'links'}),
        ):
            self.useFixture(
                fixtures.MonkeyPatch('os.geteuid', lambda user=user: user)
            )
            conf.set_override('connection_uri', uri, group='agent')
            self.assertEqual(contexts, privileged.startable(conf))


class OtherTypesTest(base.HandlerTest):
    """What is no PCI function has the handlers of its resource type."""

    SHAPE = {'vgpu_cards': 1}

    def chosen(
        self, contexts: tuple[str, ...] | None, more: str = ''
    ) -> tuple[tuple[str, ...], str | None]:
        [parent] = [
            address
            for address, device in self.model.devices.items()
            if device.model.mediated_types
        ]
        device = objects.device.described(
            resource_type='mdev',
            address='11111111-2222-5333-8444-555555555555',
            parent_addr=parent,
            pci_class='030200',
            extra_info={'type': 'nvidia-558'},
        )
        [entry] = pci_information.PciInformation.parse(
            [f'{{"match": {{"resource_type": "mdev"}}{more}}}']
        ).entries
        defaults = default_handlers.DefaultHandlers(
            handlers.Registry(self.host), contexts, resource_types.load()
        )
        return (
            defaults.handlers_of(device, entry),
            defaults.obstacle(device, entry),
        )

    def test_the_handlers_of_the_type(self) -> None:
        self.assertEqual((('mdev',), None), self.chosen(('files',)))
        self.assertEqual(((), None), self.chosen(None))
        self.assertEqual(
            ((), None), self.chosen(('files',), ', "handler": "none"')
        )

    def test_they_are_kept_where_they_cannot_run(self) -> None:
        chosen, obstacle = self.chosen(())
        self.assertEqual(('mdev',), chosen)
        self.assertIn('no mdev: the agent is not root', str(obstacle))
