# SPDX-License-Identifier: Apache-2.0
"""Tests of making and refusing requests for PCI flavors."""

from typing import Any

from nova import context as nova_context
from nova import objects as nova_objects
import oslo_messaging

from pci_passthrough.objects import fields
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests.nova import base

OTHER_PROJECT = '2f1a9f5bb5c64e7c8ae0e3ac2d2b4a6d'


class RequestTest(base.NovaTest):
    """A cloud with a PCI flavor."""

    def setUp(self) -> None:
        super().setUp()
        self.gpu = self.create_pci_flavor('gpu')

    def requests(self, server: Any) -> list[tuple[str, int, list[str], Any]]:
        """Return (alias, count, names, NUMA policy) of all requests."""
        return [
            (
                request.alias_name,
                request.count,
                [spec['pci_flavor_name'] for spec in request.spec],
                request.numa_policy,
            )
            for request in self.instance(server).pci_requests.requests
        ]

    def unchecked_flavor(self, **extra_specs: str) -> str:
        """Create a Nova flavor whose extra specs nova-api did not see.

        So it was without the plugin, in which nothing validated them before
        microversion 2.86.
        """
        flavor_id = self.create_flavor(None)
        flavor = nova_objects.Flavor.get_by_flavor_id(
            nova_context.get_admin_context(), flavor_id
        )
        flavor.extra_specs = {
            key.replace('__', ':'): v for key, v in extra_specs.items()
        }
        flavor.save()
        return flavor_id

    def refused_boot(self, **arguments: Any) -> tuple[int, str]:
        """Return status and text of a refused server."""
        status, text = self.refused(self.boot, **arguments)
        self.assertEqual([], self.api.get_servers(detail=False))
        return status, text


class MadeTest(RequestTest):
    """A flavor's extra specs become an instance's requests."""

    def test_one(self) -> None:
        self.start_host('c0')
        server = self.boot('gpu:2')
        (request,) = self.instance(server).pci_requests.requests
        self.assertEqual(
            [{'pci_flavor': self.gpu.uuid, 'pci_flavor_name': 'gpu'}],
            request.spec,
        )
        self.assertEqual([('gpu', 2, ['gpu'], None)], self.requests(server))

    def test_several_and_alternatives(self) -> None:
        self.start_host('c0', 4)
        self.create_pci_flavor('big')
        flavor = self.create_flavor(
            'gpu, big|gpu:2', hardware_resource__big='1'
        )
        server = self.boot(flavor_id=flavor)
        self.assertEqual(
            [
                ('gpu', 1, ['gpu'], None),
                ('big|gpu', 2, ['big', 'gpu'], None),
                ('big', 1, ['big'], None),
            ],
            self.requests(server),
        )

    def test_disabled_alternatives_are_left_out(self) -> None:
        self.start_host('c0')
        self.create_pci_flavor('old', state=fields.PciFlavorState.DISABLED)
        self.create_pci_flavor('aged', state=fields.PciFlavorState.DEPRECATED)
        server = self.boot('old|aged|gpu')
        self.assertEqual(
            [('old|aged|gpu', 1, ['aged', 'gpu'], None)],
            self.requests(server),
        )

    def test_live_migratable_if_all_alternatives_are(self) -> None:
        self.start_host('c0', 3, live_migratable='yes')
        for name in ('first', 'second'):
            term = base.GPU | {'e.live_migratable': 'yes'}
            self.create_pci_flavor(name, term)
        server = self.boot('first|second,first|gpu,gpu')
        requests = self.instance(server).pci_requests.requests
        self.assertEqual(
            [True, False, False],
            [request.is_live_migratable() for request in requests],
        )

    def test_no_calls_for_plain_instances(self) -> None:
        self.start_host('c0')
        self.start_host('c1')
        self.forget_calls()
        server = self.boot(None)
        server = self._migrate_server(server)
        self._confirm_resize(server)
        self._delete_server(server)
        asked = {'resolve', 'offer', 'claim', 'note_refusals'}
        self.assertEqual(set(), asked & set(self.wire.calls))

    def test_multi_create(self) -> None:
        self.start_host('c0')
        for server in self.boot_many(2, self.create_flavor('gpu')):
            self.assertEqual(
                [('gpu', 1, ['gpu'], None)], self.requests(server)
            )
            self.assert_guest_has('c0', server, 1)


class RefusedTest(RequestTest):
    """HTTP 400 for what the user can correct, and 503 otherwise."""

    def test_wrong_extra_specs(self) -> None:
        flavor = self.create_flavor(None)
        for name, value, part in (
            ('pci_passthrough:pci_flavor', 'gpu:2,big:0', "'big:0'"),
            ('pci_passthrough:pci_flavor', 'gpu:2,', "''"),
            ('pci_passthrough:pci_flavor', 'gpu|gpu', "'gpu|gpu'"),
            ('pci_passthrough:pci_flavor', 'a:1:2', "'a:1:2'"),
            ('hardware_resource:gpu', 'many', "'hardware_resource:gpu = many"),
            ('hardware_resource:', '1', 'hardware_resource:'),
        ):
            with self.subTest(name=name, value=value):
                status, text = self.refused(
                    self.admin_api.post_extra_spec,
                    flavor,
                    {'extra_specs': {name: value}},
                )
                self.assertEqual(400, status, text)
                self.assertIn(part, text)

    def test_right_extra_specs(self) -> None:
        specs = {
            'pci_passthrough:pci_flavor': 'gpu:2, big GPU|mid',
            'hardware_resource:10g': '2',
        }
        flavor = self.create_flavor(None)
        self.admin_api.post_extra_spec(flavor, {'extra_specs': specs})
        self.assertEqual(specs, self.admin_api.get_extra_specs(flavor))

    def test_at_boot_if_not_validated_before(self) -> None:
        flavor = self.unchecked_flavor(pci_passthrough__pci_flavor='gpu:none')
        status, text = self.refused_boot(flavor_id=flavor)
        self.assertEqual(400, status)
        self.assertIn("'gpu:none'", text)
        self.assertNotIn('resolve', self.wire.calls)

    def test_too_many_together(self) -> None:
        """Each extra spec is right, but together they are too many."""
        many = {f'hardware_resource__g{n}': '1' for n in range(33)}
        flavor = self.unchecked_flavor(**many)
        status, text = self.refused_boot(flavor_id=flavor)
        self.assertEqual(400, status)
        self.assertIn('more than 32 requests', text)

    def test_unknown(self) -> None:
        status, text = self.refused_boot(requests='gpu,nosuch')
        self.assertEqual(400, status)
        self.assertIn('nosuch', text)

    def test_disabled(self) -> None:
        editing.update(
            self.db, 'gpu', {'state': fields.PciFlavorState.DISABLED}
        )
        status, text = self.refused_boot(requests='gpu')
        self.assertEqual(400, status)
        self.assertIn('gpu', text)
        self.assertIn('disabled', text)

    def test_invisible_to_the_project(self) -> None:
        self.start_host('c0')
        for name, owner in (
            ('mine', self.api_fixture.project_id),
            ('theirs', OTHER_PROJECT),
        ):
            self.create_pci_flavor(name, project_id=owner, is_public=False)
        member = self.api_fixture.api
        member.microversion = 'latest'
        status, text = self.refused_boot(requests='theirs', api=member)
        self.assertEqual(400, status)
        self.assertIn('theirs', text)
        self.boot('mine', api=member)
        # The administrator may use all.
        self.boot('theirs')

    def test_resize(self) -> None:
        self.start_host('c0')
        server = self.boot(None)
        flavor = self.create_flavor('nosuch')
        status, text = self.refused(self._resize_server, server, flavor)
        self.assertEqual(400, status)
        self.assertIn('nosuch', text)

    def test_numa_policy(self) -> None:
        self.start_host('c0')
        server = self.boot(None)
        flavor = self.unchecked_flavor(
            pci_passthrough__pci_flavor='gpu',
            hw__pci_numa_affinity_policy='near',
        )
        status, text = self.refused(self._resize_server, server, flavor)
        self.assertEqual(400, status)
        self.assertIn('hw:pci_numa_affinity_policy = near', text)

    def test_conductor_away(self) -> None:
        self.start_host('c0')
        flavor = self.create_flavor('gpu')
        plain = self.boot(None)
        self.wire.is_down = True
        status, text = self.refused(self.boot, flavor_id=flavor)
        self.assertEqual(503, status)
        self.assertIn('try again later', text)
        self.assertNotIn('broker', text)
        status, text = self.refused(self._resize_server, plain, flavor)
        self.assertEqual(503, status)
        self.assertIn('try again later', text)
        self.assertNotIn('broker', text)
        self.boot(None)
        self.wire.is_down = False
        self.boot(flavor_id=flavor)


class NumaPolicyTest(RequestTest):
    """The NUMA policy of a request; None means the PCI flavor's."""

    def setUp(self) -> None:
        super().setUp()
        self.start_host('c0')
        self.start_host('c1', bus=0x82)

    def claimed_policies(self) -> list[str | None]:
        """Return the NUMA policies of claims so far."""
        return [
            request['pci_passthrough_object.data']['numa_policy']
            for method, arguments in self.wire.messages
            if method == 'claim'
            for request in arguments['requests']
        ]

    def image(self, policy: str) -> str:
        """Create an image with a policy; return its id."""
        return str(
            self._create_image({'hw_pci_numa_affinity_policy': policy})['id']
        )

    def test_none(self) -> None:
        server = self.boot('gpu')
        self.assertEqual([('gpu', 1, ['gpu'], None)], self.requests(server))

    def test_of_the_flavor(self) -> None:
        flavor = self.create_flavor(
            'gpu', hw__pci_numa_affinity_policy='preferred'
        )
        server = self.boot(flavor_id=flavor)
        self.assertEqual(
            [('gpu', 1, ['gpu'], 'preferred')], self.requests(server)
        )
        self._migrate_server(server)
        self.assertEqual(['preferred'] * 2, self.claimed_policies())

    def test_of_the_image(self) -> None:
        server = self.boot('gpu', image_uuid=self.image('required'))
        self.assertEqual(
            [('gpu', 1, ['gpu'], 'required')], self.requests(server)
        )
        # Nova loses the policy here.
        self._migrate_server(server)
        self.assertEqual(['required'] * 2, self.claimed_policies())

    def test_of_the_image_in_a_resize(self) -> None:
        server = self.boot(None, image_uuid=self.image('required'))
        self._resize_server(server, self.create_flavor('gpu'))
        (question,) = self.scheduler_offers()
        (asked,) = question['requests']
        self.assertEqual(
            'required', asked['pci_passthrough_object.data']['numa_policy']
        )
        self.assertEqual(['required'], self.claimed_policies())


class LaterTest(RequestTest):
    """A running instance keeps its requests."""

    def setUp(self) -> None:
        super().setUp()
        self.start_host('c0')
        self.start_host('c1', bus=0x82)
        self.server = self.boot('gpu:2', host='c0')
        self.before = self.requests(self.server)

    def check(self, host: str) -> None:
        """Check that the server is on a host, with devices and requests."""
        self.assertEqual(host, self.host_of(self.server))
        self.assert_guest_has(host, self.server, 2)
        self.assertEqual(self.before, self.requests(self.server))

    def test_resize_from_and_to_nothing(self) -> None:
        self._resize_server(self.server, self.create_flavor(None))
        self._confirm_resize(self.server)
        self.assertEqual([], self.requests(self.server))
        self.assert_clean('c0', 'c1')
        self._resize_server(self.server, self.create_flavor('gpu:2'))
        self._confirm_resize(self.server)
        self.check(self.host_of(self.server))

    def test_resize_to_another(self) -> None:
        self._resize_server(self.server, self.create_flavor('gpu'))
        self._confirm_resize(self.server)
        self.assertEqual(
            [('gpu', 1, ['gpu'], None)], self.requests(self.server)
        )
        self.assert_guest_has('c1', self.server, 1)

    def test_cold_migration(self) -> None:
        self._migrate_server(self.server)
        self._confirm_resize(self.server)
        self.check('c1')

    def test_cold_migration_when_nobody_else_may_use_it(self) -> None:
        changes = {'is_public': False, 'state': 'disabled'}
        editing.update(self.db, 'gpu', changes)
        self._migrate_server(self.server)
        self._confirm_resize(self.server)
        self.check('c1')

    def test_cold_migration_without_conductor(self) -> None:
        """The server stays on its host, with its devices."""

        def away(method: str, arguments: Any) -> None:
            if method == 'resolve':
                raise oslo_messaging.MessagingTimeout(method)

        self.wire.before = away
        _status, text = self.refused(
            self.admin_api.post_server_action,
            self.server['id'],
            {'migrate': None},
        )
        # The host's log has the reason; users do not get it.
        self.assertIn('PCI flavors cannot be looked up now', text)
        self.assertNotIn('resolve', text)
        self.wire.before = lambda method, arguments: None
        self.check('c0')
        self.assert_clean('c1')

    def test_evacuation(self) -> None:
        self.force_down('c0')
        self._evacuate_server(self.server)
        self.check('c1')

    def test_rebuild(self) -> None:
        self.forget_calls()
        image = self._create_image({})['id']
        self._rebuild_server(self.server, image)
        self.check('c0')
        self.assertEqual([], self.scheduler_offers())
        self.assertNotIn('claim', self.wire.calls)

    def test_shelve_and_unshelve(self) -> None:
        self._shelve_server(self.server)
        self.disable_host('c0')
        self._unshelve_server(self.server)
        self.check('c1')


class LiveMigrationTest(RequestTest):
    """Only instances with live_migratable devices can move, as in Nova."""

    def setUp(self) -> None:
        super().setUp()
        self.flags(device_detach_timeout='1', group='libvirt')
        self.start_host('c0', live_migratable='true')
        self.start_host('c1', bus=0x82, live_migratable='true')
        self.create_pci_flavor('mobile', {'e.live_migratable': 'true'})

    def test_mobile(self) -> None:
        server = self.boot('mobile', host='c0')
        before = self.requests(server)
        self._live_migrate(server, 'completed')
        self.assertEqual('c1', self.host_of(server))
        self.assert_guest_has('c1', server, 1)
        self.assertEqual(before, self.requests(server))

    def test_not_known_to_be_mobile(self) -> None:
        server = self.boot('gpu', host='c0')
        _status, text = self.refused(self._live_migrate, server, 'completed')
        self.assertIn('NoValidHost', text)
        self.assert_guest_has('c0', server, 1)
