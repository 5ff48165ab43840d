# SPDX-License-Identifier: Apache-2.0
"""The table of routes fits the policies and the OpenAPI document."""

import re

from oslo_policy import policy
import testtools

from pci_passthrough.api import openapi
from pci_passthrough.api import policies
from pci_passthrough.api import routing

#: Written by hand: nothing is lost or renamed by accident.
_ROUTES = {
    'GET /',
    'GET /v1',
    'GET /v1/openapi.json',
    'GET /v1/pci-flavors',
    'POST /v1/pci-flavors',
    'GET /v1/pci-flavors/{pci_flavor}',
    'PATCH /v1/pci-flavors/{pci_flavor}',
    'DELETE /v1/pci-flavors/{pci_flavor}',
    'GET /v1/pci-flavors/{pci_flavor}/access',
    'PUT /v1/pci-flavors/{pci_flavor}/access/{project_id}',
    'DELETE /v1/pci-flavors/{pci_flavor}/access/{project_id}',
    'GET /v1/pci-flavors/{pci_flavor}/availability',
    'GET /v1/pci-flavors/{pci_flavor}/explain',
    'GET /v1/pci-devices',
    'GET /v1/pci-devices/{pci_device}',
    'PATCH /v1/pci-devices/{pci_device}',
    'GET /v1/pci-devices/{pci_device}/history',
    'GET /v1/pci-pools',
    'GET /v1/hosts',
    'DELETE /v1/hosts/{host}',
    'GET /v1/refusals',
    'GET /v1/usages',
}


def _rules() -> dict[str, set[str]]:
    """Return the requests that each enforced rule says it is for."""
    return {
        rule.name: {
            f'{operation["method"]} {operation["path"]}'
            for operation in rule.operations
        }
        for rule in policies.list_rules()
        if isinstance(rule, policy.DocumentedRuleDefault)
    }


class RoutesTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.document = openapi.document(routing.ROUTES)
        self.operations = {
            f'{method.upper()} {path}': operation
            for path, operations in self.document['paths'].items()
            for method, operation in operations.items()
        }

    def test_all_are_in_the_document(self) -> None:
        routes = [f'{route.method} {route.path}' for route in routing.ROUTES]
        self.assertEqual(_ROUTES, set(routes))
        self.assertEqual(_ROUTES, set(self.operations))
        self.assertEqual(len(routes), len(set(routes)))

    def test_operations_are_named_once(self) -> None:
        names = [
            operation['operationId'] for operation in self.operations.values()
        ]
        self.assertEqual(len(names), len(set(names)))

    def test_paths_name_their_parameters(self) -> None:
        for request, operation in self.operations.items():
            self.assertEqual(
                re.findall(r'{(\w+)}', request),
                [
                    p['name']
                    for p in operation['parameters']
                    if p['in'] == 'path'
                ],
            )

    def test_only_what_needs_no_token_has_no_rule(self) -> None:
        self.assertEqual(
            {'/', '/v1', '/v1/openapi.json'},
            {route.path for route in routing.ROUTES if route.rule is None},
        )
        for route in routing.ROUTES:
            operation = self.operations[f'{route.method} {route.path}']
            self.assertEqual(route.rule is not None, 'security' in operation)

    def test_rules_say_what_they_are_for(self) -> None:
        rules = _rules()
        for route in routing.ROUTES:
            if route.rule is not None:
                self.assertIn(
                    f'{route.method} {route.path}', rules[route.rule]
                )
        self.assertEqual(set(), set().union(*rules.values()) - _ROUTES)

    def test_dry_runs(self) -> None:
        """Each route with the parameter has a handler for it."""
        for route in routing.ROUTES:
            self.assertEqual(
                'dry_run' in route.query, route.dry_run is not None, route.path
            )

    def test_changes_are_not_for_readers(self) -> None:
        checks = {
            rule.name: str(rule.check_str) for rule in policies.list_rules()
        }
        for route in routing.ROUTES:
            if route.method != 'GET':
                self.assertEqual('rule:admin_api', checks[str(route.rule)])
