# SPDX-License-Identifier: Apache-2.0
"""Tests of checking Nova's configuration files."""

import pathlib

import fixtures
import testtools

from pci_passthrough import exception
from pci_passthrough.nova_plugin.install import deployment

_ETC = pathlib.Path(__file__).resolve().parents[5] / 'etc' / 'nova'

_SOURCE = '[DEFAULT]\nconfig_source = pci_passthrough\n'
_DRIVER = '[pci_passthrough]\ndriver = pci_passthrough\n'
_OURS = 'pci_passthrough.nova_plugin.scheduler_filter.PciFlavorFilter'
_NOVAS = 'nova.scheduler.filters.all_filters'
_WEIGHER = 'pci_passthrough.nova_plugin.weigher.PciFlavorWeigher'
_NOVAS_WEIGHERS = 'nova.scheduler.weights.all_weighers'
_FACTORY = (
    'paste.filter_factory = pci_passthrough.nova_plugin.middleware:factory'
)
_PASTE = """
[composite:openstack_compute_api_v21]
use = call:nova.api.auth:pipeline_factory_v21
keystone = cors {first} osapi_compute_app_v21

[composite:openstack_compute_api_v21_legacy_v2_compatible]
use = call:nova.api.auth:pipeline_factory_v21
keystone = cors legacy_v2_compatible {second} osapi_compute_app_v21

[filter:cors]
paste.filter_factory = oslo_middleware.cors:filter_factory
"""


class DeploymentTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def read(self, *texts: str) -> deployment.NovaConf:
        return deployment.read_nova_conf(
            [self.write(f'{i}.conf', text) for i, text in enumerate(texts)]
        )

    def filters(self, *available: str, enabled: str) -> list[str]:
        lines = [f'available_filters = {name}' for name in available]
        text = '\n'.join(
            ['[filter_scheduler]', *lines, f'enabled_filters = {enabled}']
        )
        return deployment.faults_of_filters(self.read(text))

    def paste(self, text: str, first: str = '', second: str = '') -> list[str]:
        text = _PASTE.format(first=first, second=second) + text
        return deployment.faults_of_paste(self.write('paste.ini', text))


class NovaConfTestCase(DeploymentTestCase):
    def test_the_examples_have_no_fault(self) -> None:
        conf = deployment.read_nova_conf(
            [str(_ETC / 'nova-pci-passthrough.conf')]
        )
        self.assertEqual([], deployment.faults_of_source(conf))
        self.assertEqual([], deployment.faults_of_filters(conf))
        self.assertEqual([], deployment.faults_of_weighers(conf))
        # A list here would replace the operator's.
        self.assertIsNone(conf.enabled_filters)
        self.assertEqual((_NOVAS_WEIGHERS,), conf.weight_classes)
        self.assertEqual((_NOVAS,), conf.available_filters)

    def test_two_lines_of_weighers(self) -> None:
        # The second line replaces the first one, with Nova's weighers.
        conf = self.read(
            '[filter_scheduler]\n'
            f'weight_classes = {_NOVAS_WEIGHERS}\n'
            f'weight_classes = {_WEIGHER}\n'
        )
        [fault] = deployment.faults_of_weighers(conf)
        self.assertIn(f'{_NOVAS_WEIGHERS},{_WEIGHER}', fault)
        self.assertEqual([], deployment.faults_of_weighers(self.read('')))

    def test_source(self) -> None:
        self.assertTrue(self.read(_SOURCE + _DRIVER).has_source)
        # In two files, as in nova.conf and a file beside it.
        self.assertTrue(self.read(_SOURCE, _DRIVER).has_source)
        for text in ('', _SOURCE, _DRIVER, _DRIVER + _SOURCE.replace(
            'pci_passthrough', 'other')):  # fmt: skip
            conf = self.read(text)
            self.assertFalse(conf.has_source, text)
            [fault] = deployment.faults_of_source(conf)
            self.assertIn('config_source = pci_passthrough', fault)

    def test_another_driver(self) -> None:
        conf = self.read(
            _SOURCE
            + '[pci_passthrough]\ndriver = remote_file\nuri = http://[::1]:1\n'
        )
        self.assertFalse(conf.has_source)

    def test_a_driver_that_does_not_exist(self) -> None:
        self.assertRaises(
            exception.InvalidConfiguration,
            self.read,
            _SOURCE + '[pci_passthrough]\ndriver = pci\n',
        )

    def test_accepted_changes(self) -> None:
        conf = self.read(
            '[pci_passthrough]\naccepted_nova_changes = a=1,b=2\n'
        )
        self.assertEqual(('a=1', 'b=2'), conf.accepted_changes)

    def test_filters(self) -> None:
        self.assertEqual(
            [],
            self.filters(
                _NOVAS, _OURS,
                enabled='ComputeFilter,PciFlavorFilter,NUMATopologyFilter,'
                'PciPassthroughFilter',
            ),
        )  # fmt: skip
        self.assertEqual([], self.filters(_OURS, enabled='PciFlavorFilter'))

    def test_filter_is_not_enabled(self) -> None:
        text = '[filter_scheduler]\nenabled_filters = A,NUMATopologyFilter\n'
        conf = self.read(text)
        self.assertEqual([], deployment.faults_of_filters(conf))
        off = '[pci_passthrough]\ninsert_filter = false\n'
        [fault] = deployment.faults_of_filters(self.read(text + off))
        self.assertIn('enabled_filters lacks PciFlavorFilter', fault)
        self.assertIn('= A,PciFlavorFilter,NUMATopologyFilter', fault)

    def test_filter_is_not_available(self) -> None:
        [fault] = self.filters(enabled='PciFlavorFilter')
        self.assertIn(f'add available_filters = {_OURS}', fault)

    def test_novas_filters_are_not_available(self) -> None:
        [fault] = self.filters(_OURS, enabled='PciFlavorFilter,ComputeFilter')
        self.assertIn(_NOVAS, fault)

    def test_filter_is_too_late(self) -> None:
        faults = self.filters(
            _NOVAS, _OURS,
            enabled='NUMATopologyFilter,PciPassthroughFilter,PciFlavorFilter',
        )  # fmt: skip
        self.assertEqual(2, len(faults))
        self.assertIn('NUMATopologyFilter before PciFlavorFilter', faults[0])
        self.assertIn('PciPassthroughFilter before', faults[1])

    def test_no_option_of_filters(self) -> None:
        conf = self.read(_SOURCE + _DRIVER)
        self.assertIsNone(conf.enabled_filters)
        self.assertEqual([], deployment.faults_of_filters(conf))

    def test_unreadable(self) -> None:
        error = self.assertRaises(
            exception.InvalidConfiguration, self.read, 'no configuration'
        )
        self.assertIn('0.conf', str(error))
        self.assertRaises(
            exception.InvalidConfiguration,
            deployment.read_nova_conf,
            [str(self.folder / 'nowhere')],
        )


class PasteTestCase(DeploymentTestCase):
    def test_the_example_has_no_fault(self) -> None:
        self.assertEqual(
            [],
            deployment.faults_of_paste(
                str(_ETC / 'api-paste-pci-passthrough.ini')
            ),
        )

    def test_nova_alone(self) -> None:
        [fault] = self.paste('')
        self.assertIn('no filter has paste.filter_factory = ', fault)

    def test_in_all_pipelines(self) -> None:
        for use in (_FACTORY, 'use = egg:pci_passthrough'):
            self.assertEqual(
                [], self.paste(f'[filter:pci]\n{use}\n', 'pci', 'pci')
            )

    def test_defined_but_not_used(self) -> None:
        faults = self.paste(f'[filter:pci]\n{_FACTORY}\n')
        self.assertEqual(2, len(faults))

    def test_forgotten_in_one_pipeline(self) -> None:
        [fault] = self.paste(f'[filter:pci]\n{_FACTORY}\n', 'pci')
        self.assertEqual(
            '[composite:openstack_compute_api_v21_legacy_v2_compatible] '
            'keystone lacks pci',
            fault,
        )

    def test_around_another_application(self) -> None:
        [fault] = self.paste(f'[filter-app:meta]\n{_FACTORY}\n')
        self.assertIn('no filter', fault)

    def test_no_pipelines(self) -> None:
        path = self.write('paste.ini', f'[filter:pci]\n{_FACTORY}\n')
        [fault] = deployment.faults_of_paste(path)
        self.assertIn('no application', fault)

    def test_unreadable(self) -> None:
        for path in (self.write('a', 'x'), str(self.folder / 'nowhere')):
            self.assertRaises(
                exception.InvalidConfiguration,
                deployment.faults_of_paste,
                path,
            )
