# SPDX-License-Identifier: Apache-2.0
"""The reference of the REST API, made of its routes and their schemas.

``.. api-reference::`` has a section for each noun and in it one for each
request, in the order of ``routing.ROUTES``. The objects that many answers
contain are at the end.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import itertools
import json
from typing import Any

from docutils import nodes
from docutils import statemachine
from docutils.parsers import rst
from sphinx.util import nodes as sphinx_nodes

# Before anything else imports oslo.service.
from pci_passthrough import threading_backend  # noqa: F401

# isort: split
from pci_passthrough.api import openapi
from pci_passthrough.api import routing
from pci_passthrough.api.schemas import pci_device
from pci_passthrough.api.schemas import pci_flavor
from pci_passthrough.api.schemas import pci_pool

_TITLES = {
    'service': 'The service',
    'pci-flavors': 'PCI flavors',
    'pci-devices': 'Devices',
    'pci-pools': 'Pools',
    'hosts': 'Hosts',
    'refusals': 'Refusals',
    'usages': 'Usages',
}

#: Objects with a section of their own, by their identity in the document.
_NAMED: Mapping[str, Mapping[str, Any]] = {
    'PCI flavor': pci_flavor.SHOWN,
    'Effect': pci_flavor.EFFECT,
    'Device': pci_device.SHOWN,
    'Pool': pci_pool.SHOWN,
}


class ApiReference(rst.Directive):
    """``.. api-reference::``"""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        # Its sources are modules, which Sphinx does not watch.
        self.state.document.settings.env.note_reread()
        lines = statemachine.StringList(
            list(_reference()), 'pci_passthrough.api.routing'
        )
        node = nodes.section(document=self.state.document)
        sphinx_nodes.nested_parse_with_titles(self.state, lines, node)
        return list(node.children)


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx what there is."""
    app.add_directive('api-reference', ApiReference)
    return {'parallel_read_safe': True}


def _reference() -> Iterator[str]:
    document = openapi.document(routing.ROUTES)
    operations = [
        (method.upper(), path, operation)
        for path, methods in document['paths'].items()
        for method, operation in methods.items()
    ]
    tags = list(
        dict.fromkeys(operation['tags'][0] for *_, operation in operations)
    )
    for tag in sorted(tags, key=list(_TITLES).index):
        yield from _title(_TITLES[tag], '=')
        for method, path, operation in operations:
            if operation['tags'] == [tag]:
                yield from _operation(method, path, operation)
    yield from _title('Objects', '=')
    for name, schema in _NAMED.items():
        yield f'.. _api-{nodes.make_id(name)}:'
        yield from _title(name, '-')
        yield from _fields_table(f'Fields of {name}', schema)


def _operation(
    method: str, path: str, operation: Mapping[str, Any]
) -> Iterator[str]:
    yield from _title(f'{method} {path}', '-')
    yield from (operation['summary'], '')
    if 'description' in operation:
        yield from (f'{operation["description"]}.', '')
    else:
        yield from ('No token is needed.', '')
    parameters = [
        (p['name'], p['in'], p['schema'], p.get('description', ''))
        for p in operation['parameters']
        # The header of the microversion is the same everywhere.
        if p['in'] != 'header' or p['name'] == 'If-Match'
    ]
    if parameters:
        yield from _table(
            'Parameters',
            ('Name', 'In', 'Type', 'Meaning'),
            [
                (f'``{name}``', where, _type(schema), text or _meaning(schema))
                for name, where, schema, text in parameters
            ],
        )
    if 'requestBody' in operation:
        [media] = operation['requestBody']['content'].values()
        yield from _fields_table('Body', media['schema'])
    for status, response in operation['responses'].items():
        if int(status) < 400:
            yield from _response(status, response)
    errors = [s for s in operation['responses'] if int(s) >= 400]
    yield from (f'Errors: {", ".join(errors)}.', '')


def _response(status: str, response: Mapping[str, Any]) -> Iterator[str]:
    name = f'Answer {status} ({response["description"]})'
    if 'content' not in response:
        yield from (f'{name}: no body.', '')
        return
    [media] = response['content'].values()
    schema = media['schema']
    for one in schema.get('anyOf', [schema]):
        if _name_of(one):
            yield from (f'{name}: {_type(one)}', '')
        elif one.get('properties'):
            yield from _fields_table(name, one)
        else:
            yield from (f'{name}: JSON.', '')


def _fields_table(title: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield from _table(
        title,
        ('Field', 'Type', 'Required', 'Meaning'),
        list(_fields(schema)),
    )


def _fields(
    schema: Mapping[str, Any], prefix: str = ''
) -> Iterator[tuple[str, ...]]:
    """Return a row for each field, those of objects within included."""
    for name, value in schema.get('properties', {}).items():
        required = 'yes' if name in schema.get('required', ()) else ''
        yield (
            f'``{prefix}{name}``',
            _type(value),
            required,
            _meaning(value),
        )
        inner, path = value, f'{prefix}{name}.'
        for one in value.get('anyOf', ()):
            if 'properties' in one:
                inner = one
        if value.get('type') == 'array':
            inner, path = value['items'], f'{prefix}{name}[].'
        if inner.get('properties') and not _name_of(inner):
            yield from _fields(inner, path)


def _name_of(schema: Mapping[str, Any]) -> str | None:
    return next((n for n, one in _NAMED.items() if one is schema), None)


def _type(schema: Mapping[str, Any]) -> str:
    name = _name_of(schema)
    if name:
        return f':ref:`{name} <api-{nodes.make_id(name)}>`'
    if 'anyOf' in schema:
        kinds = [_type(one) for one in schema['anyOf']]
        return ' or '.join(dict.fromkeys(kinds))
    kinds = schema.get('type', 'any')
    if isinstance(kinds, str):
        kinds = [kinds]
    if kinds == ['array']:
        return f'list of {_type(schema["items"])}'
    found = ' or '.join(kinds)
    if 'format' in schema:
        found = found.replace('string', schema['format'])
    return found


def _meaning(schema: Mapping[str, Any]) -> str:
    """Return what a schema says in words, and its limits."""
    parts = (
        [schema['description'].rstrip('.')] if 'description' in schema else []
    )
    values = schema.get('items', schema).get('enum', ())
    if values:
        named = [f'``{value}``' for value in values if value is not None]
        parts.append(f'one of {", ".join(named)}')
    for key, words in (
        ('minimum', 'at least'),
        ('maximum', 'at most'),
        ('maxLength', 'longest:'),
        ('maxItems', 'most:'),
        ('default', 'default:'),
    ):
        # That a count is not negative, and a word not endless, goes without
        # saying.
        if key in schema and schema[key] not in (0, 255):
            parts.append(f'{words} {schema[key]}')
    for example in itertools.islice(schema.get('examples', ()), 1):
        text = example if isinstance(example, str) else json.dumps(example)
        parts.append(f'example: ``{text}``')
    return '; '.join(parts)


def _title(text: str, line: str) -> Iterator[str]:
    yield from ('', text, line * len(text), '')


def _table(
    title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]
) -> Iterator[str]:
    yield from (f'.. list-table:: {title}', '   :header-rows: 1', '')
    for row in (header, *rows):
        for number, cell in enumerate(row):
            yield f'   {"*" if number == 0 else " "} - {cell}'.rstrip()
    yield ''
