# SPDX-License-Identifier: Apache-2.0
"""The guide to enable PCI flavors in Nova shows the files of etc/nova."""

import pathlib
import re
import textwrap

from oslotest import base

_ROOT = pathlib.Path(__file__).parents[3]
_ETC = _ROOT / 'etc' / 'nova'
_GUIDE = _ROOT / 'doc' / 'source' / 'howto' / 'enable_nova.rst'


def _code_blocks(text: str, language: str) -> list[list[str]]:
    """Return the lines of each code block in a language."""
    blocks = re.findall(
        rf'^\.\. code-block:: {language}\n\n((?: {{3}}.*\n|\n)+)',
        text,
        flags=re.MULTILINE,
    )
    return [_bare(block) for block in blocks]


def _bare(text: str) -> list[str]:
    """Return the lines of a file, without comments and empty lines."""
    lines = textwrap.dedent(text).splitlines()
    return [line for line in lines if line and not line.startswith('#')]


class GuideTest(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.guide = _GUIDE.read_text()

    def test_files(self) -> None:
        """The excerpts are the lines of the files, without comments."""
        files = 'nova-pci-passthrough.conf', 'api-paste-pci-passthrough.ini'
        self.assertEqual(
            [_bare((_ETC / name).read_text()) for name in files],
            _code_blocks(self.guide, 'ini'),
        )

    def test_variable(self) -> None:
        """The variable names our paste file and Nova's own configuration."""
        ((line,),) = _code_blocks(self.guide, 'shell')
        files = line.partition('=')[2].strip("'").split(';')
        self.assertEqual(['api-paste-pci-passthrough.ini', 'nova.conf'], files)
        self.assertTrue((_ETC / files[0]).exists())
