# SPDX-License-Identifier: Apache-2.0
"""Responses with an error become exceptions of openstacksdk."""

import json
from typing import Any

from openstack import exceptions
import requests
import testtools

from pci_passthrough.sdk import errors


def _error(status: int, body: Any, **headers: str) -> errors.ServiceError:
    response = requests.Response()
    response.status_code = status
    response.reason = 'Reason'
    response.url = 'http://service/v1/hosts'
    response.headers.update(headers)
    text = body if isinstance(body, str) else json.dumps(body)
    response._content = text.encode()
    return errors.from_response(response)


class ErrorsTestCase(testtools.TestCase):
    def test_of_the_service(self) -> None:
        """With its text in all microversions, and as one line."""
        document = {
            'status': 404,
            'code': 'pci_flavor.not_found',
            'title': 'Not Found',
            'detail': 'No PCI flavor\nis named x',
            'request_id': 'req-1',
        }
        for body in (
            {'errors': [document]},
            {'errors': [document], 'message': document['detail']},
        ):
            error = _error(404, body)
            self.assertEqual(
                'No PCI flavor is named x (HTTP 404, pci_flavor.not_found, '
                'req-1)',
                str(error),
            )
            self.assertIsInstance(error, exceptions.NotFoundException)
            self.assertEqual(
                ('No PCI flavor is named x', 404, 'req-1', str(error)),
                (
                    error.details,
                    error.status_code,
                    error.request_id,
                    error.message,
                ),
            )

    def test_classes(self) -> None:
        for status, expected in (
            (400, exceptions.BadRequestException),
            (403, exceptions.ForbiddenException),
            (409, exceptions.ConflictException),
            (412, exceptions.PreconditionFailedException),
            (428, exceptions.HttpException),
        ):
            self.assertIsInstance(_error(status, {}), expected)

    def test_changed_by_another_client(self) -> None:
        """One exception, however the client named the state that it knew."""
        document = {'detail': 'x', 'code': 'pci_flavor.changed'}
        for status in (409, 412):
            self.assertIsInstance(
                _error(status, {'errors': [document]}),
                exceptions.PreconditionFailedException,
            )

    def test_holders(self) -> None:
        document = {
            'detail': 'In use',
            'holders': {'devices': 3, 'instances': ['a', 'b']},
        }
        error = _error(409, {'errors': [document]})
        self.assertEqual('In use; instances: a, b (HTTP 409)', str(error))
        self.assertEqual(['a', 'b'], error.instances)

    def test_several(self) -> None:
        body = {'errors': [{'detail': 'a', 'code': 'x.y'}, {'detail': 'b'}]}
        self.assertEqual('a; b (HTTP 400, x.y)', str(_error(400, body)))

    def test_of_keystones_middleware(self) -> None:
        body = {'error': {'code': 401, 'message': 'Please log in.'}}
        headers = {'X-Openstack-Request-Id': 'req-2'}
        self.assertEqual(
            'Please log in. (HTTP 401, req-2)',
            str(_error(401, body, **headers)),
        )

    def test_of_somebody_else(self) -> None:
        for body in ('<html>', '', '[]', '{"errors": 1}', '{"error": "x"}'):
            self.assertEqual(
                'http://service/v1/hosts says: Reason (HTTP 502)',
                str(_error(502, body)),
            )
