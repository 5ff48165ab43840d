# SPDX-License-Identifier: Apache-2.0
"""Formatters of values that the commands of ``openstack pci`` do not have."""

from collections.abc import Mapping
from typing import Any


def vendor_and_product(item: Mapping[str, Any]) -> str:
    """Return the ids of a device or a pool, for example ``8086:1889``.

    :returns: a dash for what has none.
    """
    if item['vendor_id'] is None:
        return '-'
    return f'{item["vendor_id"]}:{item["product_id"]}'
