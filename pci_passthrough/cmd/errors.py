# SPDX-License-Identifier: Apache-2.0
"""Error messages of the programs: one line, and no traceback.

``database_errors`` is for the programs that have the database. The agent has
none, and does not load what it takes.
"""

import sys
from typing import Final

from oslo_config import cfg

from pci_passthrough import exception

#: The exit status of a program that did its work and found something that is
#: probably a mistake of the operator. 1 is an error, 2 a wrong command line.
STATUS_OF_FINDINGS: Final = 3

#: Errors with a cause outside the program: wrong input, or a peer that does
#: not answer.
EXPECTED = (cfg.Error, exception.PciPassthroughError, OSError)


def describe(error: BaseException) -> str:
    """Return an error's message for an operator."""
    if isinstance(error, EXPECTED):
        return str(error)
    return f'{type(error).__name__}: {error}'


def report(prog: str, text: str) -> int:
    """Print the text of an error to standard error; return the status."""
    print(f'{prog}: {text}', file=sys.stderr)
    return 1
