# SPDX-License-Identifier: Apache-2.0
"""Options for the fields of a PCI flavor."""

import argparse
from typing import Any

from pci_passthrough.osc import match
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import options

VNIC_TYPES = ('direct', 'macvtap', 'direct-physical', 'vdpa')
NUMA_POLICIES = ('legacy', 'preferred', 'required', 'socket')
ORIGINS = ('built-in', 'group')
STATES = ('active', 'deprecated', 'disabled')

#: Fields of the API that ``create`` and ``set`` have an option for.
_FIELDS = (
    'match', 'description', 'vnic_type', 'numa_policy', 'state', 'is_public',
    'aggregate_metadata',
)  # fmt: skip


def add_match(parser: argparse.ArgumentParser, **keywords: Any) -> None:
    """Add ``--match``; the keywords override those of ``add_argument``."""
    parser.add_argument(
        '--match',
        metavar='<match>',
        action='append',
        type=match.parse,
        **{'help': match.HELP, **keywords},
    )


def add_fields(parser: argparse.ArgumentParser) -> None:
    """Add the options for all other fields."""
    parser.add_argument(
        '--description', metavar='<description>', help='a text for users'
    )
    for option, choices, text in (
        (
            'vnic-type',
            VNIC_TYPES,
            'vnic_type of the NICs that request the PCI flavor; without it '
            'they get direct',
        ),
        (
            'numa-policy',
            NUMA_POLICIES,
            'NUMA affinity of the devices to the instance',
        ),
        (
            'state',
            STATES,
            'deprecated: users should choose another one; disabled: takes '
            'no new requests, instances keep their devices',
        ),
    ):
        parser.add_argument(
            f'--{option}',
            metavar=f'<{option}>',
            choices=choices,
            help=f'{text} ({", ".join(choices)})',
        )
    parser.add_argument(
        '--aggregate-metadata',
        metavar='<metadata>',
        type=_metadata,
        help='restrict the PCI flavor to the hosts of host aggregates with '
        'this metadata: KEY=VALUE,KEY=VALUE (all of them), or a JSON object, '
        'which also takes lists (any of). It replaces all conditions that '
        'the PCI flavor has; for an administrator',
    )
    options.add_visibility(
        parser,
        public='for all projects (default of a new one)',
        private='for its owner, and for projects that it is shared with',
    )


def _metadata(text: str) -> dict[str, Any]:
    """Parse an argument of ``--aggregate-metadata``.

    :raises argparse.ArgumentTypeError: with an example of a valid one.
    """
    try:
        return match.parse(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f'{text!r} is neither KEY=VALUE,KEY=VALUE with each key once nor '
            'a JSON object; right would be, for example: customer=blue, or '
            '{"customer": ["blue", "red"]}'
        ) from error


def add_share(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--share`` with this help text."""
    parser.add_argument(
        '--share',
        metavar='<project>',
        action='append',
        default=[],
        help=f'{text} (name or UUID; repeat for more than one)',
    )
    options.add_project_domain(parser)


def given(parsed_args: argparse.Namespace) -> dict[str, Any]:
    """Return the values of those fields that the user gave."""
    return options.given(parsed_args, *_FIELDS)


def projects(
    command: base.Command, parsed_args: argparse.Namespace
) -> list[str]:
    """Return the UUIDs of the projects in ``--share``."""
    return [
        command.project_id(name, parsed_args.project_domain)
        for name in parsed_args.share
    ]
