# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have."""

import argparse
from collections.abc import Mapping
from typing import Any

from osc_lib.cli import parseractions

#: ``add_argument``'s keywords by the name of an option. The name is also that
#: of the query's parameter, unless the keywords have another ``dest``.
QueryOptions = Mapping[str, Mapping[str, Any]]


def at_least_one(text: str) -> int:
    """Parse an argument that is a number of devices, or of items.

    :raises argparse.ArgumentTypeError: the number is less than one.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not 1 or more')
    return int(text)


def add_paging(parser: argparse.ArgumentParser, marker: str) -> None:
    """Add ``--limit`` and ``--marker``.

    :param marker: the field that identifies an item.
    """
    parser.add_argument(
        '--limit',
        metavar='<limit>',
        type=at_least_one,
        help='show at most this many (default: all)',
    )
    parser.add_argument(
        '--marker',
        metavar='<marker>',
        help=f'start after this item ({marker})',
    )


def add_query_options(
    parser: argparse.ArgumentParser, query_options: QueryOptions
) -> None:
    """Add the options of a list that become parameters of the query."""
    for name, keywords in query_options.items():
        option = name.replace('_', '-')
        parser.add_argument(
            f'--{option}',
            **{'metavar': f'<{option}>', 'dest': name, **keywords},
        )


def given(parsed_args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return the values of those options that the user gave."""
    return {
        name: value
        for name in names
        if (value := getattr(parsed_args, name)) is not None
    }


def query(
    parsed_args: argparse.Namespace, query_options: QueryOptions
) -> dict[str, Any]:
    """Return the query of a list, with those options that the user gave."""
    return given(
        parsed_args,
        *(
            keywords.get('dest', name)
            for name, keywords in query_options.items()
        ),
        'marker',
    )


def add_pci_flavor(parser: argparse.ArgumentParser) -> None:
    """Add the PCI flavor that a command is for."""
    parser.add_argument(
        'pci_flavor', metavar='<pci-flavor>', help='name or UUID'
    )


def add_visibility(
    parser: argparse.ArgumentParser, public: str, private: str
) -> None:
    """Add ``--public`` and ``--private``.

    :param public: help of ``--public``
    :param private: help of ``--private``
    """
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        '--public',
        dest='is_public',
        action='store_true',
        default=None,
        help=public,
    )
    group.add_argument(
        '--private', dest='is_public', action='store_false', help=private
    )


def add_project_domain(parser: argparse.ArgumentParser) -> None:
    """Add ``--project-domain``."""
    parser.add_argument(
        '--project-domain',
        metavar='<project-domain>',
        help='domain (name or ID) of the projects that are given by name, if '
        'the names are not unique',
    )


def add_effect(
    parser: argparse.ArgumentParser, force: str | None = None
) -> None:
    """Add ``--dry-run`` and, if it has a help text, ``--force``.

    :param force: help of ``--force``; None means that there is no such
        option.
    """
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='change nothing; show which devices would be gained and lost, '
        'which instances would be affected, and whether the change would be '
        'refused',
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
        help='number of devices in one request, all on one host (default: 1)',
    )


#: ``add_argument``'s keywords of the option for a NUMA node.
NUMA_NODE: Mapping[str, Any] = {
    'type': int,
    'action': parseractions.NonNegativeAction,
    'help': 'only those at this NUMA node',
}
