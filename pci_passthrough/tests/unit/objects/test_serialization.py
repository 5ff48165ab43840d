# SPDX-License-Identifier: Apache-2.0
"""Every object comes through the wire as it was."""

import datetime
import json
from typing import Any

from oslo_versionedobjects import base
from oslo_versionedobjects import exception as ovo_exception
import testtools

from pci_passthrough import objects

UUID = '9b3c1a60-3f0e-4c55-8a2b-0f3f2f6d7e11'
#: Whole seconds: the wire has no more.
AT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)

DEVICE = objects.PciDevice(
    address='0000:65:00.1',
    parent_addr='0000:65:00.0',
    resource_type='pci',
    dev_type='type-VF',
    vendor_id='8086',
    product_id='1889',
    subsystem_vendor_id=None,
    subsystem_id=None,
    pci_class='020000',
    driver='iavf',
    numa_node=0,
    iommu_group=7,
    devname='eth1',
    mac_address='52:54:00:00:00:01',
    link_speed=100000,
    total_vfs=None,
    capabilities=['rx', 'tso'],
    extra_info={'physical_network': 'physnet1', 'naïve': '✓'},
    offered_by='{"vendor_id": "8086"}',
    uuid=UUID,
    host='h1',
    status='allocated',
    presence='missing',
    serial_number='S1',
    vgpu_type='558',
    refusal='it is mounted',
    conflict=None,
    disabled_reason=None,
    instance_uuid=UUID,
    request_id='r1',
    pci_flavor_uuid=UUID,
    created_at=AT,
    updated_at=None,
)
#: As an agent sends it: nothing but what it knows.
REPORTED = objects.PciDevice(
    **{n: DEVICE.get(n) for n in objects.device.REPORTED_FIELDS}
    | {'handlers': ['reset', 'nvme-sanitize']}
)
REASON = objects.RefusalReason(
    host='h1',
    request_id='r1',
    pci_flavor='10g',
    condition='too_few',
    needed=2,
    left=1,
    detail='8086:1889 type-VF NUMA 0: 1 free',
)

NIC = objects.RequestedNic(
    vnic_type='direct', physical_networks=['physnet1', 'physnet2']
)
ALTERNATIVE = objects.PciAlternative(
    uuid=UUID,
    name='10g',
    numa_policy=None,
    vnic_type='direct',
    live_migratable=True,
    trusted=True,
)
FLAVOR = objects.PciFlavor(
    uuid=UUID,
    name='10g',
    description=None,
    match=[{'vendor_id': ['8086', '15b3']}, {'e.rate': '>= 10'}],
    vnic_type='direct',
    numa_policy=None,
    is_public=False,
    project_id='p1',
    access=['p2', 'p3'],
    state='active',
    origin=None,
    aggregate_metadata={'customer': ['blue', 'red']},
    generation=3,
    created_at=AT,
    updated_at=AT,
)

SAMPLES: list[objects.base.PciPassthroughObject] = [
    DEVICE,
    REPORTED,
    REASON,
    objects.PciDeviceEvent(
        device_uuid=UUID,
        host='h1',
        address='0000:65:00.1',
        created_at=AT,
        action='claim',
        from_state='available',
        to_state='claimed',
        actor='conductor@c1',
        reason=None,
        instance_uuid=UUID,
    ),
    objects.PciDevicePool(
        compute_node_id=1,
        host='h1',
        vendor_id='8086',
        product_id='1889',
        subsystem_vendor_id='8086',
        subsystem_id='0000',
        pci_class='020000',
        dev_type='type-VF',
        driver=None,
        numa_node=None,
        vgpu_type=None,
        resource_type='pci',
        extra_info={},
        count=3,
        total=4,
    ),
    FLAVOR,
    objects.HostReport(
        host='h1',
        agent_version='1.0',
        is_full=False,
        base_generation=3,
        sequence=1_700_000_000_000_000,
        digest='abc',
        offered=[REPORTED],
        refused=[REPORTED.replace(refusal='it is mounted')],
        withdrawn=['0000:66:00.0'],
        withdrawn_hardware={'0000:66:00.0': '8086:1889:::'},
        gone=['0000:67:00.0'],
    ),
    objects.ReportAck(generation=4, sequence=9, wanted='full-report'),
    objects.PciRequest(
        request_id='r1',
        count=2,
        pci_flavors=['10g', UUID],
        numa_policy='required',
        nic=NIC,
    ),
    NIC,
    objects.NumaAffinity(nodes=[0], socket_nodes=[0, 1]),
    objects.ClaimResult(devices=[DEVICE], refusal=None, reasons=[REASON]),
    ALTERNATIVE,
    objects.ResolvedRequest(
        request_id='r1', count=2, alternatives=[ALTERNATIVE]
    ),
    objects.TrackerAck(generation=None, held=[DEVICE]),
    objects.Preparation(
        address='0000:65:00.1',
        fence=7,
        step='clean',
        handlers=['nvme-sanitize', 'driver'],
        on_failure='quarantine',
        attempt=1,
    ),
    objects.QuotaAnswer(
        servers=1,
        excesses=[
            objects.QuotaExcess(pci_flavor='10g', limit=5, used=4, wanted=2)
        ],
    ),
    objects.QuotaExcess(pci_flavor='10g', limit=5, used=4, wanted=2),
    objects.SchedulingOffer(
        demands=[['r1', 2, [[UUID, '10g', 'legacy', [1, 2]]]]],
        keys=[[1, {'vendor_id': '8086', 'extra_info': {'group': '10g'}}]],
        supplies=[[[1, 4], [[1, [[2, 8]], 1]]]],
        hosts={'h1': 0},
        absent={'h2': 'tracker_down'},
        proven={'h1': 0},
    ),
    objects.SchedulingRefusal(
        instance_uuid=UUID,
        requests='10g:2',
        summary='1 host: no free 10g',
        reasons=[['no free 10g', 1, ['h1']]],
        conditions=['none_free'],
        pci_flavors=['10g'],
        project_id='red',
        passed=0,
        created_at=AT,
    ),
]


def through_json(thing: Any) -> Any:
    """Send an object as oslo.messaging does."""
    serializer = objects.PciPassthroughObjectSerializer()
    sent = json.dumps(serializer.serialize_entity({}, thing))
    return serializer.deserialize_entity({}, json.loads(sent))


class RoundTripTest(testtools.TestCase):
    def test_all_objects_have_a_sample(self) -> None:
        registered = {
            name
            for name, versions in (
                base.VersionedObjectRegistry.obj_classes().items()
            )
            if issubclass(versions[0], objects.base.PciPassthroughObject)
        }
        self.assertEqual(registered, {sample.obj_name() for sample in SAMPLES})

    def test_round_trip(self) -> None:
        for sample in SAMPLES:
            with self.subTest(name=sample.obj_name()):
                received = through_json(sample)
                self.assertIsNot(sample, received)
                self.assertEqual(sample, received)
                self.assertEqual(type(sample), type(received))

    def test_lists_of_objects(self) -> None:
        self.assertEqual([DEVICE, REPORTED], through_json([DEVICE, REPORTED]))

    def test_unset_stays_unset(self) -> None:
        received = through_json(REPORTED)
        self.assertFalse(received.obj_attr_is_set('status'))
        self.assertEqual('unknown', received.get('status', 'unknown'))
        self.assertIsNone(received.get('status'))
        self.assertEqual('iavf', received.get('driver', 'unknown'))

    def test_newer_object_is_refused_without_a_conductor(self) -> None:
        primitive = REASON.obj_to_primitive()
        primitive['pci_passthrough_object.version'] = '1.99'
        serializer = objects.PciPassthroughObjectSerializer()
        self.assertRaises(
            ovo_exception.IncompatibleObjectVersion,
            serializer.deserialize_entity,
            {},
            primitive,
        )


class OlderPeerTest(testtools.TestCase):
    """Objects in the versions that a peer of version 1.0 knows."""

    def older(self, thing: Any) -> dict[str, Any]:
        manifest = dict.fromkeys(
            ('ClaimResult', 'HostReport', 'PciDevice', 'RefusalReason'), '1.0'
        )
        primitive: dict[str, Any] = thing.obj_to_primitive('1.0', manifest)
        return primitive

    def test_device(self) -> None:
        result = objects.ClaimResult(
            devices=[DEVICE], refusal=None, reasons=[]
        )
        data = self.older(result)['pci_passthrough_object.data']
        [device] = data['devices']
        self.assertEqual('1.0', device['pci_passthrough_object.version'])
        self.assertNotIn('offered_by', device['pci_passthrough_object.data'])
        received = objects.ClaimResult.obj_from_primitive(self.older(result))
        self.assertIsNone(received.devices[0].get('offered_by'))
        self.assertEqual(DEVICE.address, received.devices[0].address)

    def test_device_of_an_older_agent(self) -> None:
        report = objects.HostReport(offered=[REPORTED])
        received = objects.HostReport.obj_from_primitive(self.older(report))
        self.assertEqual(
            REPORTED.reported()
            | dict.fromkeys(objects.device.LATER_FIELDS)
            | {'handlers': [], 'resource_type': 'pci'},
            received.offered[0].reported(),
        )

    def test_refused_devices_are_withdrawn_to_an_older_conductor(self) -> None:
        refused = REPORTED.replace(refusal='it is mounted')
        report = objects.HostReport(
            offered=[],
            refused=[refused],
            withdrawn=['0000:66:00.0'],
            withdrawn_hardware={'0000:66:00.0': '8086:1889:::'},
            digest='abc',
        )
        data = self.older(report)['pci_passthrough_object.data']
        self.assertEqual(
            sorted(['0000:66:00.0', refused.address]), data['withdrawn']
        )
        self.assertNotIn('refused', data)
        self.assertNotIn('withdrawn_hardware', data)
        # The next heartbeat asks for all again.
        self.assertEqual('', data['digest'])
        received = objects.HostReport.obj_from_primitive(self.older(report))
        self.assertEqual([], received.get('refused', []))

    def test_what_must_be_there_still_must(self) -> None:
        self.assertRaises(
            NotImplementedError, objects.PciDevice(driver='x').reported
        )

    def test_conditions(self) -> None:
        for condition in objects.fields.RefusalCondition.ALL:
            received = self.older(REASON.replace(condition=condition))
            older = received['pci_passthrough_object.data']['condition']
            self.assertEqual(
                {
                    'aggregate': 'no_match',
                    'none_free': 'all_held',
                    'refused': 'all_held',
                    'quota_exceeded': 'all_held',
                    'host_unknown': 'host_down',
                    'tracker_down': 'host_down',
                }.get(condition, condition),
                older,
            )


class OlderRequestTest(testtools.TestCase):
    """PciRequest in version 1.0."""

    def test_without_a_nic(self) -> None:
        old = {
            'request_id': 'r1',
            'count': 2,
            'pci_flavors': ['10g'],
            'numa_policy': None,
        }
        manifest = {'PciRequest': '1.0'}
        for request in (
            objects.PciRequest(**old),
            objects.PciRequest(**old, nic=None),
        ):
            for primitive in (
                request.obj_to_primitive('1.0'),
                request.obj_to_primitive('1.0', manifest),
            ):
                self.assertEqual(old, primitive['pci_passthrough_object.data'])
            self.assertEqual('r1', through_json(primitive).request_id)

    def test_with_a_nic(self) -> None:
        request = objects.PciRequest(request_id='r1', nic=NIC)
        for manifest in (None, {'PciRequest': '1.0', 'RequestedNic': '1.0'}):
            self.assertRaises(
                ovo_exception.ObjectActionError,
                request.obj_to_primitive,
                '1.0',
                manifest,
            )
        manifest = {'PciRequest': '1.1', 'RequestedNic': '1.0'}
        self.assertEqual(
            request.obj_to_primitive(),
            request.obj_to_primitive('1.1', manifest),
        )


class OlderRefusalTest(testtools.TestCase):
    """SchedulingRefusal in earlier versions."""

    def test_without_conditions(self) -> None:
        reasons = [['no free 10g', 1, ['h1']]]
        older = objects.SchedulingRefusal(summary='s', reasons=reasons)
        newer = older.replace(conditions=['none_free'])
        primitive = newer.obj_to_primitive('1.0')
        self.assertEqual(
            {'summary': 's', 'reasons': reasons},
            primitive['pci_passthrough_object.data'],
        )
        self.assertEqual(older, through_json(primitive))

    def test_without_project(self) -> None:
        older = objects.SchedulingRefusal(summary='s', conditions=['numa'])
        newer = older.replace(pci_flavors=['a'], project_id='p', passed=0)
        primitive = newer.obj_to_primitive('1.1')
        self.assertEqual(
            {'summary': 's', 'conditions': ['numa']},
            primitive['pci_passthrough_object.data'],
        )
        self.assertEqual(older, through_json(primitive))


class EqualityTest(testtools.TestCase):
    def test_by_value(self) -> None:
        copy = DEVICE.obj_clone()
        self.assertEqual(copy, DEVICE)
        copy.host = 'h2'
        self.assertNotEqual(copy, DEVICE)

    def test_nothing_about_changes_travels(self) -> None:
        primitive = DEVICE.replace(host='h2').obj_to_primitive()
        self.assertNotIn('pci_passthrough_object.changes', primitive)

    def test_what_is_not_set_counts(self) -> None:
        self.assertNotEqual(REPORTED, DEVICE)
        self.assertNotEqual(
            objects.PciDevice(), objects.PciDevice(numa_node=None)
        )

    def test_other_things(self) -> None:
        self.assertNotEqual(objects.ReportAck(), objects.NumaAffinity())
        self.assertNotEqual(DEVICE, None)
        self.assertRaises(TypeError, hash, DEVICE)


class ReplaceTest(testtools.TestCase):
    def test_replace(self) -> None:
        copy = DEVICE.replace(status='available', request_id=None)
        self.assertEqual(('available', None), (copy.status, copy.request_id))
        self.assertEqual('allocated', DEVICE.status)
        copy.extra_info['group'] = '10g'
        self.assertNotIn('group', DEVICE.extra_info)

    def test_replace_checks(self) -> None:
        self.assertRaises(ValueError, DEVICE.replace, status='lost')
