# SPDX-License-Identifier: Apache-2.0
"""What Nova's API tells users beside its answers.

The door sends it as ``Warning: 299 pci-passthrough "text"``, see RFC 7234.
"""

from collections.abc import Mapping
import re

_OURS = re.compile(r'299 pci-passthrough "((?:[^"\\]|\\.)*)"')


def texts(headers: Mapping[str, str]) -> list[str]:
    """Return the warnings of an answer.

    :param headers: by whatever case; several of one name are one with commas.
    """
    return [
        re.sub(r'\\(.)', r'\1', found)
        for found in _OURS.findall(headers.get('Warning', ''))
    ]
