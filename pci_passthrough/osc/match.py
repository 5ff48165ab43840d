# SPDX-License-Identifier: Apache-2.0
"""Match expressions in the form of ``--match``. Pure."""

import argparse
from collections.abc import Mapping
import json
from typing import Any

HELP = (
    'what a device must be: KEY=VALUE,KEY=VALUE (all of them), or a JSON '
    'object, which also takes lists (any of). Keys: vendor_id, product_id, '
    'subsystem_vendor_id, subsystem_id, class, dev_type, driver, numa_node, '
    'vgpu_type, resource_type, e.TAG for extra info. Repeat it for '
    'alternatives'
)


def parse(text: str) -> dict[str, Any]:
    """Parse an argument of ``--match`` into a term of the expression.

    :raises argparse.ArgumentTypeError: with an example of a valid term.
    """
    if text.lstrip().startswith('{'):
        try:
            return dict(json.loads(text, object_pairs_hook=_unique))
        except (ValueError, RecursionError) as error:
            raise argparse.ArgumentTypeError(
                f'{text!r} is not a JSON object: {error}; right would be, '
                'for example: {"vendor_id": "8086", "e.group": ["10g", "25g"]}'
            ) from error
    pairs = [pair.partition('=') for pair in text.split(',')]
    try:
        term = _unique([(key.strip(), value) for key, _, value in pairs])
    except ValueError:
        term = {}
    if '' in term or not all(equals for _, equals, _ in pairs) or not term:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not KEY=VALUE,KEY=VALUE with each key once; right '
            'would be, for example: vendor_id=8086,e.group=10g'
        )
    return term


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    term = dict(pairs)
    if len(term) < len(pairs):
        raise ValueError('a key is given twice')
    return term


def format_term(term: Mapping[str, Any]) -> str:
    """Return the shortest text that :func:`parse` turns into a term."""
    short = ','.join(f'{key}={value}' for key, value in term.items())
    try:
        same = parse(short) == term
    except argparse.ArgumentTypeError:
        same = False
    return short if same else json.dumps(term, ensure_ascii=False)
