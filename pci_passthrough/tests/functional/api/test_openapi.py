# SPDX-License-Identifier: Apache-2.0
"""Answers match the OpenAPI document, whatever the request."""

import json
from typing import Any

import openapi_spec_validator
import schemathesis
from schemathesis import engine
from schemathesis.engine import events
import testscenarios
import testtools

from pci_passthrough.api import microversion
from pci_passthrough.tests.functional.api import world

load_tests = testscenarios.load_tests_apply_scenarios

#: Of each operation, besides those that the schemas' edges make.
_EXAMPLES = 5


class DocumentTest(testtools.TestCase):
    """Sends requests generated from the document; checks the answers."""

    scenarios = [
        ('admin', {'token': world.ADMIN}),
        ('reader', {'token': world.BLUE_READER}),
    ]
    token: str

    def setUp(self) -> None:
        super().setUp()
        self.api = self.useFixture(world.WorldFixture())

    def test_answers_are_as_documented(self) -> None:
        schema = schemathesis.openapi.from_url(
            f'{self.api.url}/v1/openapi.json', config=self._config()
        )
        asked = 0
        failures: dict[str, str] = {}
        for event in engine.from_schema(schema).execute():
            if isinstance(event, events.NonFatalError):
                failures[event.label] = repr(event.value)
            elif isinstance(event, events.ScenarioFinished):
                asked += len(event.recorder.interactions)
                failures |= _failures(event)
        self.assertEqual({}, failures)
        self.assertGreater(asked, 500)

    def _config(self) -> schemathesis.Config:
        return schemathesis.Config.from_dict(
            {
                'seed': 4,
                'base-url': self.api.url,
                'headers': {'X-Auth-Token': self.token},
                'continue-on-failure': True,
                'request-timeout': 120,
                'suppress-health-check': ['all'],
                # Such a header can be for other services, too.
                'parameters': {
                    microversion.HEADER: f'{microversion.SERVICE_TYPE} '
                    f'{microversion.MAX}'
                },
                'generation': {
                    'deterministic': True,
                    'max-examples': _EXAMPLES,
                    'no-shrink': True,
                    'database': 'none',
                },
                # Schemas do not say which names and markers there are.
                'checks': {'positive_data_acceptance': {'enabled': False}},
                'phases': {'stateful': {'enabled': False}},
            }
        )


def _failures(event: events.ScenarioFinished) -> dict[str, str]:
    """Return the request that was sent, by the fault of its answer."""
    recorder = event.recorder
    return {
        f'{event.label}: {check.failure_info.failure}': _sent(
            recorder.cases[case_id].value
        )
        for case_id, checks in recorder.checks.items()
        for check in checks
        if check.failure_info is not None
    }


def _sent(case: Any) -> str:
    return (
        f'{case.method} {case.formatted_path}?{case.query} '
        f'{dict(case.headers or {})} {case.body!r:.300}'
    )


class ValidityTest(testtools.TestCase):
    def test_the_document_is_openapi(self) -> None:
        api = self.useFixture(world.WorldFixture(served=False))
        answer = world.Client(api).ask('GET', '/v1/openapi.json')
        document = json.loads(answer.data)
        self.assertEqual('3.1.0', document['openapi'])
        openapi_spec_validator.OpenAPIV31SpecValidator(document).validate()
