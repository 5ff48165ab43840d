# SPDX-License-Identifier: Apache-2.0
"""Arguments that several commands have."""

import argparse
import uuid

from oslo_utils import uuidutils


def instance_uuid(text: str) -> str:
    """Return an instance's UUID in the form that Nova uses.

    :raises argparse.ArgumentTypeError: the text is no UUID.
    """
    if not uuidutils.is_uuid_like(text):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not the UUID of an instance'
        )
    return str(uuid.UUID(text))


def add_instance(parser: argparse.ArgumentParser) -> None:
    """Add the instance that a command is for."""
    parser.add_argument(
        'instance', type=instance_uuid, help="the instance's UUID"
    )


def add_nova_conf(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--nova-conf`` and ``--nova-conf-dir``, see ``conf_files.find``.

    :param text: the help of ``--nova-conf``.
    """
    parser.add_argument(
        '--nova-conf', action='append', default=[], metavar='FILE', help=text
    )
    parser.add_argument(
        '--nova-conf-dir',
        action='append',
        default=[],
        metavar='DIR',
        help='directory whose *.conf files are read after the files of '
        '--nova-conf; may be repeated',
    )
