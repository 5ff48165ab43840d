# SPDX-License-Identifier: Apache-2.0
"""Values in tables, and for machines."""

import testtools

from pci_passthrough.cmd.manage import words


class WordsTestCase(testtools.TestCase):
    def test_table_and_machine(self) -> None:
        for column, human, machine in (
            (words.OrDash(None), '-', None),
            (words.OrDash(0), '0', 0),
            (words.OrDash('x'), 'x', 'x'),
            (words.Tags({}), '-', {}),
            (
                words.Tags({'b': '2', 'a': '1'}),
                'a=1, b=2',
                {'b': '2', 'a': '1'},
            ),
            (words.Names([]), '-', []),
            (words.Names(['y', 'x']), 'y, x', ['y', 'x']),
            (words.Match([]), '', []),
            (
                words.Match([{'a': '1', 'b': '2'}, {'c': ['3']}]),
                'a=1,b=2\n{"c": ["3"]}',
                [{'a': '1', 'b': '2'}, {'c': ['3']}],
            ),
        ):
            self.assertEqual(human, column.human_readable())
            self.assertEqual(machine, column.machine_readable())

    def test_table(self) -> None:
        columns, rows = words.table({'A': abs, 'B': str}, [-1, 2])
        self.assertEqual(('A', 'B'), columns)
        self.assertEqual([(1, '-1'), (2, '2')], rows)
