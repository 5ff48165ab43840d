# SPDX-License-Identifier: Apache-2.0
"""Publishes the agent's verdict on its host; see ``host_verdict``."""

from collections.abc import Iterator
import contextlib

from pci_passthrough import exception
from pci_passthrough import host_verdict
from pci_passthrough.discovery import scan


class VerdictPublisher:
    """Publishes the result of scans for nova-compute; threads may share it.

    :param folder: None means that no nova-compute reads it.
    :param host: this host's name.
    """

    def __init__(self, folder: str | None, host: str) -> None:
        self._folder = folder
        self._publisher = folder and host_verdict.Publisher(folder, host)

    def check(self) -> None:
        """Check that it can publish.

        :raises InvalidConfiguration: it cannot.
        """
        if self._publisher:
            with self._explained():
                self._publisher.check()

    def publish(self, result: scan.Scan, has_recalled: bool) -> None:
        """Publish the result of a scan.

        :param has_recalled: False means that no conductor has told yet which
            devices guests have, whose properties the host may hide. While
            that is so, a result of an earlier run is better. After a start
            of the host there is none, and no guest runs.
        :raises InvalidConfiguration: it cannot be written.
        """
        if self._publisher:
            with self._explained():
                if has_recalled or not self._publisher.is_current():
                    self._publisher.publish(_verdict(result))

    def renew(self) -> None:
        """Tell that the last result still counts.

        :raises InvalidConfiguration: it cannot be written.
        """
        if self._publisher:
            with self._explained():
                self._publisher.renew()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise exception.InvalidConfiguration(
                f'[agent] verdict_dir {self._folder}: {error}; nova-compute '
                "needs the agent's verdict there, and systemd's "
                'RuntimeDirectory= makes the directory'
            ) from error


def _verdict(result: scan.Scan) -> host_verdict.Verdict:
    return host_verdict.Verdict(
        {
            str(item.device.address): host_verdict.hardware(
                item.device.vendor_id, item.device.product_id
            )
            for item in result.offered
        },
        {str(item.device.address): item.reason for item in result.refused},
    )
