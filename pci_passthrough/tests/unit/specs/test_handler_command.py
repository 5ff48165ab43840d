# SPDX-License-Identifier: Apache-2.0
"""Tests of ``[agent] handler_command``."""

import testtools

from pci_passthrough import exception
from pci_passthrough.specs import handler_command

_WASH = '{"name": "wash", "program": ["/bin/wash", "-v"]}'


class HandlerCommandTest(testtools.TestCase):
    def test_defaults(self) -> None:
        self.assertEqual(
            {
                'wash': handler_command.HandlerCommand(
                    'wash', ('/bin/wash', '-v'), ('clean',), 600.0
                )
            },
            handler_command.parse([_WASH]),
        )

    def test_all_keys(self) -> None:
        [command] = handler_command.parse(
            [_WASH[:-1] + ', "verbs": ["verify", "setup"], "timeout": 0.5}']
        ).values()
        self.assertEqual(('verify', 'setup'), command.verbs)
        self.assertEqual(0.5, command.timeout)

    def test_malformed_values(self) -> None:
        for values, reason in (
            (['x'], 'Expecting value'),
            (['[]'], 'not an object'),
            ([_WASH[:-1] + ', "shell": true}'], "unknown key 'shell'"),
            (['{"name": "A", "program": ["/a"]}'], '"name" must be'),
            (['{"name": "a:b", "program": ["/a"]}'], '"name" must be'),
            (['{"name": "a"}'], '"program" must be'),
            (['{"name": "a", "program": "/a"}'], '"program" must be'),
            (['{"name": "a", "program": []}'], '"program" must be'),
            (['{"name": "a", "program": ["a"]}'], 'full path'),
            (['{"name": "a", "program": ["/a", 1]}'], '"program" must be'),
            (['{"name": "a", "program": ["/a\\u0000"]}'], '"program" must'),
            ([_WASH[:-1] + ', "verbs": ["wash"]}'], '"verbs" must be'),
            ([_WASH[:-1] + ', "verbs": []}'], '"verbs" must be'),
            ([_WASH[:-1] + ', "timeout": 0}'], '"timeout" must be'),
            ([_WASH[:-1] + ', "timeout": true}'], '"timeout" must be'),
            ([_WASH[:-1] + ', "timeout": Infinity}'], '"timeout" must be'),
            ([_WASH, _WASH], 'used twice'),
        ):
            with self.subTest(values):
                error = self.assertRaises(
                    exception.InvalidConfiguration,
                    handler_command.parse,
                    values,
                )
                self.assertIn(reason, str(error))
