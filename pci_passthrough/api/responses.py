# SPDX-License-Identifier: Apache-2.0
"""Answers: JSON bodies, times, and pages of lists."""

from collections.abc import Callable
from collections.abc import Sequence
import datetime
import json
from typing import Any
from typing import TypeVar
from urllib import parse

from werkzeug import wrappers

from pci_passthrough.api import errors
from pci_passthrough.api import request as request_mod

_T = TypeVar('_T')


def of(body: Any, status: int = 200) -> wrappers.Response:
    """Return an answer with a body."""
    return wrappers.Response(
        json.dumps(body), status, content_type='application/json'
    )


def empty() -> wrappers.Response:
    """Return an answer that says no more than that it is done."""
    response = wrappers.Response(status=204)
    del response.headers['Content-Type']
    return response


def time(value: datetime.datetime | None) -> str | None:
    """Return a time as it is written in answers, in UTC."""
    if value is None:
        return None
    return value.replace(tzinfo=None).isoformat(timespec='seconds') + 'Z'


def page(
    request: request_mod.ApiRequest,
    noun: str,
    items: Sequence[Any],
    last: str | None,
) -> wrappers.Response:
    """Return a page of a list.

    :param noun: the key of the list.
    :param items: what is on the page.
    :param last: the marker of the page's last item, if there are more.
    """
    return of({noun: list(items), **links(request, last)})


def links(request: request_mod.ApiRequest, last: str | None) -> dict[str, Any]:
    """Return where the next page is, if there is one.

    :param last: the marker of the last item, if there are more.
    """
    if last is None:
        return {}
    query = request.args.copy()
    query['marker'] = last
    text = parse.urlencode(list(query.items(multi=True)))
    return {'links': [{'rel': 'next', 'href': f'{request.base_url}?{text}'}]}


def after_marker(
    items: Sequence[_T],
    marker_of: Callable[[_T], Sequence[str]],
    request: request_mod.ApiRequest,
) -> tuple[Sequence[_T], str | None]:
    """Return the page that a request asks for of a sorted list.

    :param marker_of: the markers that mean an item, the preferred one first.
    :returns: the items, and the marker of the last one if there are more.
    :raises ApiError: 400 if the marker is not among them.
    """
    first = 0
    marker = request.query.get('marker')
    if marker is not None:
        places = [
            place
            for place, item in enumerate(items)
            if marker in marker_of(item)
        ]
        if not places:
            raise errors.ApiError(
                400, f'Query: marker: there is no {marker!r} in this list.'
            )
        first = places[0] + 1
    limit = request.query['limit']
    return cut(
        items[first : first + limit + 1],
        lambda item: marker_of(item)[0],
        request,
    )


def cut(
    found: Sequence[_T],
    marker_of: Callable[[_T], str],
    request: request_mod.ApiRequest,
) -> tuple[Sequence[_T], str | None]:
    """Return a page without the one item more that was looked for.

    :param found: up to one more than fit on the page.
    :returns: the items, and the marker of the last one if there are more.
    """
    limit = request.query['limit']
    shown = found[:limit]
    return shown, marker_of(shown[-1]) if len(found) > limit else None
