# SPDX-License-Identifier: Apache-2.0
"""Formatters of values that the commands of ``openstack pci`` do not have."""

from collections.abc import Mapping
import datetime
from typing import Any

from pci_passthrough.osc.v1 import columns


class Time(columns.OrDash):
    """A time in UTC; a dash means None."""

    def __init__(self, value: datetime.datetime | None) -> None:
        super().__init__(value and value.strftime('%Y-%m-%dT%H:%M:%SZ'))


def vendor_and_product(item: Mapping[str, Any]) -> str:
    """Return the ids of a device or a pool, for example ``8086:1889``."""
    return f'{item["vendor_id"]}:{item["product_id"]}'
