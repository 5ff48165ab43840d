# SPDX-License-Identifier: Apache-2.0
"""``connection.pci_passthrough`` against the REST service."""

from collections.abc import Iterable
import json
import pathlib
from typing import Any
from typing import TYPE_CHECKING

import fixtures
import openstack
from openstack import connection as openstack_connection
from openstack import exceptions
import testtools

from pci_passthrough import sdk
from pci_passthrough.sdk import errors
from pci_passthrough.sdk import proxy
from pci_passthrough.tests.functional.api import fixture
from pci_passthrough.tests.functional.osc import base
from pci_passthrough.tests.functional.osc import cloud
from pci_passthrough.tests.functional.store import base as store_base

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment

_MATCH = [{'vendor_id': '10de'}]


def connect(url: str, **settings: Any) -> openstack_connection.Connection:
    """Return a connection that finds the service at a URL."""
    return openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_type='admin_token',
        auth={'endpoint': url, 'token': fixture.ADMIN},
        **settings,
    )


def service_at(url: str, **settings: Any) -> proxy.Proxy:
    """Return the proxy of the service at a URL."""
    return sdk.service_of(connect(url, **settings))


class ProxyTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api = self.useFixture(fixture.ApiFixture())
        self.service = service_at(self.api.url)

    def add_gpus(self) -> None:
        self.api.add_host('cmp1', [store_base.gpu(0x65), store_base.gpu(0x66)])


class PciFlavorTestCase(ProxyTestCase):
    def test_life_of_a_pci_flavor(self) -> None:
        service = self.service
        self.assertIsNone(service.find_pci_flavor('big GPU'))
        created = service.create_pci_flavor(
            name='big GPU', match=_MATCH, is_public=False
        )
        self.assertEqual(created.id, service.get_pci_flavor('big GPU').uuid)

        changed = service.update_pci_flavor('big GPU', description='a')
        self.assertEqual(('a', 2), (changed.description, changed.generation))
        changed.description = 'b'
        changed = service.update_pci_flavor(changed, vnic_type='direct')
        self.assertEqual(
            ('b', 'direct'), (changed.description, changed.vnic_type)
        )

        service.add_pci_flavor_access(changed, base.PROJECT)
        self.assertEqual([base.PROJECT], service.pci_flavor_access('big GPU'))
        service.remove_pci_flavor_access(changed.id, base.PROJECT)
        self.assertEqual([], service.pci_flavor_access(changed))

        service.delete_pci_flavor(changed)
        service.delete_pci_flavor(changed)
        self.assertRaises(
            exceptions.NotFoundException,
            service.delete_pci_flavor,
            'big GPU',
            ignore_missing=False,
        )

    def test_all_pages_of_a_list(self) -> None:
        names = [f'gpu{number}' for number in range(5)]
        base.insert_flavors(self.api.db, names)
        flavors = self.service.pci_flavors(limit=2, availability=True)
        self.assertEqual(
            [(name, 'none') for name in names],
            [(flavor.name, flavor.availability) for flavor in flavors],
        )
        [flavor] = self.service.pci_flavors(name='gpu3', is_public=True)
        self.assertEqual('gpu3', flavor.name)

    def test_changed_by_another_client(self) -> None:
        self.service.create_pci_flavor(name='gpu', match=_MATCH)
        [listed] = self.service.pci_flavors()
        read = self.service.get_pci_flavor('gpu')
        self.service.update_pci_flavor('gpu', description='theirs')
        for flavor, attrs in (
            (listed, {}),
            (read, {}),
            ('gpu', {'generation': 1}),
        ):
            error = self.assertRaises(
                exceptions.PreconditionFailedException,
                self.service.update_pci_flavor,
                flavor,
                description='mine',
                **attrs,
            )
            self.assertIn('was changed by another client', str(error))

    def test_effects(self) -> None:
        self.add_gpus()
        service = self.service
        effect = service.preview_create_pci_flavor(name='gpu', match=_MATCH)
        self.assertEqual(2, (effect.devices or {})['gained'])
        self.assertIsNone(service.find_pci_flavor('gpu'))
        service.create_pci_flavor(name='gpu', match=_MATCH)
        [held] = self.api.claim('cmp1', 'gpu')

        for effect in (
            service.preview_update_pci_flavor(
                'gpu', match=[{'vendor_id': '8086'}]
            ),
            service.preview_delete_pci_flavor('gpu'),
        ):
            self.assertEqual(2, (effect.devices or {})['lost'])
            self.assertIn('in use', effect.refusal or '')
            self.assertEqual(
                [held.instance_uuid], (effect.requests or {})['instances']
            )

    def test_in_use(self) -> None:
        self.add_gpus()
        self.service.create_pci_flavor(name='gpu', match=_MATCH)
        [held] = self.api.claim('cmp1', 'gpu')
        error = self.assertRaises(
            errors.Conflict, self.service.delete_pci_flavor, 'gpu'
        )
        self.assertEqual('pci_flavor.in_use', error.code)
        self.assertEqual([held.instance_uuid], error.instances)
        self.service.delete_pci_flavor('gpu', force=True)

    def test_supply(self) -> None:
        self.add_gpus()
        self.service.create_pci_flavor(name='gpu', match=_MATCH)
        supply = self.service.get_pci_flavor_availability('gpu', 2)
        self.assertEqual(('low', 1), (supply.availability, supply.requests))
        explanation = self.service.explain_pci_flavor(
            'gpu', 3, hosts=['cmp1'], physical_networks=['']
        )
        self.assertEqual(0, explanation.serving)
        [host] = explanation.hosts or []
        self.assertEqual('no_match', host['condition'])

    def test_explanation_of_many_hosts(self) -> None:
        base.insert_hosts(self.api.db, [f'h{n:04}' for n in range(1001)])
        self.service.create_pci_flavor(name='gpu', match=_MATCH)
        explanation = self.service.explain_pci_flavor('gpu')
        self.assertEqual(1001, len(explanation.hosts or ()))


class HardwareTestCase(ProxyTestCase):
    def test_devices(self) -> None:
        self.add_gpus()
        service = self.service
        first, second = service.pci_devices(host='cmp1', limit=1)
        # A parameter of a method of openstacksdk has this name, too.
        for resource_type, count in (('pci', 2), ('usb', 0)):
            devices = service.pci_devices(
                host='cmp1', resource_type=resource_type
            )
            self.assertEqual(count, len(list(devices)))
        name = f'{second.host}/{second.address}'
        self.assertEqual(second.uuid, service.get_pci_device(name).uuid)
        self.assertEqual(first, service.get_pci_device(first))

        changed = service.update_pci_device(name, 'disable', 'it smells')
        self.assertEqual('disabled', changed.state)
        [event] = service.pci_device_history(second, limit=1)
        self.assertEqual(
            ('disable', 'it smells'), (event.action, event.reason)
        )
        for device in ('cmp1/0000:01:00.0', 'nowhere'):
            self.assertRaises(
                exceptions.NotFoundException, service.get_pci_device, device
            )
        error = self.assertRaises(
            errors.Conflict, service.resolve_pci_device, name, None, 'gone'
        )
        self.assertEqual('pci_device.state', error.code)

    def test_pools_hosts_and_refusals(self) -> None:
        self.add_gpus()
        service = self.service
        [pool] = service.pci_pools(vendor_id='10de')
        self.assertEqual((2, 2), (pool.free, pool.total))
        [host] = service.pci_hosts(state='up')
        self.assertEqual(('cmp1', 2), (host.id, host.devices))
        error = self.assertRaises(
            errors.Conflict, service.delete_pci_host, 'cmp1'
        )
        self.assertEqual('host.up', error.code)
        self.assertEqual([], list(service.refusals(pci_flavor='gpu')))


class VersionTestCase(ProxyTestCase):
    def test_text_of_errors_in_all_versions(self) -> None:
        """Also in those in which openstacksdk itself finds no text."""
        for version in ('1.0', '1.latest'):
            service = service_at(
                self.api.url, pci_passthrough_api_version=version
            )
            error = self.assertRaises(
                errors.NotFound, service.get_pci_flavor, 'x'
            )
            self.assertIn("there is no PCI flavor 'x'", str(error))
            self.assertIn(str(error.request_id), str(error))

    def test_chosen_by_the_user(self) -> None:
        service = service_at(f'{self.api.url}/v1')
        self.assertEqual('1.4', service.microversion)
        service = service_at(self.api.url, pci_passthrough_api_version='1.2')
        self.assertEqual('1.2', service.microversion)
        service = service_at(self.api.url, pci_passthrough_api_version='1.99')
        error = self.assertRaises(
            exceptions.NotSupported, list, service.pci_hosts()
        )
        self.assertIn('it has 1.0 to 1.4', str(error))


class CatalogueTestCase(ProxyTestCase):
    """The endpoint comes from the catalogue, the hook from clouds.yaml."""

    def connect(self, **settings: str) -> Any:
        keystone = self.useFixture(
            cloud.CloudFixture(
                {'ops': base.OTHER_PROJECT},
                {('pci-passthrough', 'one', 'public'): self.api.url},
            )
        )
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        settings |= {'vendor_hook': 'pci_passthrough.sdk:vendor_hook'}
        auth = {
            'auth_url': keystone.url,
            'username': 'admin',
            'password': 'secret',
            'project_name': 'ops',
            'user_domain_id': 'default',
            'project_domain_id': 'default',
        }
        file = folder / 'clouds.yaml'
        file.write_text(
            json.dumps({'clouds': {'mine': {'auth': auth, **settings}}})
        )
        self.useFixture(
            fixtures.EnvironmentVariable('OS_CLIENT_CONFIG_FILE', str(file))
        )
        return openstack.connect(cloud='mine')

    def test_hook(self) -> None:
        self.add_gpus()
        [host] = self.connect().pci_passthrough.pci_hosts()
        self.assertEqual('cmp1', host.host)

    def test_not_in_the_catalogue(self) -> None:
        connection = self.connect(region_name='two')
        error = self.assertRaises(
            exceptions.EndpointNotFound, getattr, connection, 'pci_passthrough'
        )
        self.assertIn('type pci-passthrough, region two', str(error))


class NotThisServiceTestCase(testtools.TestCase):
    """Nobody answers at the endpoint, or another program."""

    def test_nobody(self) -> None:
        with base.Served(_html) as served:
            url = served.url
        self.assert_unreachable(url, 'does not answer', url)

    def test_somebody_else(self) -> None:
        url = self.useFixture(base.Served(_html)).url
        self.assert_unreachable(url, url, 'is the endpoint right?')

    def test_broken_proxy(self) -> None:
        """Only the versions come through."""
        api = self.useFixture(fixture.ApiFixture(served=False))

        def broken(
            environ: 'WSGIEnvironment', start_response: 'StartResponse'
        ) -> Iterable[bytes]:
            root = environ['PATH_INFO'] == '/'
            return (api.application if root else _html)(
                environ, start_response
            )

        url = self.useFixture(base.Served(broken)).url
        self.assert_unreachable(url, 'does not answer with JSON', url)

    def assert_unreachable(self, url: str, *texts: str) -> None:
        error = self.assertRaises(
            errors.ServiceUnreachable, list, service_at(url).pci_hosts()
        )
        for text in texts:
            self.assertIn(text, str(error))


def _html(
    environ: 'WSGIEnvironment', start_response: 'StartResponse'
) -> Iterable[bytes]:
    start_response('200 OK', [('Content-Type', 'text/html')])
    return [b'<html>Welcome</html>']
