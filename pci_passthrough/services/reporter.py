# SPDX-License-Identifier: Apache-2.0
"""Keeping the conductors' view of a host equal to the agent's."""

import time

from oslo_log import log as logging

import pci_passthrough
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough import rpc
from pci_passthrough.objects import report as report_obj

LOG = logging.getLogger(__name__)


class Reporter:
    """Keeps the conductors' view of this host equal to the agent's.

    It knows what was acknowledged last and sends only what is new since. It
    is not thread-safe: one thread owns it.

    :param client: to reach the conductors.
    :param host: this host's name.
    :param interval: seconds between two signs of life.
    """

    def __init__(
        self, client: rpc.ConductorClient, host: str, interval: float
    ) -> None:
        self._client = client
        self._host = host
        self._interval = interval
        self._acknowledged: reporting.Snapshot | None = None
        self._generation = 0
        self._sequence = 0
        self._spoke_at: float | None = None

    def due_in(self, now: float) -> float:
        """Return the seconds until the next sign of life is due."""
        if self._spoke_at is None:
            return 0.0
        return max(0.0, self._spoke_at + self._interval - now)

    def report(self, snapshot: reporting.Snapshot, now: float) -> None:
        """Tell what is new, or that nothing is if that is due.

        :param now: monotonic time.
        :raises: ConductorUnavailable and whatever the conductor refuses
            with; the next call tells everything that is still untold.
        """
        before = self._acknowledged
        if before is None or before.digest != snapshot.digest:
            self._send(snapshot, before)
        elif not self.due_in(now):
            ack = self._client.heartbeat(
                self._host, self._generation, snapshot.digest
            )
            if ack.wanted == report_obj.Wanted.FULL_REPORT:
                LOG.info(
                    'The conductor asks what host %s has: an instance gave a '
                    'device back, a database was restored, or another agent '
                    'reports for the host. Reporting everything',
                    self._host,
                )
                self._send(snapshot, None)
        else:
            return
        self._spoke_at = now

    def _send(
        self,
        snapshot: reporting.Snapshot,
        before: reporting.Snapshot | None,
    ) -> None:
        ack = self._send_once(snapshot, before)
        if ack.wanted == report_obj.Wanted.FULL_REPORT:
            # Another generation, or a clock that went back since the last
            # start of this agent: the answer says what to go on from.
            self._sequence = max(self._sequence, ack.sequence)
            ack = self._send_once(snapshot, None)
        if ack.wanted == report_obj.Wanted.FULL_REPORT:
            raise exception.ConductorUnavailable(
                f'the conductor refuses the full report of {self._host}: its '
                'sequence is overtaken; does another agent report for the '
                'same host?'
            )
        self._acknowledged = snapshot
        self._generation = ack.generation

    def _send_once(
        self,
        snapshot: reporting.Snapshot,
        before: reporting.Snapshot | None,
    ) -> objects.ReportAck:
        self._sequence = max(self._sequence + 1, time.time_ns() // 1000)
        header = {
            'host': self._host,
            'agent_version': pci_passthrough.version(),
            'sequence': self._sequence,
        }
        if before is None:
            report = snapshot.full_report(**header)
        else:
            report = snapshot.report_since(before, self._generation, **header)
        # Until the answer is here nobody knows what the conductor has.
        self._acknowledged = None
        ack = self._client.report(report)
        LOG.info(
            'Reported %(offered)d devices%(anew)s, %(withdrawn)d not '
            'offered, %(gone)d gone; generation %(generation)d, next: '
            '%(wanted)s',
            {
                'offered': len(report.offered),
                'anew': '' if report.is_full else ' anew',
                'withdrawn': len(report.withdrawn),
                'gone': len(report.gone),
                'generation': ack.generation,
                'wanted': ack.wanted,
            },
        )
        return ack
