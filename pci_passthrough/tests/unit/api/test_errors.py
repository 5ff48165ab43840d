# SPDX-License-Identifier: Apache-2.0
"""The HTTP status of each error, and the form of the answer."""

import json
from typing import Any

import fixtures
from sqlalchemy import exc
import testtools
from werkzeug import exceptions
from werkzeug import test
from werkzeug import wrappers

from pci_passthrough import exception
from pci_passthrough.api import errors
from pci_passthrough.tests.unit.objects import test_exception

#: The status of all errors of a family.
_FAMILIES = {
    exception.Invalid: 400,
    exception.NotFound: 404,
    exception.Conflict: 409,
    exception.Unavailable: 503,
}

#: The status and code of the errors that only the REST API has.
_OF_API: list[tuple[exception.PciPassthroughError, int, str]] = [
    (errors.MalformedRequest('x'), 400, 'request.malformed'),
    (errors.Forbidden('x'), 403, 'forbidden'),
    (errors.UnsupportedVersion('x', '1.0', '1.2'), 406, 'version.unsupported'),
    (errors.DeviceChanged('x'), 409, 'conflict'),
    (errors.BodyTooLarge('x'), 413, 'request.too_large'),
    (errors.UnsupportedMediaType('x'), 415, 'request.media_type'),
    (
        errors.PreconditionRequired('x'),
        428,
        'pci_flavor.precondition_required',
    ),
]


def _answer(
    error: Exception, **headers: str
) -> tuple[wrappers.Response, dict[str, Any]]:
    """Return the answer for an error, and its only item."""
    request = wrappers.Request(
        test.create_environ(
            headers={name.replace('_', '-'): headers[name] for name in headers}
        )
    )
    answer = errors.answer(error, request, True)
    document = json.loads(answer.data)
    [item] = document['errors']
    assert document == {'errors': [item], 'message': item['detail']}
    older = errors.answer(error, request, False)
    assert json.loads(older.data) == {'errors': [item]}
    return answer, item


class _ErrorsTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())


class StatusTest(_ErrorsTest):
    def test_of_families(self) -> None:
        for error in test_exception.SAMPLES:
            [status] = [
                status
                for family, status in _FAMILIES.items()
                if isinstance(error, family)
            ]
            answer, item = _answer(error)
            self.assertEqual(status, answer.status_code, f'{error!r}')
            self.assertEqual(status, item['status'])
            self.assertEqual(error.code, item['code'])

    def test_of_errors_of_the_api(self) -> None:
        for error, status, code in _OF_API:
            answer, item = _answer(error)
            self.assertEqual(
                (status, code, error.text),
                (answer.status_code, item['code'], item['detail']),
            )

    def test_changed_since_the_state_that_if_match_names(self) -> None:
        for error in (
            exception.PciFlavorChanged('x'),
            errors.DeviceChanged('x'),
        ):
            for if_match, status in (
                ('"x-1"', 412),
                ('W/"x-1", "x-2"', 412),
                ('*', 409),
                ('', 409),
            ):
                answer, item = _answer(error, If_Match=if_match)
                self.assertEqual(status, answer.status_code, if_match)
                self.assertEqual(error.code, item['code'])

    def test_other_conflicts_do_not_depend_on_if_match(self) -> None:
        answer, _ = _answer(exception.PciFlavorExists('x'), If_Match='"x-1"')
        self.assertEqual(409, answer.status_code)

    def test_of_werkzeug(self) -> None:
        error = exceptions.MethodNotAllowed(['GET', 'PUT'])
        answer, item = _answer(error)
        self.assertEqual(405, answer.status_code)
        self.assertEqual('method_not_allowed', item['code'])
        self.assertEqual({'GET', 'PUT'}, set(answer.allow))
        self.assertEqual('application/json', answer.content_type)


class DetailTest(_ErrorsTest):
    def test_a_peer_that_is_away_is_not_named(self) -> None:
        for error in (
            exception.ConductorUnavailable('rabbit@10.0.0.1'),
            exc.OperationalError('10.0.0.1', {}, Exception('10.0.0.1')),
        ):
            answer, item = _answer(error)
            self.assertEqual(503, answer.status_code)
            self.assertNotIn('10.0.0.1', answer.get_data(as_text=True))
            self.assertIn('does not answer', item['detail'])
            self.assertIn('10.0.0.1', self.log.output)

    def test_an_unexpected_error_is_not_shown(self) -> None:
        for error in (
            ValueError('secret'),
            exception.PciPassthroughError('secret'),
        ):
            answer, item = _answer(error)
            self.assertEqual(500, answer.status_code)
            self.assertEqual('internal', item['code'])
            self.assertNotIn('secret', answer.get_data(as_text=True))
            self.assertIn('secret', self.log.output)

    def test_members(self) -> None:
        _, item = _answer(errors.UnsupportedVersion('x', '1.0', '1.2'))
        self.assertEqual(
            ('1.0', '1.2'), (item['min_version'], item['max_version'])
        )
        _, item = _answer(exception.PciFlavorInUse('x', 3, ['i']))
        self.assertEqual({'devices': 3, 'instances': ['i']}, item['holders'])
