# SPDX-License-Identifier: Apache-2.0
"""The agent: scans the devices of its host and reports them to conductors."""

from collections.abc import Callable
from collections.abc import Collection
import threading
import time

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough import resource_types
from pci_passthrough import rpc
from pci_passthrough import specs
from pci_passthrough.discovery import doubt
from pci_passthrough.discovery import hidden_properties
from pci_passthrough.discovery import idle_entries
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import resources
from pci_passthrough.discovery import scan
from pci_passthrough.handlers import configured
from pci_passthrough.rpc import older_conductors
from pci_passthrough.services import backoff
from pci_passthrough.services import host_root
from pci_passthrough.services import preparation_loop
from pci_passthrough.services import publishing
from pci_passthrough.services import reporter
from pci_passthrough.services import scan_log

LOG = logging.getLogger(__name__)

#: Seconds that ``stop`` waits for a thread. A thread that waits for libvirt
#: or the broker may take far longer. It need not finish: the next agent sends
#: a full report.
_STOP_SECONDS = 5.0

#: Seconds that the first scan waits for the answer of a conductor. A scan
#: without it is not reported.
_RECALL_SECONDS = 5.0


class AgentService(service.ServiceBase):  # type: ignore[misc]
    """The agent process: one thread scans the host, another one reports.

    There are two threads, so that heartbeats go on while libvirt hangs, and
    scans go on while the broker is down. Connections are opened in ``start``,
    which is after the fork.

    :raises InvalidPciInformation: an entry is malformed.
    :raises InvalidConfiguration: another option cannot be used.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.reconfigure(conf)
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        #: set when a thread has ended, for any reason
        self._ended = threading.Event()
        self._failure: BaseException | None = None

    def reconfigure(self, conf: cfg.ConfigOpts) -> None:
        """Use a configuration from the next ``start`` on.

        :raises: InvalidPciInformation, InvalidConfiguration; then nothing
            is changed.
        """
        options = conf.agent
        uri = options.connection_uri
        information = specs.PciInformation.parse(options.pci_information)
        root = host_root.reader_for(uri, options.host_root)
        host_root.check(uri, root)
        path = None if root is None else root.path
        registry = configured.registry_for(conf, path, information.entries)
        types = resource_types.load()
        resources.check_entries(types, information.entries)
        rpc.check_transport(conf)
        publisher = publishing.VerdictPublisher(
            host_root.verdict_folder(options), conf.host
        )
        publisher.check()
        self._conf = conf
        self._publisher = publisher
        self._registry = registry
        self._types = types
        self._defaults = configured.defaults_for(conf, path, registry)
        self._uri, self._host_root = uri, root
        self._pci_information = information

    def start(self) -> None:
        """Start to scan and to report.

        After SIGHUP this is a new process, whose configuration ``reloading``
        has checked.
        """
        self._prepare()
        for name, work in (
            ('pci-scan', self._keep_scanning),
            ('pci-report', self._keep_reporting),
            ('pci-prepare', self._preparation_loop.run),
            ('pci-restore', self._preparation_loop.restoring.run),
        ):
            thread = threading.Thread(
                target=self._run, args=(work,), name=name, daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def report_once(self) -> None:
        """Scan and report once, without a thread.

        :raises: LibvirtUnavailable, ConductorUnavailable and the errors with
            which a conductor refuses the report.
        """
        self._prepare()
        try:
            self._recall()
            snapshot = self._scan()
            self._publish()
            self._reporter.report(snapshot, time.monotonic())
        finally:
            self._libvirt.close()
            self._client.close()

    def _prepare(self) -> None:
        """Open the connections, which a process must not inherit by a fork."""
        options = self._conf.agent
        #: set when a scan is due
        self._changed = threading.Event()
        #: set when a scan has ended, whose result may have to be reported
        self._scanned = threading.Event()
        self._libvirt = libvirt_host.LibvirtHost(self._uri)
        self._libvirt.watch(self._changed.set)
        self._remembered = hidden_properties.HiddenProperties()
        #: set when the first attempt to ask a conductor has ended
        self._asked = threading.Event()
        #: a conductor's answer that the next scan uses, then None again
        self._answer: tuple[list[objects.PciDevice], list[str]] | None = None
        #: whether a conductor has answered, and whether a scan has used that
        self._is_answered = self._has_recalled = False
        self._verdicts: scan.Scan | None = None
        #: the entries that were idle at the last scan
        self._idle: Collection[idle_entries.IdleEntry] = ()
        self._snapshot: reporting.Snapshot | None = None
        self._scanning_since: float | None = None
        self._client = rpc.ConductorClient(
            rpc.get_transport(self._conf), options.rpc_timeout
        )
        self._reporter = reporter.Reporter(
            self._client, self._conf.host, options.report_interval
        )
        self._preparation_loop = preparation_loop.PreparationLoop(
            self._conf,
            self._registry,
            self._libvirt,
            lambda: self._verdicts,
            on_success=self._changed.set,
            on_defect=self._fail,
            types=self._types,
        )
        self._scan_backoff = backoff.Backoff(options.max_backoff)
        self._report_backoff = backoff.Backoff(options.max_backoff)
        LOG.info(
            'Agent of %s: %d entries of pci_information, libvirt at %s',
            self._conf.host,
            len(self._pci_information.entries),
            self._uri,
        )
        if not self._pci_information.entries:
            LOG.warning(
                'No [agent] pci_information: this host offers no device'
            )

    def stop(self) -> None:
        """Stop the threads, but wait no longer than a few seconds for each.

        oslo.service ends the process when this returns.
        """
        self._stopping.set()
        self._preparation_loop.stop()
        while self._threads:
            self._asked.set()
            self._changed.set()
            self._scanned.set()
            thread = self._threads.pop()
            thread.join(_STOP_SECONDS)
            if thread.is_alive():
                LOG.warning(
                    'Thread %s is still waiting for %s; ending without it',
                    thread.name,
                    'libvirt' if thread.name == 'pci-scan' else 'a conductor',
                )
        self._ended.set()

    def wait(self) -> None:
        """Return when the service has ended.

        :raises: the error that ended the service, if ``stop`` did not.
        """
        self._ended.wait()
        if self._failure is not None:
            raise self._failure

    def reset(self) -> None:
        """Scan at once.

        oslo.service does not call it: at SIGHUP it stops this process and
        starts another one with the new configuration; see ``reloading``.
        """
        self._changed.set()

    def _run(self, work: Callable[[], None]) -> None:
        """Do the work of a thread; an unexpected error ends the service.

        The process then ends with an error and systemd restarts it. Otherwise
        it would run without doing anything.
        """
        try:
            work()
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        LOG.critical('The agent ends after an error', exc_info=error)
        self._failure = error
        self._ended.set()

    def _keep_scanning(self) -> None:
        options = self._conf.agent
        self._asked.wait(_RECALL_SECONDS)
        try:
            while not self._stopping.is_set():
                # Before the scan: a change during the scan causes another.
                self._changed.clear()
                pause = self._try_to_scan()
                if pause is not None:
                    # A connection that breaks sets ``_changed``, too, and
                    # must not shorten the pause.
                    self._stopping.wait(pause)
                elif self._changed.wait(options.scan_interval):
                    # Changes come in bursts: one scan is enough for a burst.
                    self._stopping.wait(options.settle_time)
        finally:
            self._libvirt.close()

    def _try_to_scan(self) -> float | None:
        """Scan the host; return how long to wait if the scan failed."""
        self._scanning_since = time.monotonic()
        try:
            snapshot = self._scan()
            self._publish()
            if self._has_recalled:
                self._snapshot = snapshot
        except exception.PciPassthroughError as error:
            pause = self._scan_backoff.failed()
            LOG.warning(
                'Device scan failed: %s. Keeping the last result; retrying '
                'in %.1f s',
                error.text,
                pause,
            )
            return pause
        finally:
            self._scanning_since = None
        failures = self._scan_backoff.succeeded()
        if failures:
            LOG.info('libvirt answers again after %d failures', failures)
        self._scanned.set()
        self._preparation_loop.wake()
        return None

    def _keep_reporting(self) -> None:
        try:
            while not self._stopping.is_set():
                self._scanned.clear()
                pause = self._try_to_report()
                if pause is not None:
                    self._stopping.wait(pause)
                else:
                    self._scanned.wait(self._due_in())
        finally:
            self._client.close()

    def _due_in(self) -> float:
        """Return the seconds until the next report or heartbeat is due."""
        if self._snapshot is None:
            return float(self._conf.agent.report_interval)
        return self._reporter.due_in(time.monotonic())

    def _try_to_report(self) -> float | None:
        """Report the last scan; return how long to wait if that failed."""
        now = time.monotonic()
        self._warn_of_a_long_scan(now)
        # Read once: the other thread may replace it at any time.
        snapshot = self._snapshot
        try:
            self._publisher.renew()
            if not self._is_answered:
                self._recall()
            if snapshot is None:
                return None
            self._reporter.report(snapshot, now)
        except exception.PciPassthroughError as error:
            pause = self._report_backoff.failed()
            LOG.warning(
                'Report not delivered: %s; retrying in %.1f s',
                error.text,
                pause,
            )
            LOG.debug('Report not delivered', exc_info=True)
            return pause
        failures = self._report_backoff.succeeded()
        if failures:
            LOG.info('Reports are delivered again after %d failures', failures)
        return None

    def _warn_of_a_long_scan(self, now: float) -> None:
        since = self._scanning_since
        if since is not None:
            seconds = now - since
            if seconds > self._conf.agent.report_interval:
                LOG.warning(
                    'libvirt or sysfs has not answered for %.0f seconds; '
                    'reporting the result of the last scan',
                    seconds,
                )

    def _recall(self) -> None:
        """Ask a conductor what it knows of the host's devices from before.

        Without that, the first report would withdraw devices that guests
        have, and disks that come back from guests.

        :raises: ConductorUnavailable
        """
        client, host = self._client, self._conf.host
        try:
            self._answer = (
                older_conductors.answer_or(
                    [], lambda: client.host_devices(host)
                ),
                older_conductors.answer_or([], lambda: client.given_out(host)),
            )
            self._is_answered = True
            self._changed.set()
        finally:
            self._asked.set()

    def _scan(self) -> reporting.Snapshot:
        answer, self._answer = self._answer, None
        if answer is not None:
            self._remembered.recall(*answer)
            self._has_recalled = True
        self._libvirt.connect()
        agreement = doubt.scan_twice_in_doubt(self._verdicts, self._scan_once)
        if not agreement.is_settled:
            self._changed.set()
        result = agreement.scan
        idle = result.find_idle()
        for entry in idle_entries.news(self._idle, idle):
            LOG.warning('In pci_information, %s', entry)
        self._idle = idle
        self._verdicts = result
        before = self._snapshot
        snapshot = reporting.Snapshot.of(
            [offered.device for offered in result.offered],
            result.left_out,
            [refused.device for refused in result.refused],
        )
        if before is None or before.digest != snapshot.digest:
            scan_log.log_scan(result)
        return snapshot

    def _publish(self) -> None:
        # Before the report: what a conductor offers, nova-compute accepts.
        if self._verdicts is not None:
            self._publisher.publish(self._verdicts, self._has_recalled)

    def _scan_once(self) -> scan.Scan:
        return scan.scan(
            self._libvirt.list_node_devices(),
            self._host_root,
            self._pci_information,
            self._remembered,
            self._defaults.handlers_of,
            self._registry.erases_storage,
            self._types,
            self._conf.host,
            self._defaults.obstacle,
        )
