# SPDX-License-Identifier: Apache-2.0
"""The base of all nouns, and the queries of their lists."""

from collections.abc import Generator
from collections.abc import Mapping
from collections.abc import MutableMapping
import functools
from typing import Any
from typing import ClassVar
from typing import Self
from typing import TYPE_CHECKING
from urllib import parse

from openstack import exceptions
from openstack import fields as sdk_fields
from openstack import proxy
from openstack import resource

if TYPE_CHECKING:
    import requests

#: The parameters of a query, by name.
Query = Mapping[str, Any]


class Resource(resource.Resource):
    """An object of the service.

    Fields that a newer service adds are attributes, too.

    :cvar query_names: the parameters by which a list can be filtered.
    """

    _allow_unknown_attrs_in_body = True

    query_names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._query_mapping = resource.QueryParameters(*cls.query_names)

    @classmethod
    def answered(
        cls, session: proxy.Proxy, response: 'requests.Response'
    ) -> Self:
        """Return the object in a response."""
        answered = cls.new(connection=session._get_connection())
        answered._translate_response(response)
        return answered

    def fields(self) -> dict[str, Any]:
        """Return the fields that the service answered, and no others.

        What the user may not see, and what the service does not know, is
        missing; in ``to_dict()`` it is None.
        """
        return dict(self._body.attributes) | self._unknown_attrs_in_body

    @classmethod
    def check_query(cls, query: Query) -> dict[str, Any]:
        """Return a query in the form that a URL has it.

        openstacksdk itself ignores parameters that it does not know, and so
        would list everything.

        :param query: parameters; those with the value None are left out.
        :raises openstack.exceptions.InvalidResourceQuery: the list has no
            such parameter.
        """
        known = {*cls.query_names, 'limit', 'marker'}
        unknown = sorted(query.keys() - known)
        if unknown:
            raise exceptions.InvalidResourceQuery(
                f'{cls.__name__} cannot be listed by {", ".join(unknown)}; '
                f'there are {", ".join(sorted(known))}'
            )
        return in_url(query)

    # openstacksdk looks through all classes for the fields of each object, and
    # compares each name with each other one: seconds for a thousand devices.

    @classmethod
    def _attributes_iterator(
        cls, components: Any = (sdk_fields.Body, sdk_fields.Header)
    ) -> Generator[tuple[str, Any], None, None]:
        yield from cls._attributes_of(components)

    @classmethod
    @functools.cache
    def _attributes_of(cls, components: Any) -> tuple[tuple[str, Any], ...]:
        return tuple(super()._attributes_iterator(components))

    @classmethod
    @functools.cache
    def _get_mapping(cls, component: Any) -> MutableMapping[str, Any]:
        return super()._get_mapping(component)

    def _consume_body_attrs(
        self, attrs: MutableMapping[str, Any]
    ) -> dict[str, Any]:
        known = self._body_mapping()
        return {name: attrs.pop(name) for name in [*attrs] if name in known}

    @classmethod
    def _get_microversion(cls, session: Any) -> str | None:
        microversion: str = session.microversion
        return microversion

    @classmethod
    def _get_next_link(
        cls, uri: str, response: Any, data: dict[str, Any], *args: Any
    ) -> tuple[str | None, Mapping[str, Any]]:
        query = next_query(data)
        return (uri, query) if query else (None, {})


def in_url(query: Query) -> dict[str, Any]:
    """Return a query in the form that a URL has it, without None."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in query.items()
        if value is not None
    }


def next_query(page: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the query for the page after another; empty after the last.

    The link has the service's own host and path. Behind a proxy the user's
    URL differs, so only the query counts.
    """
    for link in page.get('links', ()):
        if link['rel'] == 'next':
            return parse.parse_qs(
                parse.urlsplit(link['href']).query, keep_blank_values=True
            )
    return {}


def id_of(value: resource.Resource | str) -> str:
    """Return what names an object in a path, quoted.

    :param value: the object, or its UUID or name.
    """
    identifier = value.id if isinstance(value, resource.Resource) else value
    return parse.quote(identifier, safe='')
