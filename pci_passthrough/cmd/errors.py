# SPDX-License-Identifier: Apache-2.0
"""Error messages of the programs: one line, and no traceback."""

import http
import sys
from typing import Final

from oslo_config import cfg

from pci_passthrough import exception
from pci_passthrough.osc import errors as client_errors
from pci_passthrough.store import database

#: The exit status of a program that did its work and found something that is
#: probably a mistake of the operator. 1 is an error, 2 a wrong command line.
STATUS_OF_FINDINGS: Final = 3

#: Errors with a cause outside the program: wrong input, or a peer that does
#: not answer.
EXPECTED = (
    cfg.Error,
    exception.PciPassthroughError,
    OSError,
    client_errors.ClientError,
    *database.ERRORS,
)


def describe(error: BaseException, conf: cfg.ConfigOpts | None) -> str:
    """Return an error's message for an operator.

    :param conf: configuration that names the database of the error; None
        means that it was not read.
    """
    if isinstance(error, client_errors.RequestFailed):
        # pci-passthrough-manage is client and service in one process.
        text = error.detail
        if error.status == http.HTTPStatus.INTERNAL_SERVER_ERROR:
            text += ' (there is no service: --debug shows it here)'
    elif isinstance(error, EXPECTED):
        text = str(error)
    else:
        text = f'{type(error).__name__}: {error}'
    if not (
        isinstance(error, database.ERRORS)
        or isinstance(error.__cause__, database.ERRORS)
    ):
        return text
    # SQLAlchemy's further lines are the statement, and links.
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
    """Return the database's URL without its password."""
    if conf is None:
        return 'the database'
    try:
        return database.describe_url(conf.database.connection)
    except cfg.Error:
        return 'the database that [database] connection names'
