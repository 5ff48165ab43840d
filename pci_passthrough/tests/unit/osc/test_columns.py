# SPDX-License-Identifier: Apache-2.0
"""Formatters: values in tables and in other formats."""

import testtools

from pci_passthrough.osc.v1 import columns


class ColumnsTestCase(testtools.TestCase):
    def test_table_and_machine(self) -> None:
        for column, human, machine in (
            (columns.OrDash(None), '-', None),
            (columns.OrDash(0), '0', 0),
            (columns.Tags({}), '-', {}),
            (
                columns.Tags({'b': '2', 'a': '1'}),
                "a='1', b='2'",
                {'b': '2', 'a': '1'},
            ),
            (columns.Names([]), '-', []),
            (columns.Names(['y', 'x']), 'x, y', ['y', 'x']),
            (
                columns.Match([{'a': '1', 'b': '2'}, {'c': ['3']}]),
                'a=1,b=2\n{"c": ["3"]}',
                [{'a': '1', 'b': '2'}, {'c': ['3']}],
            ),
            (columns.Lines([]), '-', []),
            (columns.Lines([1, 2], lambda n: f'<{n}>'), '<1>\n<2>', [1, 2]),
        ):
            self.assertEqual(human, column.human_readable())
            self.assertEqual(machine, column.machine_readable())

    def test_what_is_not_shown_to_everybody(self) -> None:
        formatters = {'name': columns.plain, 'access': columns.Names}
        self.assertEqual(
            (['name'], ['x']),
            columns.show(formatters, {'name': 'x', 'more': 1}),
        )
