# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have."""

import argparse
from collections.abc import Mapping
from typing import Any

from osc_lib.cli import parseractions


def at_least_one(text: str) -> int:
    """Turn an argument into a number of devices, or of items.

    :raises argparse.ArgumentTypeError: if it is less than one.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not 1 or more')
    return int(text)


def add_paging(parser: argparse.ArgumentParser, marker: str) -> None:
    """Add ``--limit`` and ``--marker``.

    :param marker: what it is that names an item.
    """
    parser.add_argument(
        '--limit',
        metavar='<limit>',
        type=at_least_one,
        help='show at most so many (default: all)',
    )
    parser.add_argument(
        '--marker',
        metavar='<marker>',
        help=f'begin after this one: {marker} of the last that was shown',
    )


def add_long(parser: argparse.ArgumentParser) -> None:
    """Add ``--long``."""
    parser.add_argument(
        '--long', action='store_true', help='show more columns'
    )


def add_filters(
    parser: argparse.ArgumentParser, filters: Mapping[str, Mapping[str, Any]]
) -> None:
    """Add options that narrow a list down.

    :param filters: ``add_argument``'s keywords by the option's name; what it
        is called in the query is ``dest``, if that is not the same.
    """
    for name, keywords in filters.items():
        option = name.replace('_', '-')
        words = {'metavar': f'<{option}>', 'dest': name, **keywords}
        parser.add_argument(f'--{option}', **words)


def query(
    parsed_args: argparse.Namespace,
    filters: Mapping[str, Mapping[str, Any]],
    *others: str,
) -> dict[str, Any]:
    """Return filters and marker that were given.

    :param others: more of what the query may have.
    """
    names = [words.get('dest', name) for name, words in filters.items()]
    found = {
        name: getattr(parsed_args, name)
        for name in (*names, 'marker', *others)
    }
    return {name: value for name, value in found.items() if value is not None}


def add_project_domain(parser: argparse.ArgumentParser) -> None:
    """Add ``--project-domain``."""
    parser.add_argument(
        '--project-domain',
        metavar='<project-domain>',
        help='domain of the projects that are given by name (name or ID), in '
        'case that the names are not unique',
    )


def add_effect(
    parser: argparse.ArgumentParser, force: str | None = None
) -> None:
    """Add ``--dry-run``, and ``--force``.

    :param force: what it does, if there is something to force.
    """
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='change nothing; show which devices would be gained and lost, '
        'whose devices would be concerned, and whether it would be refused',
    )
    if force:
        parser.add_argument('--force', action='store_true', help=force)


def add_count(parser: argparse.ArgumentParser) -> None:
    """Add ``--count``."""
    parser.add_argument(
        '--count',
        metavar='<count>',
        type=at_least_one,
        default=1,
        help='how many devices one request wants, all on one host '
        '(default: 1)',
    )


#: ``add_argument``'s keywords for a filter that is a NUMA node.
NUMA_NODE: Mapping[str, Any] = {
    'type': int,
    'action': parseractions.NonNegativeAction,
    'help': 'only those at this NUMA node',
}
