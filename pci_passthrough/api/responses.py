# SPDX-License-Identifier: Apache-2.0
"""Answers without errors: JSON bodies, times, ETags, and pages of lists.

Their HTTP status is chosen here; that of errors, in ``errors``.
"""

from collections.abc import Callable
from collections.abc import Sequence
import datetime
import json
from typing import Any
from typing import TypeVar
from urllib import parse

from werkzeug import wrappers

from pci_passthrough.api import errors
from pci_passthrough.api import preconditions
from pci_passthrough.api import request as request_mod

_T = TypeVar('_T')


def of(body: Any, tag: str | None = None) -> wrappers.Response:
    """Return an answer with a body.

    :param tag: the ETag of what is shown; None means none.
    """
    response = wrappers.Response(
        json.dumps(body), content_type='application/json'
    )
    if tag is not None:
        response.set_etag(tag)
    return response


def created(body: Any, tag: str, location: str) -> wrappers.Response:
    """Return the answer for something new."""
    response = of(body, tag)
    response.status_code = 201
    response.headers['Location'] = location
    return response


def empty(status: int = 204) -> wrappers.Response:
    """Return an answer without a body."""
    response = wrappers.Response(status=status)
    del response.headers['Content-Type']
    return response


def unless_known(
    request: request_mod.ApiRequest, body: Any, tag: str
) -> wrappers.Response:
    """Return an answer with a body and its ETag; 304 if the client has it.

    :param tag: the current ETag.
    """
    if not preconditions.is_known(request, tag):
        return of(body, tag)
    response = empty(304)
    response.set_etag(tag)
    return response


def time(value: datetime.datetime | None) -> str | None:
    """Return a time as answers have it, in UTC."""
    if value is None:
        return None
    return value.replace(tzinfo=None).isoformat(timespec='seconds') + 'Z'


def parse_time(name: str, text: str | None) -> datetime.datetime | None:
    """Return a time of the query in UTC, without a time zone.

    :param name: the parameter of the query.
    :raises MalformedRequest: it is no time.
    """
    if text is None:
        return None
    try:
        at = datetime.datetime.fromisoformat(text)
        if at.tzinfo is None:
            return at
        return at.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise errors.MalformedRequest(
            f'Query: {name}: {text!r} is not a time such as '
            '2026-11-30T12:00:00Z.'
        ) from error


def page(
    request: request_mod.ApiRequest,
    noun: str,
    items: Sequence[Any],
    last: str | None,
) -> wrappers.Response:
    """Return a page of a list.

    :param noun: the key of the list.
    :param items: the items on the page.
    :param last: the marker of the page's last item; None means that this is
        the last page.
    """
    return of({noun: list(items), **links(request, last)})


def links(request: request_mod.ApiRequest, last: str | None) -> dict[str, Any]:
    """Return the member ``links``, with the address of the next page.

    :param last: the marker of the page's last item; None means that this is
        the last page, which has no links.
    """
    if last is None:
        return {}
    query = request.args.copy()
    query['marker'] = last
    text = parse.urlencode(list(query.items(multi=True)))
    return {'links': [{'rel': 'next', 'href': f'{request.base_url}?{text}'}]}


def after_marker(
    items: Sequence[_T],
    markers_of: Callable[[_T], Sequence[str]],
    request: request_mod.ApiRequest,
) -> tuple[Sequence[_T], str | None]:
    """Return the page of a sorted list that a request asks for.

    :param items: the whole list.
    :param markers_of: returns an item's markers, the preferred one first.
    :returns: the items on the page, and the marker of the last one; None
        instead of the marker if this is the last page.
    :raises MalformedRequest: no item has the marker.
    """
    first = 0
    marker = request.query.get('marker')
    if marker is not None:
        places = [
            place
            for place, item in enumerate(items)
            if marker in markers_of(item)
        ]
        if not places:
            raise errors.MalformedRequest(
                f'Query: marker: there is no {marker!r} in this list.'
            )
        first = places[0] + 1
    limit = request.query['limit']
    return cut(
        items[first : first + limit + 1],
        lambda item: markers_of(item)[0],
        request,
    )


def cut(
    items: Sequence[_T],
    marker_of: Callable[[_T], str],
    request: request_mod.ApiRequest,
) -> tuple[Sequence[_T], str | None]:
    """Return a page without the item that only shows that there are more.

    :param items: up to one item more than fits on the page.
    :param marker_of: returns an item's marker.
    :returns: the items on the page, and the marker of the last one; None
        instead of the marker if this is the last page.
    """
    limit = request.query['limit']
    shown = items[:limit]
    return shown, marker_of(shown[-1]) if len(items) > limit else None
