# SPDX-License-Identifier: Apache-2.0
"""Queries, and fields that a resource does not declare."""

import subprocess
import sys
import textwrap
from typing import Any

from openstack import exceptions
import testtools

from pci_passthrough.api import routing
from pci_passthrough.sdk import base
from pci_passthrough.sdk import pci_device
from pci_passthrough.sdk import pci_flavor
from pci_passthrough.sdk import pci_host
from pci_passthrough.sdk import pci_pool
from pci_passthrough.sdk import refusal
from pci_passthrough.sdk import usage

_LISTS: tuple[type[base.Resource], ...] = (
    pci_device.PciDevice,
    pci_flavor.PciFlavor,
    pci_host.PciHost,
    pci_pool.PciPool,
    refusal.Refusal,
    usage.Usage,
)


class QueryTestCase(testtools.TestCase):
    def test_in_a_url(self) -> None:
        self.assertEqual(
            {'is_public': 'true', 'state': ['active'], 'limit': 2},
            pci_flavor.PciFlavor.check_query(
                {
                    'is_public': True,
                    'state': ['active'],
                    'limit': 2,
                    'name': None,
                }
            ),
        )

    def test_unknown(self) -> None:
        error = self.assertRaises(
            exceptions.InvalidResourceQuery,
            pci_flavor.PciFlavor.check_query,
            {'nmae': 'x'},
        )
        self.assertIn('nmae', str(error))
        self.assertIn('name', str(error))

    def test_pages(self) -> None:
        link = {'rel': 'next', 'href': 'http://inner/v1/x?host=a&host=&m=b%2F'}
        self.assertEqual(
            {'host': ['a', ''], 'm': ['b/']},
            base.next_query({'links': [{'rel': 'self'}, link]}),
        )
        self.assertEqual({}, base.next_query({}))

    def test_quoted(self) -> None:
        self.assertEqual('..%2Fa%20b', base.id_of('../a b'))


class FieldsTestCase(testtools.TestCase):
    def test_of_a_newer_service(self) -> None:
        flavor = pci_flavor.PciFlavor.existing(uuid='u', name='n', colour='x')
        self.assertEqual('x', flavor.colour)
        self.assertEqual('x', flavor.to_dict()['colour'])
        self.assertEqual(
            {'uuid': 'u', 'name': 'n', 'colour': 'x'}, flavor.fields()
        )
        self.assertIsNone(flavor.access)

    def test_lists_are_those_of_the_service(self) -> None:
        """Each filter of the service is one here, and each field."""
        routes = {
            route.path: route for route in routing.ROUTES
            if route.method == 'GET'
        }  # fmt: skip
        for kind in _LISTS:
            route = routes[f'/v1{kind.base_path}']
            self.assertEqual(
                set(route.query),
                {*kind.query_names, 'limit', 'marker'},
                f'query_names of {kind}',
            )
            schema: Any = route.answers[200]
            [item] = [
                value['items']['properties']
                for name, value in schema['properties'].items()
                if name == kind.resources_key
            ]
            self.assertEqual(
                set(), item.keys() - kind._body_mapping().keys(), str(kind)
            )


class ImportTestCase(testtools.TestCase):
    def test_openstacksdk_is_enough(self) -> None:
        program = """
            import importlib.abc, sys

            class Missing(importlib.abc.MetaPathFinder):
                def find_spec(self, name, path, target=None):
                    root = name.partition('.')[0]
                    if root.startswith('oslo_') or root in (
                        'osc_lib', 'cliff', 'sqlalchemy', 'werkzeug'
                    ):
                        raise ModuleNotFoundError(name)

            sys.meta_path.insert(0, Missing())
            import pci_passthrough.sdk.proxy
            print(pci_passthrough.sdk.SERVICE_TYPE)
        """
        done = subprocess.run(
            [sys.executable, '-c', textwrap.dedent(program)],
            check=True,
            capture_output=True,
            text=True,
        )
        self.assertEqual('pci-passthrough\n', done.stdout)
