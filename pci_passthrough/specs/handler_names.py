# SPDX-License-Identifier: Apache-2.0
"""Parses ``"handler"`` and ``"on_failure"`` of an entry of pci_information.

Whether a handler of that name exists is known on the host only.
"""

import re
from typing import Any
from typing import Final

#: The handler that does nothing, which must stand alone.
NONE: Final = 'none'

#: What may follow on a failed preparation, the default first.
ON_FAILURE: Final = ('quarantine', 'retry')

EXAMPLE: Final = (
    '{"match": {"class": "storage"}, "handler": ["reset", "nvme-sanitize"]}'
)

#: A name, and an argument after a colon.
_HANDLER = re.compile(r'[a-z0-9][a-z0-9_.-]*(?::[!-~]+)?', re.ASCII)
#: As many, and of such a length, as conductors record.
_MOST_HANDLERS = 16
_LONGEST_HANDLER = 64


def parse(value: Any) -> tuple[str, ...]:
    """Return the handlers of an entry, in their order.

    :param value: a name, or a list of names.
    :returns: empty for ``none``.
    :raises ValueError: the value has another form.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(
        isinstance(text, str)
        and _HANDLER.fullmatch(text)
        and len(text) <= _LONGEST_HANDLER
        for text in texts
    ):
        raise ValueError(
            'must be the name of a handler, or a list of names; an argument '
            'follows a colon, without blanks; at most '
            f'{_LONGEST_HANDLER} characters each'
        )
    if not texts:
        raise ValueError(f'empty; "{NONE}" means no handler')
    if len(texts) > _MOST_HANDLERS:
        raise ValueError(f'more than {_MOST_HANDLERS}')
    if len(set(texts)) != len(texts):
        raise ValueError('names one twice')
    if texts == [NONE]:
        return ()
    if NONE in texts:
        raise ValueError(f'"{NONE}" contradicts all others')
    return tuple(texts)


def parse_on_failure(value: Any, handlers: tuple[str, ...] | None) -> str:
    """Return one of ``ON_FAILURE``.

    :param handlers: None for those that the host chooses by itself.
    :raises ValueError: it is none of them, or there is no handler.
    """
    if value not in ON_FAILURE:
        raise ValueError(f'must be one of: {", ".join(ON_FAILURE)}')
    if handlers == ():
        raise ValueError('is about handlers, and there is none')
    return str(value)
