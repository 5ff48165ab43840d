# SPDX-License-Identifier: Apache-2.0
"""Tests of the RPC client: one for each process, with nova.conf's broker."""

import os
import threading

import fixtures
from oslo_config import cfg
import oslo_messaging
import testtools

from pci_passthrough import exception
from pci_passthrough import rpc
from pci_passthrough.nova_plugin import client


class ClientTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.useFixture(
            fixtures.MonkeyPatch(f'{client.__name__}._clients', {})
        )

    def conf(self, text: str) -> cfg.ConfigOpts:
        path = self.useFixture(fixtures.TempDir()).join('nova.conf')
        with open(path, 'w') as file:
            file.write(text)
        conf = cfg.ConfigOpts()
        conf([], project='nova', default_config_files=[path])
        return conf

    def test_one_for_all_threads(self) -> None:
        conf = self.conf('[DEFAULT]\ntransport_url = fake:/\n')
        clients: set[rpc.ConductorClient] = set()
        threads = [
            threading.Thread(
                target=lambda: clients.add(client.conductor(conf))
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({client.conductor(conf)}, clients)

    def test_another_one_after_fork(self) -> None:
        conf = self.conf('[DEFAULT]\ntransport_url = fake:/\n')
        before = client.conductor(conf)
        child = os.fork()
        if child == 0:
            os._exit(0 if client.conductor(conf) is not before else 1)
        self.assertEqual(0, os.waitpid(child, 0)[1])
        self.assertIs(before, client.conductor(conf))

    def test_replace(self) -> None:
        conf = self.conf('[DEFAULT]\ntransport_url = fake:/\n')
        default = client.conductor(conf)
        other = rpc.ConductorClient(rpc.get_transport(conf), 1)
        client.replace(other)
        self.addCleanup(client.replace, None)
        self.assertIs(other, client.conductor(conf))
        client.replace(None)
        self.assertIs(default, client.conductor(conf))

    def test_own_broker(self) -> None:
        text = self.broker(
            '[DEFAULT]\ntransport_url = rabbit://u:p@nova:5672/\n'
            '[pci_passthrough]\ntransport_url = rabbit://u:p@pci:5673/x\n'
        )
        self.assertIn('pci:5673 (virtual host x)', text)
        self.assertNotIn('nova', text)

    def test_broker_of_nova(self) -> None:
        text = self.broker('[DEFAULT]\ntransport_url = rabbit://u:p@nova/\n')
        self.assertIn('nova:5672', text)

    def broker(self, text: str) -> str:
        """Return the error of a call that cannot reach the broker."""
        unconnected = client.conductor(self.conf(text))
        connection = unconnected._connection
        connection._connect = threading.Event().wait
        error = self.assertRaises(
            exception.ConductorUnavailable, connection.wait, 0.01
        )
        return str(error)

    def test_wrong_url(self) -> None:
        conf = self.conf('[pci_passthrough]\ntransport_url = nothing://x/\n')
        error = self.assertRaises(
            exception.InvalidConfiguration, client.conductor, conf
        )
        self.assertIn('[pci_passthrough] transport_url', str(error))

    def test_conductors_are_found_whatever_nova_names_its_exchange(
        self,
    ) -> None:
        """oslo.messaging would use Nova's exchange by default."""
        url = '[DEFAULT]\ntransport_url = fake:/\n'
        server = rpc.conductor_server(
            rpc.get_transport(self.conf(url)), 'first', _Endpoint()
        )
        server.start()
        self.addCleanup(server.wait)
        self.addCleanup(server.stop)
        nova = self.conf(
            f'{url}control_exchange = nova\n'
            '[pci_passthrough]\nrpc_timeout = 5\n'
        )
        self.assertEqual([], client.conductor(nova).host_devices('compute-1'))


class _Endpoint:
    target = oslo_messaging.Target(version='1.1')

    @oslo_messaging.expose  # type: ignore[untyped-decorator]
    def host_devices(self, context: object, host: str) -> list[object]:
        return []
