# SPDX-License-Identifier: Apache-2.0
"""``If-Match`` and ``If-None-Match``, after RFC 9110.

Werkzeug's ``make_conditional`` is for files: it knows no ``If-Match: *``, and
answers in its own form.
"""

from werkzeug import wrappers

from pci_passthrough import exception
from pci_passthrough.api import errors
from pci_passthrough.api import request as request_mod


def names(
    request: request_mod.ApiRequest,
    tag: str,
    changed: exception.Conflict,
) -> bool:
    """Return whether ``If-Match`` says of what a change is based on.

    ``*`` does not: it is for whatever there is.

    :param tag: the ETag as it is now.
    :param changed: what is said if it is another one.
    :raises ApiError: 412
    """
    tags = request.if_match
    if not tags or tags.star_tag:
        return False
    if not tags.contains(tag):
        raise errors.ApiError(412, changed.text, changed.code)
    return True


def unless_known(
    request: request_mod.ApiRequest, response: wrappers.Response, tag: str
) -> wrappers.Response:
    """Return an answer with its ETag, or 304 if the client has it already."""
    known = request.if_none_match
    if known and known.contains_weak(tag):
        response = wrappers.Response(status=304)
        del response.headers['Content-Type']
    response.set_etag(tag)
    return response
