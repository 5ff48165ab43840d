# SPDX-License-Identifier: Apache-2.0
"""Messages of earlier releases are understood, in both directions."""

from collections.abc import Callable
import json
import pathlib
from typing import Any

import fixtures
import oslo_messaging
from oslo_versionedobjects import base as ovo_base
from oslo_versionedobjects import exception as ovo_exception
import testtools

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.services import endpoint
from pci_passthrough.services import operator_endpoint
from pci_passthrough.services import preparation_endpoint
from pci_passthrough.services import quota_endpoint
from pci_passthrough.store import scheduling_refusals
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests.functional.services import wire
from pci_passthrough.tests.unit.rpc import driver

_PREFIX = 'pci_passthrough_object'
_RECORDED = pathlib.Path(__file__).parent


def _versions(thing: Any) -> dict[str, str]:
    """Return the versions of all objects in a message, by name."""
    if isinstance(thing, list):
        return {n: v for item in thing for n, v in _versions(item).items()}
    if not isinstance(thing, dict) or f'{_PREFIX}.name' not in thing:
        return {}
    mine = {thing[f'{_PREFIX}.name']: thing[f'{_PREFIX}.version']}
    return mine | _versions(list(thing[f'{_PREFIX}.data'].values()))


def _data(thing: Any) -> Any:
    """Return the fields of an answer's objects, of whatever version."""
    if isinstance(thing, list):
        return [_data(item) for item in thing]
    if isinstance(thing, dict) and f'{_PREFIX}.data' in thing:
        return thing[f'{_PREFIX}.data']
    return thing


class WireTest(testtools.TestCase):
    """The recorded calls, in the order in which they were made."""

    def setUp(self) -> None:
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.endpoint = wire.Endpoint(folder)
        self.addCleanup(self.endpoint.db.close)

    def recorded(self, version: str) -> dict[str, dict[str, Any]]:
        return {
            path.stem: json.loads(path.read_text())
            for path in sorted((_RECORDED / f'wire-{version}').iterdir())
        }

    def test_conductor_understands_calls_of_1_0(self) -> None:
        states = []
        for call in self.recorded('1.0').values():
            answer = self.endpoint.answer(call['call'])
            self.check_same_shape(call['answer'], answer)
            states.append(
                sorted(d.state for d in lookup.get_all(self.endpoint.db))
            )
        free, changed = ['available'] * 4, ['available'] * 2
        self.assertEqual(
            [
                free,
                free,
                changed,
                ['available', 'claimed'],
                ['allocated', 'available'],
                ['allocated', 'available'],
                changed,
            ],
            states,
        )

    def test_devices_of_an_agent_of_1_0(self) -> None:
        report = self.recorded('1.0')['1-report-full']['call']
        self.endpoint.answer(report)
        devices = lookup.get_all(self.endpoint.db)
        self.assertEqual({None}, {device.offered_by for device in devices})

    def test_conductor_understands_calls_of_1_1(self) -> None:
        states = []
        for call in self.recorded('1.1').values():
            answer = self.endpoint.answer(call['call'])
            self.check_same_shape(call['answer'], answer)
            states.append(
                sorted(d.state for d in lookup.get_all(self.endpoint.db))
            )
        free, changed = ['available'] * 4, ['available'] * 2
        held = ['allocated', 'available']
        self.assertEqual(
            [
                *(free, free, changed, changed, changed, changed),
                ['available', 'claimed'],
                *(held, held, changed, held, held, held),
            ],
            states,
        )
        self.assertTrue(
            all(d.offered_by for d in lookup.get_all(self.endpoint.db))
        )
        [kept] = self.kept()
        self.assertEqual([['no free 10g', 1, [wire.HOST]]], kept.reasons)

    def test_conductor_understands_calls_of_1_3(self) -> None:
        states = []
        for call in self.recorded('1.3').values():
            answer = self.endpoint.answer(call['call'])
            self.check_same_shape(call['answer'], answer)
            states.append(
                sorted(d.state for d in lookup.get_all(self.endpoint.db))
            )
        free, changed = ['available'] * 4, ['available'] * 2
        claimed, held = ['available', 'claimed'], ['allocated', 'available']
        self.assertEqual(
            [
                *(free, free, *[changed] * 6, claimed, held, held, changed),
                *(claimed, changed, held, held, held),
            ],
            states,
        )

    def test_conductor_understands_calls_of_1_4(self) -> None:
        states = []
        for call in self.recorded('1.4').values():
            answer = self.endpoint.answer(call['call'])
            self.check_same_shape(call['answer'], answer)
            if call['call']['method'] in ('given_out', 'free_by_numa_node'):
                self.assertEqual(call['answer'], answer)
            states.append(
                sorted(d.state for d in lookup.get_all(self.endpoint.db))
            )
        free, changed = ['available'] * 4, ['available'] * 2
        claimed, held = ['available', 'claimed'], ['allocated', 'available']
        self.assertEqual(
            [
                *(free, free, *[changed] * 7, claimed, held, held, changed),
                *(claimed, changed, held, held, held, held),
            ],
            states,
        )

    def test_conductor_understands_calls_of_1_5(self) -> None:
        states = []
        for call in self.recorded('1.5').values():
            answer = self.endpoint.answer(call['call'])
            self.check_same_shape(call['answer'], answer)
            if call['call']['method'] in ('preparations', 'prepared'):
                self.assertEqual(_data(call['answer']), _data(answer))
            states.append(
                sorted(d.state for d in lookup.get_all(self.endpoint.db))
            )
        free, cleaning = ['available'], ['cleaning']
        self.assertEqual(
            [
                *[['allocated', 'available']] * 2,
                *(free * 2, free, *[cleaning] * 4, free),
            ],
            states[-9:],
        )

    def test_conductor_understands_calls_of_1_6(self) -> None:
        for call in self.recorded('1.6').values():
            answer = self.endpoint.answer(call['call'])
            self.check_same_shape(call['answer'], answer)
            if call['call']['method'] in ('check_quota', 'project_limits'):
                self.assertEqual(call['answer'], answer)
        projects = {
            call['call']['args'].get('owner_project_id')
            for call in self.recorded('1.6').values()
            if call['call']['method'] == 'claim'
        }
        self.assertEqual({'mine', None}, projects)

    def test_requests_for_nics_are_recorded(self) -> None:
        recorded = self.recorded('1.3')
        for name in ('05-resolve-nic', '08-offer-nic', '13-claim-nic'):
            call = recorded[name]['call']
            [request] = call['args']['requests']
            self.assertEqual('1.1', request[f'{_PREFIX}.version'])
            self.assertEqual('1.3', call['version'])
        # The others go to conductors of before, as these know them.
        older = [
            call
            for name in ('1.1', '1.3')
            for stem, call in self.recorded(name).items()
            if stem.endswith(('-resolve', '-offer', '-claim'))
        ]
        self.assertEqual(6, len(older))
        for before, after in zip(older[:3], older[3:], strict=True):
            self.assertEqual(before['call'], after['call'])

    def made_older(
        self, answer: dict[str, Any], versions: dict[str, str]
    ) -> dict[str, Any]:
        """Return what an older caller gets when it asks for its versions."""
        arguments = {'objinst': answer, 'object_versions': versions}
        older: dict[str, Any] = self.endpoint.answer(
            {
                'method': 'object_backport_versions',
                'args': arguments,
                'version': '1.0',
            }
        )
        return older

    def check_same_shape(self, recorded: Any, answer: Any) -> None:
        """Check names, versions and fields of objects, not their values.

        An answer that has grown since is converted for its older caller.
        """
        if isinstance(recorded, dict) and f'{_PREFIX}.name' in recorded:
            versions = _versions(recorded)
            if versions.items() - _versions(answer).items():
                answer = self.made_older(answer, versions)
            for part in ('name', 'version'):
                self.assertEqual(
                    recorded[f'{_PREFIX}.{part}'], answer[f'{_PREFIX}.{part}']
                )
            mine, theirs = (
                thing[f'{_PREFIX}.data'] for thing in (recorded, answer)
            )
            self.assertEqual(mine.keys(), theirs.keys())
            for field, value in mine.items():
                self.check_same_shape(value, theirs[field])
        elif isinstance(recorded, list):
            for mine, theirs in zip(recorded, answer, strict=True):
                self.check_same_shape(mine, theirs)

    def test_callers_understand_answers_of_1_0(self) -> None:
        recorded = self.recorded('1.0')
        client, _ = driver.client(lambda message: answers.pop(0))
        answers = [
            recorded[name]['answer']
            for name in ('2-heartbeat', '4-claim', '7-free')
        ]
        self.assertEqual(1, client.heartbeat('h', 1, 'd').generation)
        [claimed] = client.claim(
            claims.ClaimRequest('h', wire.INSTANCE, [], 'nova')
        )
        self.assertIsInstance(claimed, objects.PciDevice)
        self.assertEqual('claimed', claimed.state)
        [freed] = client.free('h', wire.INSTANCE, 'nova')
        self.assertEqual('available', freed.state)
        self.assertIsNone(freed.get('offered_by'))

    def test_callers_understand_answers_of_1_1(self) -> None:
        recorded = self.recorded('1.1')
        client, _ = driver.client(lambda message: answers.pop(0))
        answers = [
            recorded[name]['answer']
            for name in (
                '04-resolve',
                '05-register_tracker',
                '06-offer',
                '11-adopt',
                '12-host_devices',
            )
        ]
        [resolved] = client.resolve([])
        self.assertEqual('10g', resolved.alternatives[0].name)
        ack = client.register_tracker('h', '1')
        self.assertEqual((2, []), (ack.generation, ack.held))
        offer = client.offer([], None)
        self.assertIsNotNone(offer.decide(wire.HOST))
        self.assertEqual({'compute-2': 'host_unknown'}, offer.absent)
        [adopted] = client.adopt('h', wire.INSTANCE, 'a', [], 'nova')
        self.assertEqual('allocated', adopted.state)
        self.assertIn('physnet1', str(adopted.offered_by))
        self.assertEqual(2, len(client.host_devices('h')))

    def test_callers_understand_answers_of_1_3(self) -> None:
        recorded = self.recorded('1.3')
        client, _ = driver.client(lambda message: answers.pop(0))
        answers = [
            recorded[name]['answer']
            for name in ('05-resolve-nic', '08-offer-nic', '13-claim-nic')
        ]
        [resolved] = client.resolve([])
        self.assertEqual('direct', resolved.alternatives[0].vnic_type)
        offer = client.offer([], None)
        self.assertIsNotNone(offer.decide(wire.HOST))
        [claimed] = client.claim(
            claims.ClaimRequest('h', wire.INSTANCE, [], 'nova')
        )
        self.assertEqual('physnet1', claimed.extra_info['physical_network'])

    def test_callers_understand_answers_of_1_4(self) -> None:
        recorded = self.recorded('1.4')
        client, _ = driver.client(lambda message: answers.pop(0))
        answers = [
            recorded[name]['answer']
            for name in (
                '07-free_by_numa_node',
                '17-host_devices',
                '18-given_out',
            )
        ]
        self.assertEqual({wire.HOST: {0: 2}}, client.free_by_numa_node())
        _, held = client.host_devices('h')
        self.assertEqual(('allocated', None), (held.state, held.vgpu_type))
        self.assertEqual([held.address], client.given_out('h'))

    def test_callers_understand_answers_of_1_5(self) -> None:
        recorded = self.recorded('1.5')
        client, _ = driver.client(lambda message: answers.pop(0))
        answers = [
            recorded[name]['answer']
            for name in ('25-preparations', '26-may_prepare', '28-prepared')
        ]
        [todo] = client.preparations('h')
        self.assertEqual(
            ('clean', ['reset'], 'quarantine', 1),
            (todo.step, todo.handlers, todo.on_failure, todo.attempt),
        )
        self.assertIs(True, client.may_prepare('h', 'a', 1))
        self.assertEqual('available', client.prepared('h', 'a', 1, True, ''))

    def test_conductor_of_1_2(self) -> None:
        """A conductor of 1.2 serves requests, but none for a NIC."""
        older = oslo_messaging.Target(version='1.2')
        for type_ in (
            endpoint.ConductorEndpoint,
            operator_endpoint.OperatorEndpoint,
            preparation_endpoint.PreparationEndpoint,
            quota_endpoint.QuotaEndpoint,
        ):
            name = f'{type_.__module__}.{type_.__name__}.target'
            self.useFixture(fixtures.MonkeyPatch(name, older))
        self.endpoint.answer(self.recorded('1.1')['01-report-full']['call'])
        client, _ = driver.client(self.endpoint.answer)
        client.register_tracker(wire.HOST, '1.1')
        plain = objects.PciRequest(
            request_id='a', count=1, pci_flavors=['10g'], numa_policy=None
        )
        nic = objects.RequestedNic(
            vnic_type='direct', physical_networks=['physnet1']
        )
        calls: list[Callable[[objects.PciRequest], Any]] = [
            lambda request: client.resolve([request]),
            lambda request: client.offer([request], [wire.HOST]).supplies,
            lambda request: client.claim(
                claims.ClaimRequest(wire.HOST, wire.INSTANCE, [request], 'me')
            ),
        ]
        for call in calls:
            error = self.assertRaises(
                exception.ConductorUnavailable, call, plain.replace(nic=nic)
            )
            self.assertIsInstance(
                error.__cause__, oslo_messaging.UnsupportedVersion
            )
            self.assertEqual(1, len(call(plain)))

    def test_refusals_of_1_1(self) -> None:
        """Their conditions are counted, and those of 1.0 as unknown."""
        recorded = self.recorded('refusal-1.1')['1-note_refusals']['call']
        self.endpoint.answer(recorded)
        self.assertEqual({'none_free': 1}, self.counted())
        self.endpoint.answer(self.recorded('1.3')['17-note_refusals']['call'])
        self.assertEqual({'none_free': 1, 'other': 1}, self.counted())
        second, first = self.kept()
        self.assertEqual([['no free 10g', 1, [wire.HOST]]], first.reasons)
        self.assertEqual(
            (first.reasons, first.summary), (second.reasons, second.summary)
        )

    def test_refusals_of_1_2(self) -> None:
        """They are stored with project, PCI flavor and condition."""
        recorded = self.recorded('refusal-1.2')['1-note_refusals']['call']
        self.endpoint.answer(recorded)
        [kept] = self.kept()
        self.assertEqual(
            ('a project', ['10g'], ['none_free'], 0),
            (kept.project_id, kept.pci_flavors, kept.conditions, kept.passed),
        )

    def test_name_of_a_pci_flavor_is_no_condition(self) -> None:
        name = 'no free lunch'
        editing.create(
            self.endpoint.db, name, None, match=[{'e.group': '10g'}]
        )
        self.endpoint.answer(self.recorded('1.3')['01-report-full']['call'])
        client, _ = driver.client(self.endpoint.answer)
        client.register_tracker(wire.HOST, '1.1')
        request = objects.PciRequest(
            request_id='a', count=9, pci_flavors=[name], numa_policy=None
        )
        snapshot = client.offer([request], [wire.HOST])
        refused = snapshot.refused([wire.HOST])
        client.note_refusals(wire.INSTANCE, 's', refused, f'{name}:9')
        client.close()
        self.assertEqual({'too_few': 1}, self.counted())

    def kept(self) -> list[objects.SchedulingRefusal]:
        """Return the refusals that are stored, newest first."""
        return scheduling_refusals.page(
            self.endpoint.db,
            7,
            scheduling_refusals.Filter(instance_uuid=wire.INSTANCE),
        )

    def counted(self) -> dict[str, float]:
        """Return how many refusals were counted for each condition."""
        return {
            sample.labels['condition']: sample.value
            for family in self.endpoint.observations.collect()
            for sample in family.samples
            if sample.name == 'pci_passthrough_scheduling_refusals_total'
            and sample.value
        }

    def test_refusal_to_a_conductor_of_1_3(self) -> None:
        """A conductor of 1.3 gets SchedulingRefusal 1.0."""
        older = type(
            'SchedulingRefusal',
            (objects.SchedulingRefusal,),
            {'VERSION': '1.0'},
        )
        known = ovo_base.VersionedObjectRegistry.obj_classes()
        self.useFixture(
            fixtures.MonkeyPatch(
                'oslo_versionedobjects.base.VersionedObjectRegistry'
                '._registry._obj_classes',
                {**known, 'SchedulingRefusal': [older]},
            )
        )

        def answer(message: dict[str, Any]) -> Any:
            refusal = message['args']['refusal']
            versions.append(refusal[f'{_PREFIX}.version'])
            try:
                return self.endpoint.answer(message)
            except ovo_exception.IncompatibleObjectVersion as error:
                # As a broker brings it.
                raise oslo_messaging.RemoteError(
                    type(error).__name__, str(error), []
                ) from error

        versions: list[str] = []
        client, _ = driver.client(answer)
        failed = claims.FailedCondition('no free lunch', 'too_few')
        client.note_refusals(wire.INSTANCE, 's', {failed: ['h']}, 'lunch')
        client.close()
        self.assertEqual(['1.2', '1.0'], versions)
        [kept] = self.kept()
        self.assertEqual([['no free lunch', 1, ['h']]], kept.reasons)

    def test_all_methods_are_recorded(self) -> None:
        methods, newer = (
            {(c['call']['method'], c['call']['version']) for c in calls}
            for calls in (
                self.recorded('1.0').values(),
                self.recorded('1.1').values(),
            )
        )
        first = (
            'report',
            'heartbeat',
            'claim',
            'allocate',
            'abort',
            'free',
        )
        self.assertEqual({(method, '1.0') for method in first}, methods)
        later = (
            'resolve',
            'offer',
            'register_tracker',
            'host_devices',
            'adopt',
            'note_refusals',
        )
        # What an older conductor knows is not asked of a newer one only.
        self.assertEqual(
            methods | {(method, '1.1') for method in later}, newer
        )
