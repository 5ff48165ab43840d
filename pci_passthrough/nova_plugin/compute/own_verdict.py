# SPDX-License-Identifier: Apache-2.0
"""Asks the agent of nova-compute's own host what may leave it.

The conductor says which device an instance gets. The host has the last word
(``host_verdict``): before a claim is accepted, and before a guest starts.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

from pci_passthrough import host_verdict
from pci_passthrough.nova_plugin.compute import first_minute
from pci_passthrough.nova_plugin.install import bootstrap


def problem(host: str) -> str | None:
    """Return why the agent's verdict cannot be relied on; None if it can."""
    reader = _reader(host)
    try:
        if reader is not None:
            reader.read()
    except host_verdict.NoVerdict as error:
        return str(error)
    return None


def reasons_against(
    host: str, devices: Iterable[Any], *, is_patient: bool = False
) -> Iterator[str]:
    """Yield why guests must not get devices of a host.

    :param host: the name of this host.
    :param devices: Nova's rows, and devices of the conductor.
    :param is_patient: whether to wait for the agent in the first minute.
    """
    reader = _reader(host)
    devices = list(devices)
    if reader is None or not devices:
        return
    try:
        verdict = (
            first_minute.patiently(reader.read, host_verdict.NoVerdict)
            if is_patient
            else reader.read()
        )
    except host_verdict.NoVerdict as error:
        yield str(error)
        return
    for device in devices:
        hardware = host_verdict.hardware(device.vendor_id, device.product_id)
        reason = verdict.reason_against(str(device.address), hardware)
        if reason is not None:
            yield f'the host does not give {device.address} away: {reason}'


def _reader(host: str) -> host_verdict.Reader | None:
    """Return the reader of a host's verdict; None if there is to be none."""
    options = bootstrap.nova_conf().pci_passthrough
    if not options.verdict_dir:
        return None
    return host_verdict.Reader(
        options.verdict_dir, host, options.verdict_max_age
    )
