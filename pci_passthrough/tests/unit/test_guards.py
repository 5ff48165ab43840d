# SPDX-License-Identifier: Apache-2.0
"""What must hold for the whole project, and nobody would notice otherwise."""

import re

import testtools

from pci_passthrough import conf
from pci_passthrough.conf import nova

#: The end of a sentence: a full stop and white space, or the end.
_SENTENCE = re.compile(r'[.:](?=\s|$)')


#: Those of the programs, and those in Nova's configuration.
_ALL = [*conf.list_opts(), *nova.list_opts()]


class OptionsTest(testtools.TestCase):
    def test_help_is_a_small_manual(self) -> None:
        """One sentence cannot say both what it is and what goes wrong."""
        too_short = [
            f'[{group}] {option.name}'
            for group, options in _ALL
            for option in options
            if len(_SENTENCE.findall(option.help or '')) < 2
        ]
        self.assertEqual([], too_short)

    def test_options_are_named_once(self) -> None:
        names = [
            (group, option.name)
            for group, options in _ALL
            for option in options
        ]
        self.assertNotEqual([], names)
        self.assertEqual(len(set(names)), len(names))
