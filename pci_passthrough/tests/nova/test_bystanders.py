# SPDX-License-Identifier: Apache-2.0
"""Tests that whoever asks for no PCI flavor does not notice the Nova plugin.

Every replacement must call Nova's function with the same arguments and return
its answer, without loading an attribute and without calling anybody.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
import importlib
import inspect
import threading
import types
from typing import Any
from typing import NoReturn

import fixtures
from nova import context as nova_context
from nova import exception as nova_exception
from nova import objects as nova_objects
from nova.network import model
from nova.network import neutron
from oslo_concurrency import lockutils
from oslo_config import cfg
import testtools

from pci_passthrough.conf import nova as nova_options
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import scheduler_filter
from pci_passthrough.nova_plugin import weigher
from pci_passthrough.nova_plugin.compat import pci
from pci_passthrough.nova_plugin.compat import scheduling
from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.nova_plugin.compute import tracker
from pci_passthrough.nova_plugin.install import replacements
from pci_passthrough.nova_plugin.network import asked_nics
from pci_passthrough.nova_plugin.network import interfaces
from pci_passthrough.tests.nova import base
from pci_passthrough.tests.nova_suites import conductor

_INSTANCE = '00000000-0000-0000-0000-000000000001'
_PORT = '00000000-0000-0000-0000-000000000002'
_REQUEST = '00000000-0000-0000-0000-000000000003'

nova_objects.register_all()


class Touched(Exception):
    """A replacement has read or called something."""


def _touch(*args: Any, **kwargs: Any) -> NoReturn:
    raise Touched(args, kwargs)


class Untouchable:
    """Stands in for the conductor: nobody may call it."""

    def __getattr__(self, name: str) -> Any:
        raise Touched(name)


def _unloaded(name: str, **attributes: Any) -> Any:
    """Return an object of Nova that raises when an attribute is loaded."""
    nova_class = getattr(nova_objects, name)
    derived = type(name, (nova_class,), {'obj_load_attr': _touch})
    return derived(**attributes)


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a replacement.

    :ivar args: the arguments.
    :ivar answer: the answer of Nova's function.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    answer: Any = dataclasses.field(default_factory=object)


class BystandersTest(testtools.TestCase):
    """A nova-compute in memory, whose instances have no devices.

    :ivar tracker: its tracker of PCI devices.
    """

    def setUp(self) -> None:
        super().setUp()
        # It restores the class method itself; ``patch`` would leave a bound
        # one behind, which tests of Nova in this process cannot replace.
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.objects.PciDeviceList.get_by_compute_node',
                lambda cls, context, node_id: cls(objects=[]),
            )
        )
        nova_options.register_opts(cfg.CONF)
        cfg.CONF.set_override('verdict_dir', '', group='pci_passthrough')
        self.addCleanup(
            cfg.CONF.clear_override, 'verdict_dir', group='pci_passthrough'
        )
        stand_in: Any = conductor.NoHosts()
        self.addCleanup(client.replace, client.replace(stand_in))
        self.context = nova_context.RequestContext(is_admin=False)
        self.tracker = tracker.PciFlavorDevTracker(
            self.context,
            nova_objects.ComputeNode(id=1, host='host', numa_topology=None),
        )
        untouchable: Any = Untouchable()
        client.replace(untouchable)
        self.patch(neutron, 'get_client', _touch)
        self.patch(scheduling, 'request_spec_of', _touch)
        self.patch(scheduling, 'pci_requests_of', _touch)
        self.instance = _unloaded('Instance', uuid=_INSTANCE, host='host')
        self.manager = types.SimpleNamespace(
            rt=types.SimpleNamespace(pci_tracker=self.tracker), host='host'
        )
        self.driver = types.SimpleNamespace(
            virtapi=types.SimpleNamespace(_compute=self.manager)
        )

    def call(self, name: str, call: Call, fails: bool = False) -> list[Any]:
        """Call a replacement.

        :param name: of the function of Nova, as in ``replacements``.
        :param fails: whether Nova's function raises an error.
        :returns: the arguments of each call of Nova's function.
        """
        replacement = _REPLACEMENTS[name]
        calls: list[Any] = []

        @functools.wraps(_nova_function(replacement))
        def original(*args: Any, **kwargs: Any) -> Any:
            calls.append((args, kwargs))
            if fails:
                raise nova_exception.PortNotFound(port_id=_PORT)
            return call.answer

        substitute = replacement.load()(original)
        answer = substitute(*call.args, **call.kwargs)
        if call.answer is not None:
            self.assertIs(call.answer, answer, name)
        return calls

    def driver_arguments(
        self, name: str, driver: Any, instance: Any
    ) -> tuple[Any, ...]:
        """Return the arguments of a method of LibvirtDriver."""
        known = {'self': driver, 'context': self.context, 'instance': instance}
        function = _nova_function(_REPLACEMENTS[name])
        return tuple(
            known.get(parameter.name, object())
            for parameter in inspect.signature(function).parameters.values()
            if parameter.default is parameter.empty
        )

    def requests(self, **spec: Any) -> Any:
        """Return Nova's requests of an instance: one with a spec."""
        return nova_objects.InstancePCIRequests(
            instance_uuid=_INSTANCE,
            requests=[
                nova_objects.InstancePCIRequest(
                    count=1,
                    request_id=_REQUEST,
                    requester_id=_PORT,
                    spec=[spec],
                )
            ],
        )

    def give_device(self) -> None:
        """Let the instance hold a device of a PCI flavor."""
        row = nova_objects.PciDevice(
            address='0000:81:00.0',
            status='allocated',
            instance_uuid=_INSTANCE,
            request_id=_REQUEST,
            extra_info={attachment.DEVICE: _PORT},
        )
        self.tracker._attachments.add(attachment.Attachment(row))


class PassTest(BystandersTest):
    """Calls of all replacements for who asks for no PCI flavor."""

    def test_all_are_in_the_table(self) -> None:
        self.assertEqual(sorted(_REPLACEMENTS), sorted(self.calls()))

    def test_nothing_but_nova_s_function_is_called(self) -> None:
        for name, calls in self.calls().items():
            for call in calls:
                self.assertEqual(
                    [(call.args, dict(call.kwargs))],
                    self.call(name, call),
                    name,
                )

    def test_errors_pass(self) -> None:
        for name, calls in self.calls().items():
            for call in calls:
                self.assertRaises(
                    nova_exception.PortNotFound, self.call, name, call, True
                )

    def calls(self) -> dict[str, list[Call]]:
        """Return calls for each replaced function."""
        return {
            **self.requests_calls(),
            **self.move_calls(),
            **self.scheduler_calls(),
            **self.network_calls(),
            **self.interface_calls(),
            **self.context_calls(),
            **self.driver_calls(),
        }

    def requests_calls(self) -> dict[str, list[Call]]:
        flavors = [
            _unloaded('Flavor', id=1, extra_specs={'hw:numa_nodes': '1'}),
            _unloaded('Flavor', id=2),
        ]
        native = self.requests(vendor_id='8086')
        without_spec = nova_objects.InstancePCIRequests(
            requests=[_unloaded('InstancePCIRequest')]
        )
        claim = types.SimpleNamespace(
            instance=self.instance, _pci_requests=native
        )
        move = (object(), self.context, self.instance, flavors[0], 'node')
        topologies = (object(), object())
        native_pools = self.tracker.stats.native
        return {
            'nova.pci.request:get_pci_requests_from_flavor': [
                Call((flavor,), {'affinity_policy': None})
                for flavor in flavors
            ],
            'nova.objects.request_spec:RequestSpec'
            '.generate_request_groups_from_pci_requests': [
                Call((_unloaded('RequestSpec'),)),
                Call((_unloaded('RequestSpec', pci_requests=None),)),
                Call((_unloaded('RequestSpec', pci_requests=native),)),
                Call((_unloaded('RequestSpec', pci_requests=without_spec),)),
            ],
            'nova.compute.resource_tracker:ResourceTracker._move_claim': [
                Call((*move, _unloaded('Migration'), {})),
                Call((*move, None, {})),
            ],
            'nova.compute.claims:Claim._test_pci': [
                Call((claim,)),
                Call(
                    (types.SimpleNamespace(**vars(claim), flavor=flavors[1]),)
                ),
            ],
            **self.quota_calls(flavors, [native, without_spec, None]),
            'nova.virt.hardware:numa_fit_instance_to_host': [
                Call((*topologies, None)),
                Call((*topologies, None, None, [], native_pools)),
            ],
        }

    def quota_calls(
        self, flavors: list[Any], pci_requests: list[Any]
    ) -> dict[str, list[Call]]:
        names = [
            f'nova.compute.api:API.{name}'
            for name in ('_provision_instances', '_check_quota_for_upsize')
        ]
        create, resize = (
            _nova_function(_REPLACEMENTS[name]) for name in names
        )
        servers, upsize = (
            [
                parameter.name
                for parameter in inspect.signature(
                    function
                ).parameters.values()
                if parameter.default is parameter.empty
            ]
            for function in (create, resize)
        )
        options: list[dict[str, Any]] = [
            {'pci_requests': of_server} for of_server in pci_requests
        ]
        return {
            names[0]: [
                Call(tuple(known.get(name, object()) for name in servers))
                for known in ({'base_options': given} for given in options)
            ],
            names[1]: [
                Call(tuple(known.get(name, object()) for name in upsize))
                for flavor in flavors
                for is_revert in (True, False)
                for known in (
                    {
                        'instance': self.instance,
                        'new_flavor': flavor,
                        'is_revert': is_revert,
                    },
                )
            ],
        }

    def move_calls(self) -> dict[str, list[Call]]:
        flavor = _unloaded('Flavor', id=1, extra_specs={})
        specs = [
            _unloaded('RequestSpec'),
            _unloaded(
                'RequestSpec',
                flavor=flavor,
                pci_requests=self.requests(vendor_id='8086'),
                requested_destination=nova_objects.Destination(
                    allow_cross_cell_move=False
                ),
            ),
        ]
        return {
            'nova.objects.request_spec:RequestSpec'
            '.ensure_network_information': [
                Call((spec, instance), answer=None)
                for spec in specs
                for instance in (
                    self.instance,
                    # Nova reads its flavor later in the same call.
                    _unloaded(
                        'Instance', task_state='unshelving', flavor=flavor
                    ),
                )
            ],
            'nova.conductor.tasks.migrate:MigrationTask'
            '._set_requested_destination_cell': [
                Call((types.SimpleNamespace(request_spec=spec), {}))
                for spec in specs
            ],
            'nova.compute.resource_tracker:ResourceTracker'
            '._drop_pci_devices': [
                Call(
                    (
                        types.SimpleNamespace(pci_tracker=pci_tracker),
                        self.instance,
                        'node',
                        'old_',
                    ),
                    answer=None,
                )
                for pci_tracker in (self.tracker, object(), None)
            ],
            'nova.compute.resource_tracker:ResourceTracker'
            '._setup_pci_tracker': [
                Call(
                    (
                        types.SimpleNamespace(
                            pci_tracker=pci_tracker, driver=self.driver
                        ),
                        self.context,
                        object(),
                        {},
                    ),
                    answer=None,
                )
                for pci_tracker in (self.tracker, object())
            ],
        }

    def scheduler_calls(self) -> dict[str, list[Call]]:
        nova_options.register_opts(cfg.CONF)
        manager = types.SimpleNamespace(
            # As they are made, with nothing read.
            enabled_filters=[object.__new__(scheduler_filter.PciFlavorFilter)],
            weighers=[object.__new__(weigher.PciFlavorWeigher)],
        )
        return {
            'nova.scheduler.host_manager:HostManager.__init__': [
                Call((manager,), answer=None)
            ],
            'nova.scheduler.manager:SchedulerManager._schedule': [
                Call(
                    (object(), self.context, _unloaded('RequestSpec')),
                    {
                        'instance_uuids': [_INSTANCE],
                        'alloc_reqs_by_rp_uuid': Untouchable(),
                        'provider_summaries': Untouchable(),
                    },
                ),
            ],
        }

    def network_calls(self) -> dict[str, list[Call]]:
        api = object()
        network = nova_objects.NetworkRequest(network_id=_PORT)
        networks = nova_objects.NetworkRequestList(objects=[network])
        row = _unloaded('PciDevice', address='0000:81:00.0')
        native = nova_objects.PciDevice(
            address='0000:81:00.0', extra_info={'capabilities': '{}'}
        )
        vif = types.SimpleNamespace(port_id=_PORT)
        where = 'nova.network.neutron:API.'
        return {
            f'{where}create_resource_requests': [
                Call(
                    (api, self.context, asked, self.requests(a='b')),
                    {'affinity_policy': None},
                )
                for asked in (None, networks)
            ],
            f'{where}_create_ports_for_instance': [
                Call(
                    (api, self.context, self.instance, networks, {}, api, []),
                    answer=[(network, _PORT)],
                )
            ],
            f'{where}_populate_neutron_binding_profile': [
                Call((api, self.instance, None, {}, None), answer=None)
            ],
            'nova.pci.whitelist:Whitelist.get_devspec': [
                Call((api, row)),
                Call((api, native)),
            ],
            'nova.compute.manager:ComputeManager'
            '._update_migrate_vifs_profile_with_pci': [
                Call((self.manager, [vif], {}), answer=None),
                Call((self.manager, [vif], {_PORT: native}), answer=None),
            ],
        }

    def interface_calls(self) -> dict[str, list[Call]]:
        who = (self.context, self.instance)
        manager = 'nova.compute.manager:ComputeManager.'
        rpc = 'nova.compute.rpcapi:ComputeAPI.'
        # Nova has loaded the NICs of the instance before.
        with_nic = _instance_with_nic(model.VNIC_TYPE_NORMAL)
        return {
            f'{rpc}attach_interface': [
                Call((object(), *who, None, _PORT, None)),
            ],
            f'{rpc}detach_interface': [
                Call((object(), *who, _PORT)),
                Call((object(), self.context, with_nic, _PORT)),
            ],
            f'{manager}_attach_interface': [
                Call((self.manager, *who, None, _PORT, None, None))
            ],
            f'{manager}_claim_pci_device_for_interface_attach': [
                Call((self.manager, *who, self.requests(vendor_id='8086'))),
            ],
            f'{manager}_detach_interface': [
                Call((self.manager, *who, _PORT), answer=None)
            ],
            f'{manager}_process_instance_vif_deleted_event': [
                Call((self.manager, *who, _PORT), answer=None)
            ],
        }

    def context_calls(self) -> dict[str, list[Call]]:
        answer = {'user_id': 'user'}
        where = 'nova.context:RequestContext.'
        return {
            f'{where}to_dict': [Call((self.context,), answer=answer)],
            f'{where}from_dict': [
                Call((type(self.context), {'user_id': 'user'}))
            ],
        }

    def driver_calls(self) -> dict[str, list[Call]]:
        loaded = _unloaded(
            'Instance',
            uuid=_INSTANCE,
            pci_devices=nova_objects.PciDeviceList(objects=[]),
        )
        elsewhere = types.SimpleNamespace(virtapi=object())
        of_nova = types.SimpleNamespace(
            virtapi=types.SimpleNamespace(
                _compute=types.SimpleNamespace(
                    rt=types.SimpleNamespace(pci_tracker=object())
                )
            )
        )
        return {
            name: [
                Call(self.driver_arguments(name, driver, instance), {})
                for driver in (self.driver, elsewhere, of_nova)
                for instance in (self.instance, loaded)
            ]
            for name in _REPLACEMENTS
            if name.startswith('nova.virt.libvirt.driver:')
        }


class ControlTest(BystandersTest):
    """Without the decision each of these calls touches something.

    Otherwise ``PassTest`` could not fail.
    """

    def assert_touched(self, name: str, *args: Any) -> None:
        """Check that a replacement does more than to call Nova's function."""
        call = Call(args, answer=self.requests(a='b'))
        self.assertRaises(Touched, self.call, name, call)

    def test_flavor(self) -> None:
        self.assert_touched(
            'nova.pci.request:get_pci_requests_from_flavor',
            nova_objects.Flavor(
                extra_specs={'pci_passthrough:pci_flavor': 'gpu:1'}
            ),
        )

    def test_instance_that_is_unshelved(self) -> None:
        self.assert_touched(
            'nova.objects.request_spec:RequestSpec.ensure_network_information',
            _unloaded('RequestSpec'),
            _unloaded('Instance', task_state='unshelving'),
        )

    def test_port(self) -> None:
        networks = nova_objects.NetworkRequestList(
            objects=[nova_objects.NetworkRequest(port_id=_PORT)]
        )
        self.assert_touched(
            'nova.network.neutron:API.create_resource_requests',
            *(object(), self.context, networks, self.requests(a='b')),
        )

    def test_interface_in_nova_api(self) -> None:
        with asked_nics.in_thread(asked_nics.AskedNics({})):
            self.assert_touched(
                'nova.compute.rpcapi:ComputeAPI.attach_interface',
                *(object(), self.context, self.instance, None, _PORT),
            )
        self.assert_touched(
            'nova.compute.rpcapi:ComputeAPI.detach_interface',
            *(object(), self.context),
            *(_instance_with_nic(model.VNIC_TYPE_DIRECT), _PORT),
        )

    def test_instance_with_a_device(self) -> None:
        self.give_device()
        who = (self.context, self.instance)
        self.assert_touched(
            'nova.compute.manager:ComputeManager'
            '._process_instance_vif_deleted_event',
            *(self.manager, *who, _PORT),
        )
        spawn = 'nova.virt.libvirt.driver:LibvirtDriver.spawn'
        self.assert_touched(
            spawn, *self.driver_arguments(spawn, self.driver, self.instance)
        )

    def test_before_the_tracker_exists(self) -> None:
        """When nova-compute starts guests, it has not read its rows yet."""
        self.manager.rt.pci_tracker = None
        reboot = 'nova.virt.libvirt.driver:LibvirtDriver._hard_reboot'
        self.assert_touched(
            reboot, *self.driver_arguments(reboot, self.driver, self.instance)
        )


class TrackerTest(BystandersTest):
    """The class that replaces Nova's tracker of PCI devices."""

    def test_nothing_is_loaded_or_called(self) -> None:
        pci_tracker = self.tracker
        none = nova_objects.InstancePCIRequests(
            instance_uuid=_INSTANCE, requests=[]
        )
        self.assertEqual(
            [], pci_tracker.claim_instance(self.context, none, None)
        )
        pci_tracker.allocate_instance(self.instance)
        pci_tracker.free_instance_claims(self.context, self.instance)
        pci_tracker.free_instance_allocations(self.context, self.instance)
        for sign in (1, -1):
            pci_tracker.update_pci_for_instance(
                self.context, self.instance, sign
            )
        pci_tracker.save(self.context)

    def test_requests_for_pci_flavors_are_not_ignored(self) -> None:
        self.patch(pci, 'project_of', lambda context, uuid: None)
        self.assertRaises(
            Touched,
            self.tracker.claim_instance,
            *(self.context, self.requests(pci_flavor=_PORT), None),
        )


class InterfaceLockTest(BystandersTest):
    """Interfaces without PCI flavors do not wait for each other."""

    def attach(self, while_attached: Callable[[], Any], **spec: Any) -> None:
        """Attach an interface as nova-compute does."""

        def claimed(*args: Any) -> None:
            while_attached()

        claim = interfaces.wrap_claim(claimed)

        def original(*args: Any) -> None:
            claim(self.manager, self.context, self.instance, asked)

        asked = self.requests(**spec)
        attach = interfaces.wrap_attach(original)
        attach(self.manager, self.context, self.instance)

    def test_at_the_same_time(self) -> None:
        both_are_attached = threading.Barrier(2)

        def meet() -> None:
            both_are_attached.wait(base.PATIENCE)

        other = threading.Thread(target=self.attach, args=(meet,))
        other.start()
        self.addCleanup(other.join)
        self.attach(meet)

    def test_kind_of_the_lock(self) -> None:
        def kind(**spec: Any) -> str:
            owners = []
            lock = lockutils.internal_fair_lock(
                f'pci_passthrough-interfaces-{_INSTANCE}'
            )
            self.attach(lambda: owners.append(lock.owner), **spec)
            self.assertIsNone(lock.owner)
            (owner,) = owners
            return str(owner)

        self.assertEqual('r', kind(vendor_id='8086'))
        self.assertEqual('w', kind(pci_flavor=_PORT))
        self.give_device()
        self.assertEqual('w', kind(vendor_id='8086'))

    def test_detach(self) -> None:
        lock = lockutils.internal_fair_lock(
            f'pci_passthrough-interfaces-{_INSTANCE}'
        )
        owners = []

        def original(*args: Any) -> None:
            owners.append(lock.owner)

        detach = interfaces.wrap_detach(original)
        detach(self.manager, self.context, self.instance, _PORT)
        self.give_device()
        detach(self.manager, self.context, self.instance, _PORT)
        self.assertEqual(['r', 'w'], owners)


#: Replaced function to its replacement.
_REPLACEMENTS = {
    str(replacement): replacement
    for replacement in replacements.REPLACEMENTS
    if not replacement.is_class
}


def _nova_function(replacement: replacements.Replacement) -> Any:
    """Return a function of Nova, for its signature."""
    found: Any = importlib.import_module(replacement.module)
    for part in replacement.name.split('.'):
        found = getattr(found, part)
    return getattr(found, '__func__', found)


def _instance_with_nic(vnic_type: str) -> Any:
    """Return an instance whose only NIC is loaded."""
    vif = model.VIF(id=_PORT, vnic_type=vnic_type)
    return _unloaded(
        'Instance',
        uuid=_INSTANCE,
        info_cache=nova_objects.InstanceInfoCache(
            instance_uuid=_INSTANCE, network_info=model.NetworkInfo([vif])
        ),
    )
