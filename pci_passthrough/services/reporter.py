# SPDX-License-Identifier: Apache-2.0
"""Reports a host's devices, and heartbeats while nothing changes."""

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

    The reporter remembers the snapshot that was acknowledged last and sends
    the differences. It is not thread-safe: one thread owns it.

    :param client: calls the conductors.
    :param host: this host's name.
    :param interval: seconds between two heartbeats.
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
        self._called_at: float | None = None

    def due_in(self, now: float) -> float:
        """Return the seconds until the next heartbeat is due."""
        if self._called_at is None:
            return 0.0
        return max(0.0, self._called_at + self._interval - now)

    def report(self, snapshot: reporting.Snapshot, now: float) -> None:
        """Report what has changed, or send a heartbeat if one is due.

        :param now: monotonic time.
        :raises: ConductorUnavailable and the errors with which the conductor
            refuses the report; the next call reports the same changes again.
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
                    'The conductor wants a full report of host %s: an '
                    'instance gave a device back, a database was restored, '
                    'another agent reports for the host, or a conductor of '
                    'an earlier release took the last report. Sending it',
                    self._host,
                )
                self._send(snapshot, None)
        else:
            return
        self._called_at = now

    def _send(
        self,
        snapshot: reporting.Snapshot,
        before: reporting.Snapshot | None,
    ) -> None:
        ack = self._send_once(snapshot, before)
        if ack.wanted == report_obj.Wanted.FULL_REPORT:
            # Another generation, or a clock that was set back since the last
            # start of this agent: continue with the sequence of the answer.
            self._sequence = max(self._sequence, ack.sequence)
            ack = self._send_once(snapshot, None)
        if ack.wanted == report_obj.Wanted.FULL_REPORT:
            raise exception.ConductorUnavailable(
                f'the conductor refuses the full report of {self._host}, '
                'because it has one with a higher sequence; does another '
                'agent report for the same host?'
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
        # Before the answer arrives, the conductor's state is unknown.
        self._acknowledged = None
        ack = self._client.report(report)
        LOG.info(
            'Sent a report of %(kind)s: %(offered)d devices offered, '
            '%(withdrawn)d not offered, %(gone)d gone; generation '
            '%(generation)d, the conductor wants: %(wanted)s',
            {
                'kind': 'all devices' if report.is_full else 'changes',
                'offered': len(report.offered),
                'withdrawn': len(report.withdrawn),
                'gone': len(report.gone),
                'generation': ack.generation,
                'wanted': ack.wanted,
            },
        )
        return ack
