# SPDX-License-Identifier: Apache-2.0
"""What each microversion shows of refused devices."""

import json
from typing import Any
import urllib.request

import testtools

from pci_passthrough.store.devices import reports
from pci_passthrough.store.devices import trackers
from pci_passthrough.tests.functional.api import fixture
from pci_passthrough.tests.functional.store import base as store_base

_SINCE_1_1 = {
    'vgpu_type',
    'serial_number',
    'refusal',
    'conflict',
    'handlers',
    'on_failure',
    'preparation_step',
    'preparation_attempt',
    'preparation_since',
    'preparation_percent',
    'preparation_text',
    'quarantine_reason',
    'failed_starts',
    'start_failure',
}


class RefusedDeviceTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api = self.useFixture(fixture.ApiFixture())
        refused = store_base.gpu(1, refusal='its disk is mounted')
        reports.apply(
            self.api.db, store_base.full_report('h', [], refused=[refused])
        )
        trackers.register(self.api.db, 'h', '1')
        self.api.add_flavor('gpu', match=[{'vendor_id': '10de'}])

    def get(self, path: str, version: str) -> Any:
        request = urllib.request.Request(  # noqa: S310
            f'{self.api.url}/v1/{path}',
            headers={
                'X-Auth-Token': fixture.ADMIN,
                'OpenStack-API-Version': f'pci-passthrough {version}',
            },
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return json.load(answer)

    def test_device(self) -> None:
        [older] = self.get('pci-devices', '1.0')['pci_devices']
        [newer] = self.get('pci-devices', '1.1')['pci_devices']
        self.assertEqual('available', older['state'])
        self.assertEqual('withdrawn', older['presence'])
        self.assertEqual('refused', newer['state'])
        self.assertEqual('its disk is mounted', newer['refusal'])
        self.assertEqual(_SINCE_1_1, newer.keys() - older.keys())
        self.assertEqual(set(), older.keys() - newer.keys())

    def test_list_of_refused_devices(self) -> None:
        for state, number in (('refused', 1), ('available', 0)):
            devices = self.get(f'pci-devices?state={state}', '1.1')
            self.assertEqual(number, len(devices['pci_devices']))

    def test_explanation(self) -> None:
        for version, condition in (('1.0', 'all_held'), ('1.1', 'refused')):
            explanation = self.get('pci-flavors/gpu/explain', version)
            [host] = explanation['hosts']
            self.assertEqual(condition, host['condition'])
            self.assertIn('1 refused', host['detail'])
            [reason] = explanation['reasons']
            self.assertEqual(condition, reason['condition'])
            self.assertEqual('the host refuses every gpu', reason['text'])
