# SPDX-License-Identifier: Apache-2.0
"""The agent: looks at its host's devices and keeps the conductors informed."""

import random
import threading
import time

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service

import pci_passthrough
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough import rpc
from pci_passthrough import specs
from pci_passthrough.discovery import host_root
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import scan
from pci_passthrough.objects import report as report_obj

LOG = logging.getLogger(__name__)

#: libvirt drivers that are local and manage the host's own devices.
_LOCAL_DRIVERS = ('qemu:///', 'ch:///', 'xen:///', 'lxc:///')


def host_root_for(
    uri: str, configured: str | None
) -> host_root.HostRoot | None:
    """Return where the host's own files are, None if that is not known."""
    if configured:
        return host_root.HostRoot(configured)
    return host_root.HostRoot('/') if uri.startswith(_LOCAL_DRIVERS) else None


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
        self._spoke_at = -interval

    def due_in(self, now: float) -> float:
        """Return the seconds until the next sign of life is due."""
        return max(0.0, self._spoke_at + self._interval - now)

    def report(self, snapshot: reporting.Snapshot, now: float) -> None:
        """Tell what is new, or that nothing is if that is due.

        :param now: monotonic time.
        :raises: ConductorUnavailable and whatever the conductor refuses
            with; the next call tells everything that is still untold.
        """
        before = self._acknowledged
        if before is None:
            self._send(snapshot, None)
        elif before.digest != snapshot.digest:
            self._send(snapshot, before)
        elif not self.due_in(now):
            ack = self._client.heartbeat(
                self._host, self._generation, snapshot.digest
            )
            if ack.wanted == report_obj.Wanted.FULL_REPORT:
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
        return self._client.report(report)


class Backoff:
    """Pauses which grow from one second to a bound, with random variation.

    :param longest: seconds.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._failures = 0

    def failed(self) -> float:
        """Note a failure; return the seconds to wait."""
        pause = min(self._longest, 2.0**self._failures)
        self._failures = min(self._failures + 1, 16)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311

    def succeeded(self) -> None:
        """Start from one second again."""
        self._failures = 0


class AgentService(service.ServiceBase):  # type: ignore[misc]
    """The agent process: one thread that looks, tells and waits.

    Connections are made in ``start``, that is after the fork.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        options = conf.agent
        self._conf = conf
        self._pci_information = specs.PciInformation.parse(
            options.pci_information
        )
        self._host_root = host_root_for(
            options.connection_uri, options.host_root
        )
        if self._host_root is None and not options.connection_uri.startswith(
            'test:'
        ):
            raise exception.InvalidConfiguration(
                f'[agent] connection_uri {options.connection_uri} is not '
                'local, so [agent] host_root must name the directory below '
                "which that host's sys, proc and run are found: without them "
                'nobody can tell which devices the host itself uses'
            )
        self._wake = threading.Event()
        self._stopping = False
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Begin to look and tell, in a thread."""
        self._prepare()
        self._thread = threading.Thread(target=self._run, name='pci-agent')
        self._thread.start()

    def report_once(self) -> None:
        """Look and report once, without a thread.

        :raises: LibvirtUnavailable, ConductorUnavailable and whatever the
            conductor refuses with.
        """
        self._prepare()
        try:
            self._scan()
            self._report()
        finally:
            self._libvirt.close()

    def _prepare(self) -> None:
        """Make what must not be made before a fork."""
        options = self._conf.agent
        self._libvirt = libvirt_host.LibvirtHost(options.connection_uri)
        self._libvirt.watch(self._wake.set)
        self._remembered = scan.Remembered()
        self._snapshot: reporting.Snapshot | None = None
        self._reporter = Reporter(
            rpc.ConductorClient(
                rpc.get_transport(self._conf), options.rpc_timeout
            ),
            self._conf.host,
            options.report_interval,
        )
        self._look_backoff = Backoff(options.max_backoff)
        self._tell_backoff = Backoff(options.max_backoff)
        LOG.info(
            'Agent of %s: %d entries of pci_information, libvirt at %s',
            self._conf.host,
            len(self._pci_information.entries),
            options.connection_uri,
        )
        if not self._pci_information.entries:
            LOG.warning(
                'No [agent] pci_information: this host offers no device'
            )

    def stop(self) -> None:
        """Let the thread end after what it is doing."""
        self._stopping = True
        self._wake.set()

    def wait(self) -> None:
        """Return when the thread has ended.

        :raises: what ended it, if that was not ``stop``.
        """
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def reset(self) -> None:
        """At SIGHUP look at once; options are read at start only."""
        self._wake.set()

    def _run(self) -> None:
        try:
            self._look_and_tell()
        except BaseException as error:
            self._failure = error
        finally:
            self._libvirt.close()

    def _look_and_tell(self) -> None:
        look_at = tell_at = time.monotonic()
        while not self._stopping:
            now = time.monotonic()
            if self._wake.is_set():
                # Changes come in bursts: one look serves a whole one.
                self._wake.clear()
                look_at = min(look_at, now + self._conf.agent.settle_time)
            if now >= look_at:
                look_at = now + self._look()
                tell_at = now
            if now >= tell_at:
                tell_at = now + self._tell()
            self._wake.wait(max(0.0, min(look_at, tell_at) - time.monotonic()))

    def _look(self) -> float:
        """Scan the host; return the seconds until the next look."""
        try:
            self._scan()
        except exception.LibvirtUnavailable as error:
            pause = self._look_backoff.failed()
            LOG.warning(
                '%s; what is known of the devices stays as it is, next try '
                'in %.0f seconds',
                error,
                pause,
            )
            return pause
        self._look_backoff.succeeded()
        return float(self._conf.agent.scan_interval)

    def _tell(self) -> float:
        """Report; return the seconds until there is to be told again."""
        try:
            self._report()
        except exception.PciPassthroughError as error:
            pause = self._tell_backoff.failed()
            LOG.warning(
                'Report not delivered: %s; next try in %.0f seconds',
                error.text,
                pause,
            )
            return pause
        self._tell_backoff.succeeded()
        return self._reporter.due_in(time.monotonic())

    def _scan(self) -> None:
        self._libvirt.connect()
        found = scan.scan(
            self._libvirt,
            self._host_root,
            self._pci_information,
            self._remembered,
        )
        before = self._snapshot
        self._snapshot = reporting.Snapshot.of(
            [offer.device for offer in found.offered], found.withdrawn
        )
        if before is None or before.digest != self._snapshot.digest:
            _log_scan(found)

    def _report(self) -> None:
        if self._snapshot is not None:
            self._reporter.report(self._snapshot, time.monotonic())


def _log_scan(found: scan.Scan) -> None:
    LOG.info(
        '%d devices offered, %d refused, %d others',
        len(found.offered),
        len(found.refused),
        len(found.others),
    )
    for refused in found.refused:
        LOG.warning(
            'PCI device %s matches pci_information entry %d but is refused: '
            '%s',
            refused.device.address,
            refused.entry.index,
            refused.reason,
        )
