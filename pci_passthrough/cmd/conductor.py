# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-conductor``: the service on the controllers."""

import sys

from oslo_config import cfg
from oslo_log import log as logging

from pci_passthrough import conf as conf_module
from pci_passthrough import store
from pci_passthrough.cmd import database_errors
from pci_passthrough.services import conductor
from pci_passthrough.services import reloading
from pci_passthrough.store import schema

PROG = 'pci-passthrough-conductor'


def main(argv: list[str] | None = None) -> int:
    """Run the conductors.

    :returns: 0, or 1 after an error, which is on standard error.
    """
    args = sys.argv[1:] if argv is None else argv
    conf: cfg.ConfigOpts | None = None
    try:
        conf = conf_module.load(args, PROG)
        logging.setup(conf, 'pci_passthrough')
        conductor_service = conductor.ConductorService(conf)
        _check_database(conf)
    except database_errors.EXPECTED as error:
        return database_errors.report(PROG, error, conf)
    reloading.launch(
        conf,
        conductor_service,
        lambda: conf_module.load(args, PROG),
        workers=conf.conductor.workers,
    ).wait()
    return 0


def _check_database(conf: cfg.ConfigOpts) -> None:
    """Check the schema before the workers start.

    oslo.service would restart workers that end with an error, again and
    again.
    """
    database = store.Reader.from_conf(conf)
    try:
        schema.check(database)
    finally:
        database.close()
