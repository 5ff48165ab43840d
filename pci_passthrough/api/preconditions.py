# SPDX-License-Identifier: Apache-2.0
"""``If-Match`` and ``If-None-Match``, after RFC 9110.

Werkzeug's ``make_conditional`` is for files: it does not know ``If-Match: *``,
and answers in its own form.
"""

from werkzeug import wrappers

from pci_passthrough import exception


def names_state(request: wrappers.Request) -> bool:
    """Return whether ``If-Match`` names the state a change is based on.

    ``*`` names none: the change is for any state.
    """
    return bool(request.if_match) and not request.if_match.star_tag


def check_if_match(
    request: wrappers.Request, tag: str, changed: exception.Conflict
) -> bool:
    """Check that ``If-Match`` names the current state, if it names one.

    :param tag: the current ETag.
    :param changed: the error to raise if ``If-Match`` names another.
    :returns: whether it names one.
    """
    tags = request.if_match
    if not tags or tags.star_tag:
        return False
    if not tags.contains(tag):
        raise changed
    return True


def is_known(request: wrappers.Request, tag: str) -> bool:
    """Return whether ``If-None-Match`` names the current state.

    :param tag: the current ETag.
    """
    known = request.if_none_match
    return bool(known) and known.contains_weak(tag)
