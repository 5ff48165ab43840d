# SPDX-License-Identifier: Apache-2.0
"""Responses with an error become one line."""

import json
from typing import Any

import requests
import testtools

from pci_passthrough.osc import errors


def _line(status: int, body: Any, **headers: str) -> str:
    response = requests.Response()
    response.status_code = status
    response.reason = 'Reason'
    response.url = 'http://service/v1/hosts'
    response.headers.update(headers)
    text = body if isinstance(body, str) else json.dumps(body)
    response._content = text.encode()
    return str(errors.from_response(response))


class ErrorsTestCase(testtools.TestCase):
    def test_of_the_service(self) -> None:
        error = {
            'status': 404,
            'code': 'pci_flavor.not_found',
            'title': 'Not Found',
            'detail': 'No PCI flavor\nis named x',
            'request_id': 'req-1',
        }
        self.assertEqual(
            'No PCI flavor is named x (HTTP 404, pci_flavor.not_found, req-1)',
            _line(404, {'errors': [error]}),
        )

    def test_holders(self) -> None:
        error = {
            'detail': 'In use',
            'holders': {'devices': 3, 'instances': ['a', 'b']},
        }
        self.assertEqual(
            'In use; instances: a, b (HTTP 409)',
            _line(409, {'errors': [error]}),
        )

    def test_several(self) -> None:
        self.assertEqual(
            'a; b (HTTP 400, x.y)',
            _line(
                400,
                {'errors': [{'detail': 'a', 'code': 'x.y'}, {'detail': 'b'}]},
            ),
        )

    def test_of_keystones_middleware(self) -> None:
        body = {'error': {'code': 401, 'message': 'Please log in.'}}
        self.assertEqual(
            'Please log in. (HTTP 401, req-2)',
            _line(401, body, **{'X-Openstack-Request-Id': 'req-2'}),
        )

    def test_of_somebody_else(self) -> None:
        for body in ('<html>', '', '[]', '{"errors": 1}', '{"error": "x"}'):
            self.assertEqual(
                'http://service/v1/hosts says: Reason (HTTP 502)',
                _line(502, body),
            )
