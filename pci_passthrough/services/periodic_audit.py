# SPDX-License-Identifier: Apache-2.0
"""Audits again and again; of all conductors, one at a time.

What it finds is logged, and counted in the metrics of every conductor.
"""

import collections
import threading
from typing import Final

from oslo_log import log as logging

from pci_passthrough import exception
from pci_passthrough import store
from pci_passthrough.services import auditing
from pci_passthrough.store import audits
from pci_passthrough.store import database

LOG = logging.getLogger(__name__)

#: Seconds between two looks whether an audit is due. The conductor that would
#: have been next may have ended.
_LOOK: Final = 15.0

#: The actor in the ledger.
_ACTOR: Final = 'audit'


class PeriodicAudit:
    """The thread that audits when it is its turn.

    :param audit: compares and mends.
    :param interval: seconds between two audits of the whole cloud.
    :param fix: whether what is safe to mend is mended.
    """

    def __init__(
        self,
        db: store.Writer,
        audit: auditing.Audit,
        interval: float,
        fix: bool,
    ) -> None:
        self._db = db
        self._audit = audit
        self._interval = interval
        self._fix = fix
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._work, name='pci-audit', daemon=True
        )

    def start(self) -> None:
        """Start to audit."""
        self._thread.start()

    def stop(self) -> None:
        """End after the audit that is running, if one is."""
        self._stopping.set()

    def _work(self) -> None:
        while not self._stopping.wait(min(_LOOK, self._interval)):
            try:
                if audits.take_turn(self._db, self._interval):
                    self.audit_once()
            except (exception.Unavailable, *database.ERRORS) as error:
                # SQLAlchemy's further lines hold the statement.
                LOG.warning(
                    'The audit could not be finished: %s',
                    str(error).partition('\n')[0],
                )
            except Exception:
                # A defect must not end the audits for good.
                LOG.exception('The audit failed')

    def audit_once(self) -> None:
        """Audit, mend if that is wanted, and record what is left.

        :raises: NovaUnavailable, and the database's errors.
        """
        left = collections.Counter[str]()
        for difference in self._audit.differences():
            if self._fix and self._audit.fix(difference, _ACTOR):
                continue
            left[difference.kind.value] += 1
            LOG.warning(
                'Audit: %s: device %s on %s, instance %s: %s. %s',
                difference.kind.value,
                difference.address or '-',
                difference.host,
                difference.instance,
                difference.kind.meaning,
                difference.kind.remedy,
            )
        audits.record(self._db, left)
