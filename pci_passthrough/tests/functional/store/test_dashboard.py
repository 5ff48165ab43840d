# SPDX-License-Identifier: Apache-2.0
"""The dashboard uses only metrics that conductors export."""

import collections
from collections.abc import Iterator
import json
import pathlib
import re
from typing import Any

import prometheus_client
from prometheus_client import parser
from prometheus_client import registry

from pci_passthrough.services import metrics
from pci_passthrough.services import metrics_census
from pci_passthrough.store.claims import starts
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import preparing
from pci_passthrough.store.devices import trackers
from pci_passthrough.store.views import census
from pci_passthrough.tests.functional.store import base

_DASHBOARD = (
    pathlib.Path(__file__).parents[4]
    / 'etc/pci_passthrough/grafana-dashboard.json'
)

_METRIC = re.compile(r'(pci_passthrough_\w+)(?:\{(.*?)\})?')
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r'\b(?:by|on|without|ignoring) \(([^)]*)\)')


class DashboardTest(base.StoreTest):
    scenarios = []

    def setUp(self) -> None:
        super().setUp()
        self.dashboard = json.loads(_DASHBOARD.read_text())
        self.panels = self.dashboard['panels']

    def exported(self) -> dict[str, dict[str, set[str]]]:
        """Return the values of each label, by metric, from a scrape."""
        self.flavors()
        self.report(
            'compute-1', [base.gpu(1), base.gpu(2, handlers=['reset'])]
        )
        [due] = preparing.due(self.db, 'compute-1')
        preparing.progress(
            self.db, 'compute-1', due.address, due.fence, 50, 'half'
        )
        owner = base.new_id()
        self.claim('compute-1', base.request('gpu'), instance_uuid=owner)
        starts.failed(self.db, 'compute-1', owner, 'busy', 'test')
        transitions.free(self.db, owner, 'test')
        trackers.register(self.db, 'compute-1', '1')
        collector = metrics_census.CensusCollector()
        collector.use(self.db, base.TRACKED)
        answers = registry.CollectorRegistry()
        answers.register(collector)
        answers.register(metrics.Observations())
        labels_of: dict[str, dict[str, set[str]]] = {}
        text = prometheus_client.generate_latest(answers).decode()
        for family in parser.text_string_to_metric_families(text):
            for sample in family.samples:
                labels = labels_of.setdefault(
                    sample.name, collections.defaultdict(set)
                )
                for label, value in sample.labels.items():
                    labels[label].add(value)
        return labels_of

    def queries(self) -> Iterator[str]:
        for panel in self.panels:
            for target in panel['targets']:
                yield target['expr']
        for variable in self._variables('query'):
            yield variable['query']['query']

    def _variables(self, kind: str) -> list[dict[str, Any]]:
        variables = self.dashboard['templating']['list']
        return [v for v in variables if v['type'] == kind]

    def test_every_metric_and_label_is_exported(self) -> None:
        exported = self.exported()
        used = set()
        for query in self.queries():
            known: set[str] = set()
            for name, matchers in _METRIC.findall(query):
                self.assertIn(name, exported, query)
                used.add(name)
                known |= exported[name].keys()
                for label, value in _MATCHER.findall(matchers):
                    self.assertIn(label, exported[name], query)
                    if label == 'outcome':
                        self.assertIn(value, exported[name][label])
            for labels in _GROUPING.findall(query):
                self.assertEqual(
                    set(), set(re.findall(r'\w+', labels)) - known, query
                )
        families = {n for n in exported if not n.endswith('_sum')}
        self.assertEqual(families, used)

    def test_states_are_those_of_the_census(self) -> None:
        asked = {
            state
            for query in self.queries()
            for label, value in _MATCHER.findall(query)
            if label == 'state'
            for state in value.split('|')
        }
        self.assertEqual(set(), asked - set(census.STATES))

    def test_it_can_be_imported(self) -> None:
        ids = [panel['id'] for panel in self.panels]
        self.assertEqual(len(set(ids)), len(ids))
        self.assertEqual(1, len(self._variables('datasource')))
        source = {'type': 'prometheus', 'uid': '${datasource}'}
        for panel in self.panels:
            self.assertEqual(source, panel['datasource'])
            references = [t['refId'] for t in panel['targets']]
            self.assertEqual(len(set(references)), len(references))
            for target in panel['targets']:
                self.assertEqual(source, target['datasource'])
        for panel in self.panels:
            place = panel['gridPos']
            self.assertTrue(place['x'] + place['w'] <= 24)
