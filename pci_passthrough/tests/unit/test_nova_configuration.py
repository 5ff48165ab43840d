# SPDX-License-Identifier: Apache-2.0
"""What the README tells operators of Nova is what etc/ has for them."""

import pathlib
import textwrap

from oslotest import base

_ROOT = pathlib.Path(__file__).parents[3]
_ETC = _ROOT / 'etc' / 'nova'


def _code_block(text: str, language: str) -> list[str]:
    """Return the lines of the first code block in a language."""
    block = text.partition(f'.. code-block:: {language}\n\n')[2]
    lines = []
    for line in block.splitlines():
        if line and not line.startswith('     '):
            break
        lines.append(line)
    return _bare('\n'.join(lines))


def _bare(text: str) -> list[str]:
    """Return the lines of a file, without comments and empty lines."""
    lines = textwrap.dedent(text).splitlines()
    return [line for line in lines if line and not line.startswith('#')]


class ReadmeTest(base.BaseTestCase):
    """The section "In your cloud"."""

    def setUp(self) -> None:
        super().setUp()
        self.chapter = (
            (_ROOT / 'README.rst')
            .read_text()
            .partition('In your cloud\n====')[2]
        )

    def test_nova_conf(self) -> None:
        """The lines for nova.conf are those of the file."""
        written = (_ETC / 'nova-pci-passthrough.conf').read_text()
        self.assertEqual(_bare(written), _code_block(self.chapter, 'ini'))

    def test_paste_file(self) -> None:
        """The variable names the file that there is, and Nova's own."""
        (line,) = _code_block(self.chapter, 'shell')
        files = line.partition('=')[2].strip("'").split(';')
        self.assertEqual(['api-paste-pci-passthrough.ini', 'nova.conf'], files)
        self.assertTrue((_ETC / files[0]).exists())
