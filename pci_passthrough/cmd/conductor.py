# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-conductor``: the service on the controllers."""

import sys

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service

from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough import store
from pci_passthrough.services import conductor
from pci_passthrough.store import schema


def main(argv: list[str] | None = None) -> int:
    """Run the conductors.

    :returns: 0, or 1 after an error, which is on standard error.
    """
    args = sys.argv[1:] if argv is None else argv
    try:
        conf = conf_module.load(args, 'pci-passthrough-conductor')
        logging.setup(conf, 'pci_passthrough')
        # Here and not only in the workers, which would be started again and
        # again.
        database = store.Database.from_conf(conf)
        schema.check(database)
        database.close()
    except (cfg.Error, exception.PciPassthroughError) as error:
        print(f'pci-passthrough-conductor: {error}', file=sys.stderr)
        return 1
    service.launch(
        conf,
        conductor.ConductorService(conf),
        workers=conf.conductor.workers,
    ).wait()
    return 0
