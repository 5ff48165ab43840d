# SPDX-License-Identifier: Apache-2.0
"""Warnings in responses of Nova's API.

The Nova plugin sends them as ``Warning: 299 pci-passthrough "text"``, see RFC
7234.
"""

from collections.abc import Mapping
import re

_WARNING = re.compile(r'299 pci-passthrough "((?:[^"\\]|\\.)*)"')


def texts(headers: Mapping[str, str]) -> list[str]:
    """Return the texts of this project's warnings in a response.

    :param headers: case-insensitive mapping; several headers of one name are
        one value with commas.
    """
    return [
        re.sub(r'\\(.)', r'\1', quoted)
        for quoted in _WARNING.findall(headers.get('Warning', ''))
    ]
