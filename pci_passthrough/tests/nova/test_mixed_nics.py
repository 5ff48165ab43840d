# SPDX-License-Identifier: Apache-2.0
"""Tests of macvtap and direct NICs in one instance."""

from typing import Any

from pci_passthrough.tests.nova import nics


class TestMixedNics(nics.NicsTest):
    """The option ``mixed_nics`` decides about mixed NICs."""

    def setUp(self) -> None:
        super().setUp()
        self.create_pci_flavor('tap', nics.VF, vnic_type='macvtap')
        self.start_nic_host('c0')

    def post(self, *networks: Any) -> Any:
        """Create a server; return the answer of Nova's API."""
        body = self._build_server(
            flavor_id=self.create_flavor(None), networks=list(networks)
        )
        answer = self.api.api_post('/servers', {'server': body})
        self._wait_for_state_change(answer.body['server'], 'ACTIVE')
        return answer

    def test_warn(self) -> None:
        """The answer has a warning; virtio NICs are no mixture."""
        red, blue = self.net.red, self.net.blue
        plain = {'uuid': self.net.overlay}
        direct = self.net.port(blue, 'direct')
        tagged = self.net.port(blue, 'macvtap', 'pci-flavor=tap')
        for is_mixed, *networks in (
            (False, plain, self.nic(red)),
            (False, self.nic(blue, 'tap'), plain),
            (True, self.nic(red), plain, self.nic(blue, 'tap')),
            (True, self.nic(red), {'port': tagged['id']}),
        ):
            answer = self.post(*networks)
            warning = answer.headers.get('Warning', '')
            if is_mixed:
                self.assertTrue(
                    warning.startswith('299 pci-passthrough "NICs of')
                )
                self.assertIn('direct and macvtap', warning)
                self.assertIn('macvtap', self.stdlog.logger.output)
            else:
                self.assertEqual('', warning)
            self._delete_server(answer.body['server'])
            self.assert_clean('c0')
        # A port that gets a native device counts, too.
        body = self._build_server(
            flavor_id=self.create_flavor(None),
            networks=[{'port': direct['id']}, self.nic(red, 'tap')],
        )
        answer = self.api.api_post('/servers', {'server': body})
        self.assertIn('direct and macvtap', answer.headers['Warning'])

    def test_refuse(self) -> None:
        """HTTP 400 for a new server and for an interface to attach."""
        self.flags(mixed_nics='refuse', group='pci_passthrough')
        red, blue = self.net.red, self.net.blue
        status, text = self.refused(
            self.post, self.nic(red), self.nic(blue, 'tap')
        )
        self.assertEqual(400, status)
        self.assertIn('ask for one kind only', text)
        self.assertEqual([], self.api.get_servers(detail=False))
        server = self.boot_with(self.nic(red))
        tap = {'interfaceAttachment': {'net_id': blue, 'pci_flavor': 'tap'}}
        status, text = self.refused(
            self.api.attach_interface, server['id'], tap
        )
        self.assertEqual(400, status)
        self.assertIn('ask for one kind only', text)
        self.assert_consistent('c0', server, 1)
        # Existing NICs are not checked again.
        self.flags(mixed_nics='warn', group='pci_passthrough')
        answer = self.api.attach_interface(server['id'], tap)
        self.assertIn('direct and macvtap', answer.headers['Warning'])
        self.assert_consistent('c0', server, 2)

    def test_allow(self) -> None:
        self.flags(mixed_nics='allow', group='pci_passthrough')
        answer = self.post(
            self.nic(self.net.red), self.nic(self.net.blue, 'tap')
        )
        self.assertNotIn('Warning', answer.headers)
