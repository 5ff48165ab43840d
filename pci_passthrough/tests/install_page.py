# SPDX-License-Identifier: Apache-2.0
"""Reads the blocks of code of the page that tells how to install."""

import dataclasses
import pathlib
import re
import textwrap
from typing import Final

ROOT: Final = pathlib.Path(__file__).parents[2]
PAGE: Final = ROOT / 'doc/source/howto/install.rst'

_BLOCK: Final = re.compile(
    r'^\.\. code-block:: (?P<language>\w+)\n'
    r'   :caption: (?P<caption>.+)\n\n'
    r'(?P<text>(?: {3}.*\n|\n)+)',
    flags=re.MULTILINE,
)
_ANY_BLOCK: Final = '.. code-block::'


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of a shell, with its further lines.

    :ivar as_root: whether the page's prompt is that of root.
    """

    text: str
    as_root: bool


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code, with the caption that says where it runs."""

    language: str
    caption: str
    text: str

    @property
    def commands(self) -> list[Command]:
        """The commands of a block of language console, in their order.

        :raises ValueError: the block does not begin with a prompt.
        """
        commands: list[Command] = []
        for line in self.text.splitlines():
            if line.startswith(('# ', '$ ')):
                commands.append(Command(line[2:], line[0] == '#'))
            elif commands:
                last = commands.pop()
                commands.append(
                    dataclasses.replace(last, text=f'{last.text}\n{line}')
                )
            else:
                raise ValueError(f'no prompt: {line}')
        return commands


def read() -> list[Block]:
    """Return the page's blocks in their order.

    :raises ValueError: a block has no caption.
    """
    text = PAGE.read_text()
    blocks = [
        Block(
            match['language'],
            match['caption'],
            textwrap.dedent(match['text']).strip(),
        )
        for match in _BLOCK.finditer(text)
    ]
    if len(blocks) != text.count(_ANY_BLOCK):
        raise ValueError(f'a block of {PAGE} has no caption')
    return blocks
