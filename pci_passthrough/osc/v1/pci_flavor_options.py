# SPDX-License-Identifier: Apache-2.0
"""Options that say what a PCI flavor is to be like."""

import argparse
from typing import Any

from pci_passthrough.osc import match
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import options

VNIC_TYPES = ('direct', 'macvtap', 'direct-physical', 'vdpa')
NUMA_POLICIES = ('legacy', 'preferred', 'required', 'socket')
STATES = ('active', 'deprecated', 'disabled')

#: What the options of ``create`` and ``set`` are called in the API.
_FIELDS = (
    'match', 'description', 'vnic_type', 'numa_policy', 'state', 'is_public',
)  # fmt: skip


def add_match(parser: argparse.ArgumentParser, **keywords: Any) -> None:
    """Add ``--match``, with keywords of its own."""
    parser.add_argument(
        '--match',
        metavar='<match>',
        action='append',
        type=match.parse,
        **{'help': match.HELP, **keywords},
    )


def add_fields(parser: argparse.ArgumentParser) -> None:
    """Add an option for each other field."""
    parser.add_argument(
        '--description', metavar='<description>', help='a text for users'
    )
    for option, choices, text in (
        (
            'vnic-type',
            VNIC_TYPES,
            'vnic_type of its NICs; without it they get direct',
        ),
        (
            'numa-policy',
            NUMA_POLICIES,
            'how near to the instance a device must be',
        ),
        (
            'state',
            STATES,
            'deprecated: users should take another one; disabled: takes no '
            'new requests, and what holds devices keeps them',
        ),
    ):
        parser.add_argument(
            f'--{option}',
            metavar=f'<{option}>',
            choices=choices,
            help=f'{text} ({", ".join(choices)})',
        )
    public = parser.add_mutually_exclusive_group()
    public.add_argument(
        '--public',
        dest='is_public',
        action='store_true',
        default=None,
        help='for all projects (default for a new one)',
    )
    public.add_argument(
        '--private',
        dest='is_public',
        action='store_false',
        help='for its owner, and for projects that it is shared with',
    )


def add_share(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--share``."""
    parser.add_argument(
        '--share',
        metavar='<project>',
        action='append',
        default=[],
        help=f'{text} (name or UUID; repeat for more than one)',
    )
    options.add_project_domain(parser)


def given(parsed_args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that were given."""
    return {
        name: getattr(parsed_args, name)
        for name in _FIELDS
        if getattr(parsed_args, name) is not None
    }


def projects(
    command: base.Command, parsed_args: argparse.Namespace
) -> list[str]:
    """Return the UUIDs of what ``--share`` names."""
    return [
        command.project_id(name, parsed_args.project_domain)
        for name in parsed_args.share
    ]
