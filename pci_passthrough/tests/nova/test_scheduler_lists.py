# SPDX-License-Identifier: Apache-2.0
"""Tests that nova-scheduler has our filter and weigher, in their place."""

from typing import Any

import fixtures
from nova import test as nova_test
from nova.scheduler import host_manager
from oslo_config import cfg

from pci_passthrough.conf import nova as nova_options
from pci_passthrough.nova_plugin import scheduler_lists

_ALL_FILTERS = 'nova.scheduler.filters.all_filters'
_FILTER = 'pci_passthrough.nova_plugin.scheduler_filter.PciFlavorFilter'
_ALL_WEIGHERS = 'nova.scheduler.weights.all_weighers'
_WEIGHER = 'pci_passthrough.nova_plugin.weigher.PciFlavorWeigher'

_OURS = 'PciFlavorFilter'
_NUMA, _PCI = 'NUMATopologyFilter', 'PciPassthroughFilter'
_TENANTS = 'AggregateMultiTenancyIsolation'


class SchedulerListsTest(nova_test.NoDBTestCase):
    def setUp(self) -> None:
        super().setUp()
        nova_options.register_opts(cfg.CONF)
        manager = 'nova.scheduler.host_manager.HostManager'
        for target, replacement in (
            # They ask the database.
            (f'{manager}.refresh_cells_caches', lambda self: None),
            (f'{manager}._init_aggregates', lambda self: None),
            # The plugin verifies Nova, which other tests do.
            (
                'pci_passthrough.nova_plugin.install.bootstrap.install',
                lambda: None,
            ),
        ):
            self.useFixture(fixtures.MonkeyPatch(target, replacement))
        self.flags(track_instance_changes=False, group='filter_scheduler')
        self.logger = self.useFixture(
            fixtures.FakeLogger('pci_passthrough.nova_plugin.scheduler_lists')
        )

    def start(self, *enabled: str, **options: Any) -> Any:
        """Make Nova's ``HostManager`` with some filters enabled."""
        self.flags(
            enabled_filters=list(enabled), **options, group='filter_scheduler'
        )
        manager = object.__new__(host_manager.HostManager)
        # The plugin may be installed beside tests of Nova.
        init = host_manager.HostManager.__init__
        original = getattr(init, '__wrapped__', init)
        scheduler_lists.wrap_init(original)(manager)
        return manager

    def filters(self, *enabled: str, **options: Any) -> list[str]:
        """Return the filters of nova-scheduler by name."""
        manager = self.start(*enabled, **options)
        return [type(item).__name__ for item in manager.enabled_filters]

    def weighers(self, *classes: str) -> list[str]:
        """Return the weighers of nova-scheduler by name."""
        manager = self.start(weight_classes=list(classes))
        return [type(item).__name__ for item in manager.weighers]

    def test_inserted_into_the_operator_s_list(self) -> None:
        for enabled, filters in (
            ((_TENANTS, _NUMA, _PCI), [_TENANTS, _OURS, _NUMA, _PCI]),
            ((_PCI, _TENANTS, _NUMA), [_OURS, _PCI, _TENANTS, _NUMA]),
            ((_TENANTS,), [_TENANTS, _OURS]),
            ((), [_OURS]),
        ):
            self.assertEqual(filters, self.filters(*enabled))
        self.assertIn(
            f'Inserted {_OURS}; the filters are {_TENANTS}, {_OURS}, {_NUMA}',
            self.logger.output,
        )

    def test_named_is_used_where_it_stands(self) -> None:
        available = [_ALL_FILTERS, _FILTER]
        for enabled in ([_OURS, _TENANTS, _NUMA], [_TENANTS, _OURS]):
            self.assertEqual(
                enabled, self.filters(*enabled, available_filters=available)
            )
        self.assertNotIn('Inserted', self.logger.output)
        self.assertNotIn('enabled_filters', self.logger.output)

    def test_wrong_order_is_an_error(self) -> None:
        enabled = [_NUMA, _OURS]
        self.assertEqual(
            enabled,
            self.filters(*enabled, available_filters=[_ALL_FILTERS, _FILTER]),
        )
        self.assertIn(f'{_NUMA} before {_OURS}', self.logger.output)

    def test_switched_off(self) -> None:
        self.flags(insert_filter=False, group='pci_passthrough')
        manager = self.start(_TENANTS, _NUMA)
        self.assertEqual(
            [_TENANTS, _NUMA],
            [type(item).__name__ for item in manager.enabled_filters],
        )
        self.assertIn(
            f'write enabled_filters = {_TENANTS},{_OURS},{_NUMA}',
            self.logger.output,
        )
        self.assertNotIn(
            'PciFlavorWeigher',
            [type(item).__name__ for item in manager.weighers],
        )

    def test_weighers(self) -> None:
        plain = self.weighers(_ALL_WEIGHERS)
        self.assertEqual('PciFlavorWeigher', plain[-1])
        self.assertIn('RAMWeigher', plain)
        self.assertEqual(plain, self.weighers(_ALL_WEIGHERS, _WEIGHER))
        self.assertEqual(
            ['RAMWeigher', 'PciFlavorWeigher'],
            self.weighers('nova.scheduler.weights.ram.RAMWeigher'),
        )
