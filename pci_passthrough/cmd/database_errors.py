# SPDX-License-Identifier: Apache-2.0
"""Error messages of the programs that have the database."""

from oslo_config import cfg

from pci_passthrough.cmd import errors
from pci_passthrough.osc import errors as client_errors
from pci_passthrough.store import database

#: Errors with a cause outside the program.
EXPECTED = (*errors.EXPECTED, client_errors.ClientError, *database.ERRORS)


def describe(error: BaseException, conf: cfg.ConfigOpts | None) -> str:
    """Return an error's message for an operator.

    :param conf: configuration that names the database of the error; None
        means that it was not read.
    """
    if isinstance(error, EXPECTED):
        text = str(error)
    else:
        text = errors.describe(error)
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
    return errors.report(prog, describe(error, conf))


def _database(conf: cfg.ConfigOpts | None) -> str:
    """Return the database's URL without its password."""
    if conf is None:
        return 'the database'
    try:
        return database.describe_url(conf.database.connection)
    except cfg.Error:
        return 'the database that [database] connection names'
