# SPDX-License-Identifier: Apache-2.0
"""The agent: looks at its host's devices and keeps the conductors informed."""

from collections.abc import Callable
import threading
import time

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service

from pci_passthrough import exception
from pci_passthrough import reporting
from pci_passthrough import rpc
from pci_passthrough import specs
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import scan
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.services import backoff
from pci_passthrough.services import reporter

LOG = logging.getLogger(__name__)

#: libvirt drivers that are local and manage the host's own devices.
_LOCAL_DRIVERS = ('qemu:///', 'ch:///', 'xen:///', 'lxc:///')

#: Seconds that ``stop`` waits for a thread. One that waits for libvirt or
#: the broker may take far longer, and nothing of what it does has to be
#: finished: a report which was cut off is repeated in full.
_STOP_SECONDS = 5.0


def host_root_for(
    uri: str, configured: str | None
) -> sysfs_reader.SysfsReader | None:
    """Return where the host's own files are, None if that is not known."""
    if configured:
        return sysfs_reader.SysfsReader(configured)
    return (
        sysfs_reader.SysfsReader('/')
        if uri.startswith(_LOCAL_DRIVERS)
        else None
    )


class AgentService(service.ServiceBase):  # type: ignore[misc]
    """The agent process: one thread looks, another one tells.

    Two, so that neither a libvirt that hangs keeps the host from giving
    signs of life, nor a broker that is away keeps the agent from looking.
    Connections are made in ``start``, that is after the fork.

    :raises InvalidPciInformation: an entry is malformed.
    :raises InvalidConfiguration: another option cannot be used.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.reconfigure(conf)
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        #: set when a thread has ended, for whatever reason
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
        root = host_root_for(uri, options.host_root)
        if root is None and not uri.startswith('test:'):
            raise exception.InvalidConfiguration(
                f'[agent] connection_uri {uri} is not local, so [agent] '
                'host_root must name the directory below which that '
                "host's sys, proc and run are found: without them nobody "
                'can tell which devices the host itself uses'
            )
        rpc.check_transport(conf)
        self._conf = conf
        self._uri, self._host_root = uri, root
        self._pci_information = information

    def start(self) -> None:
        """Begin to look and to tell.

        After SIGHUP this is a new process; ``reloading`` has seen to it that
        its configuration can be used.
        """
        self._prepare()
        for name, work in (
            ('pci-look', self._keep_looking),
            ('pci-tell', self._keep_telling),
        ):
            thread = threading.Thread(
                target=self._run, args=(work,), name=name, daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def report_once(self) -> None:
        """Look and report once, without a thread.

        :raises: LibvirtUnavailable, ConductorUnavailable and whatever the
            conductor refuses with.
        """
        self._prepare()
        try:
            self._reporter.report(self._scan(), time.monotonic())
        finally:
            self._libvirt.close()
            self._client.close()

    def _prepare(self) -> None:
        """Make what must not be made before a fork."""
        options = self._conf.agent
        #: set when a look at the devices is due, and when to tell of it
        self._changed = threading.Event()
        self._news = threading.Event()
        self._libvirt = libvirt_host.LibvirtHost(self._uri)
        self._libvirt.watch(self._changed.set)
        self._remembered = scan.HiddenProperties()
        self._snapshot: reporting.Snapshot | None = None
        self._looking_since: float | None = None
        self._client = rpc.ConductorClient(
            rpc.get_transport(self._conf), options.rpc_timeout
        )
        self._reporter = reporter.Reporter(
            self._client, self._conf.host, options.report_interval
        )
        self._look_backoff = backoff.Backoff(options.max_backoff)
        self._tell_backoff = backoff.Backoff(options.max_backoff)
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
        """End the threads, but wait no longer than a few seconds for each.

        oslo.service ends the process when this returns.
        """
        self._stopping.set()
        while self._threads:
            self._changed.set()
            self._news.set()
            thread = self._threads.pop()
            thread.join(_STOP_SECONDS)
            if thread.is_alive():
                LOG.warning(
                    'Thread %s is still waiting for %s; ending without it',
                    thread.name,
                    'libvirt' if thread.name == 'pci-look' else 'a conductor',
                )
        self._ended.set()

    def wait(self) -> None:
        """Return when the service has ended.

        :raises: what ended it, if that was not ``stop``.
        """
        self._ended.wait()
        if self._failure is not None:
            raise self._failure

    def reset(self) -> None:
        """Look at once.

        oslo.service does not call it: at SIGHUP it stops this process and
        starts another, with the configuration read anew; see ``reloading``.
        """
        self._changed.set()

    def _run(self, work: Callable[[], None]) -> None:
        """Do a thread's work; a defect in it ends the whole service.

        Then the process ends with an error and is started anew, instead of
        looking alive and doing nothing.
        """
        try:
            work()
        except BaseException as error:
            LOG.critical('The agent ends after an error', exc_info=True)
            self._failure = error
            self._ended.set()

    def _keep_looking(self) -> None:
        options = self._conf.agent
        try:
            while not self._stopping.is_set():
                # Before the look: what happens during it makes another one.
                self._changed.clear()
                pause = self._look()
                if pause is not None:
                    # A connection that breaks announces a change, too: that
                    # must not cut the pause short.
                    self._stopping.wait(pause)
                elif self._changed.wait(options.scan_interval):
                    # Changes come in bursts: one look serves a whole one.
                    self._stopping.wait(options.settle_time)
        finally:
            self._libvirt.close()

    def _look(self) -> float | None:
        """Scan the host; return how long to wait if that failed."""
        self._looking_since = time.monotonic()
        try:
            self._snapshot = self._scan()
        except exception.PciPassthroughError as error:
            pause = self._look_backoff.failed()
            LOG.warning(
                '%s; what is known of the devices stays as it is, next try '
                'in %.1f seconds',
                error.text,
                pause,
            )
            return pause
        finally:
            self._looking_since = None
        failures = self._look_backoff.succeeded()
        if failures:
            LOG.info('libvirt answers again after %d failures', failures)
        self._news.set()
        return None

    def _keep_telling(self) -> None:
        try:
            while not self._stopping.is_set():
                self._news.clear()
                pause = self._tell()
                if pause is not None:
                    self._stopping.wait(pause)
                else:
                    self._news.wait(self._due_in())
        finally:
            self._client.close()

    def _due_in(self) -> float:
        """Return the seconds until something is to be told in any case."""
        if self._snapshot is None:
            return float(self._conf.agent.report_interval)
        return self._reporter.due_in(time.monotonic())

    def _tell(self) -> float | None:
        """Report what is known; return how long to wait if that failed."""
        now = time.monotonic()
        self._complain_of_a_long_look(now)
        # Once: the other thread may put a newer one there at any time.
        snapshot = self._snapshot
        if snapshot is None:
            return None
        try:
            self._reporter.report(snapshot, now)
        except exception.PciPassthroughError as error:
            pause = self._tell_backoff.failed()
            LOG.warning(
                'Report not delivered: %s; next try in %.1f seconds',
                error.text,
                pause,
            )
            LOG.debug('Report not delivered', exc_info=True)
            return pause
        failures = self._tell_backoff.succeeded()
        if failures:
            LOG.info('Reports are delivered again after %d failures', failures)
        return None

    def _complain_of_a_long_look(self, now: float) -> None:
        since = self._looking_since
        if since is not None:
            seconds = now - since
            if seconds > self._conf.agent.report_interval:
                LOG.warning(
                    'libvirt or sysfs has not answered for %.0f seconds; '
                    'reporting what was known before',
                    seconds,
                )

    def _scan(self) -> reporting.Snapshot:
        self._libvirt.connect()
        found = scan.scan(
            self._libvirt.list_node_devices(),
            self._host_root,
            self._pci_information,
            self._remembered,
        )
        before = self._snapshot
        snapshot = reporting.Snapshot.of(
            [offer.device for offer in found.offered], found.withdrawn
        )
        if before is None or before.digest != snapshot.digest:
            _log_scan(found)
        return snapshot


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
