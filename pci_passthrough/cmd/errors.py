# SPDX-License-Identifier: Apache-2.0
"""What a program says when it cannot go on: one line, and no traceback."""

import sys

from oslo_config import cfg

from pci_passthrough import exception
from pci_passthrough.store import database

#: What is wrong outside the program: its input, or a peer that is away.
EXPECTED = (
    cfg.Error,
    exception.PciPassthroughError,
    OSError,
    *database.ERRORS,
)


def describe(error: BaseException, conf: cfg.ConfigOpts | None) -> str:
    """Return what an operator needs to know of an error.

    :param conf: to name the database that an error came from; None if it
        was not read.
    """
    if isinstance(error, EXPECTED):
        text = str(error)
    else:
        text = f'{type(error).__name__}: {error}'
    if not (
        isinstance(error, database.ERRORS)
        or isinstance(error.__cause__, database.ERRORS)
    ):
        return text
    # SQLAlchemy's further lines hold the statement, and links.
    reason = text.partition('\n')[0]
    if 'unable to open database file' in reason:
        reason += ': its directory has to exist and to be writable'
    return f'{_database(conf)} cannot be used: {reason}'


def report(
    prog: str, error: BaseException, conf: cfg.ConfigOpts | None
) -> int:
    """Print an error to standard error; return the exit status."""
    print(f'{prog}: {describe(error, conf)}', file=sys.stderr)
    return 1


def _database(conf: cfg.ConfigOpts | None) -> str:
    """Name the database without its password."""
    if conf is None:
        return 'the database'
    try:
        return database.describe_url(conf.database.connection)
    except cfg.Error:
        return 'the database that [database] connection names'
