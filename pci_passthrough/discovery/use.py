# SPDX-License-Identifier: Apache-2.0
"""A use of devices by the host itself. Pure."""

import dataclasses
import enum


class Certainty(enum.Enum):
    """How a use is known."""

    USED = 'used'
    #: a disk has a label, but nothing uses it now
    LABELLED = 'labelled'
    #: the label is that of a member which can be used without being mounted
    MEMBER = 'member'
    #: facts are missing
    UNKNOWN = 'unknown'


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """One use of PCI functions."""

    #: addresses of the functions
    functions: tuple[str, ...]
    #: a text for people
    reason: str
    certainty: Certainty = Certainty.USED
