# SPDX-License-Identifier: Apache-2.0
"""Tests of the errors: one for each, whatever it is."""

import pickle
import re

import testtools

from pci_passthrough import exception
from pci_passthrough.tests.unit.objects import test_serialization as samples

SAMPLES: list[exception.PciPassthroughError] = [
    exception.InvalidPciInformation('{}', 'match', 'is missing', '{"a": 1}'),
    exception.InvalidPciInformation('{}', None, 'is empty', '{"a": 1}'),
    exception.InvalidPciFlavor('vendor_id', 'is no id', '"8086"'),
    exception.InvalidNic('port p1 has two tags'),
    exception.InvalidRequest('10g:x', 'the count is no number'),
    exception.InvalidConfiguration('[agent] host_root is not set'),
    exception.UnsupportedNova('nova.pci.stats: PciDeviceStats differs'),
    exception.HostOverBudget('h1', 'pools', 300, 256, 'host_pool_keys'),
    exception.PciFlavorNotFound('10g'),
    exception.PciDeviceNotFound('h1/0000:65:00.0'),
    exception.HostNotFound('h1'),
    exception.PciFlavorExists('10g'),
    exception.PciFlavorExists('10g', 3),
    exception.PciFlavorExists('10g', origin='built-in'),
    exception.PciFlavorBuiltIn('class-network'),
    exception.PciFlavorInUse('10g', 3),
    exception.PciFlavorInUse('10g', 3, ['i', 'j']),
    exception.PciFlavorChanged('10g'),
    exception.DeviceStateConflict('d', 'allocate', 'cleaning', ('claimed',)),
    exception.DeviceStateConflict('d', 'disable', 'disabled', (), 'hot'),
    exception.HostInUse('h1', 2),
    exception.HostInUse('h1', 30, ['0000:65:00.0 (instance i)'] * 30),
    exception.HostOutOfService('h1', ['0000:65:00.0 (quarantined)']),
    exception.HostIsUp('h1', 'nova-compute', 60.0),
    exception.HostsDiffer('h1', 'it has no such device'),
    exception.ClaimMismatch('i', 'two of them'),
    exception.ClaimRefused('1 host: no free 10g', [samples.REASON]),
    exception.ClaimRefused('1 host: no free 10g'),
    exception.LibvirtUnavailable('qemu:///system', 'refused'),
    exception.ConductorUnavailable('none answered'),
    exception.DatabaseNotReady('no schema'),
    exception.DatabaseUnavailable('the database does not answer'),
    exception.NovaUnavailable('Nova does not tell its servers'),
    exception.LimitsUnknown('Keystone is away'),
    exception.HostBusy('h1', 8),
    exception.ClaimContended('too many'),
]

FAMILIES: tuple[type[exception.PciPassthroughError], ...] = (
    exception.Invalid,
    exception.NotFound,
    exception.Conflict,
    exception.Unavailable,
)

#: Programs rely on these: none is ever changed.
CODES = {
    'claim.contended',
    'claim.mismatch',
    'claim.refused',
    'conductor.unavailable',
    'configuration.invalid',
    'database.not_ready',
    'database.unavailable',
    'host.busy',
    'host.differs',
    'host.in_use',
    'host.out_of_service',
    'host.not_found',
    'host.over_budget',
    'host.up',
    'libvirt.unavailable',
    'limits.unknown',
    'nova.unavailable',
    'nova.unsupported',
    'pci_flavor.built_in',
    'pci_device.not_found',
    'pci_device.state',
    'pci_flavor.changed',
    'pci_flavor.exists',
    'pci_flavor.in_use',
    'pci_flavor.invalid',
    'pci_flavor.not_found',
    'pci_information.invalid',
    'nic.invalid',
    'request.invalid',
}


def all_errors() -> list[type[exception.PciPassthroughError]]:
    return [
        cls
        for cls in vars(exception).values()
        if isinstance(cls, type)
        and issubclass(cls, exception.PciPassthroughError)
    ]


class ExceptionTest(testtools.TestCase):
    def test_every_error_has_a_sample(self) -> None:
        concrete = {
            cls
            for cls in all_errors()
            if cls not in (exception.PciPassthroughError, *FAMILIES)
        }
        self.assertEqual(concrete, {type(error) for error in SAMPLES})
        self.assertEqual(CODES, {cls.code for cls in concrete})

    def test_made_anew(self) -> None:
        for error in SAMPLES:
            for again in (
                type(error)(*error.args),
                pickle.loads(pickle.dumps(error)),  # noqa: S301
            ):
                with self.subTest(error=error):
                    self.assertIs(type(error), type(again))
                    self.assertEqual(str(error), str(again))
                    self.assertEqual(error.text, str(again))
                    self.assertEqual(vars(error), vars(again))

    def test_in_use_says_what_helps(self) -> None:
        error = exception.PciFlavorInUse('10g', 3, ('i', 'j'))
        self.assertEqual(('10g', 3, ['i', 'j']), error.args)
        for word in ("'10g'", '3 device', 'force', 'disabled'):
            self.assertIn(word, error.text)
        # Some who may delete a PCI flavor may not see who uses it.
        self.assertNotIn("'i'", error.text)

    def test_host_in_use_names_some_holders(self) -> None:
        few = exception.HostInUse('h1', 2, ['a (i)', 'b (j)'])
        self.assertIn('a (i), b (j). Move', few.text)
        many = exception.HostInUse('h1', 30, [f'a{n}' for n in range(30)])
        self.assertIn('a19 and 10 more. Move', many.text)
        self.assertNotIn('a20', many.text)
        self.assertIn("of host 'h1'. Move", exception.HostInUse('h1', 2).text)

    def test_name_of_a_deleted_one(self) -> None:
        error = exception.PciFlavorExists('10g', 3)
        for word in ("'10g'", 'deleted', '3 device', 'used again'):
            self.assertIn(word, error.text)

    def test_codes_are_unique(self) -> None:
        errors = all_errors()
        self.assertEqual(len(errors), len({cls.code for cls in errors}))
        for cls in errors:
            self.assertTrue(re.fullmatch(r'[a-z_]+(\.[a-z_]+)?', cls.code))

    def test_one_family_each(self) -> None:
        for cls in all_errors():
            if cls is exception.PciPassthroughError:
                continue
            families = [f for f in FAMILIES if issubclass(cls, f)]
            self.assertEqual(1, len(families), cls.__name__)

    def test_the_tree_is_drawn(self) -> None:
        drawn = re.findall(r'[├└]── (\w+)', exception.__doc__ or '')
        names = {cls.__name__ for cls in all_errors()}
        self.assertEqual(names - {'PciPassthroughError'}, set(drawn))
