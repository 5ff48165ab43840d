# SPDX-License-Identifier: Apache-2.0
"""Checking the fields of a PCI flavor. Nothing is read or written.

Values that some database could not store, or would store differently than
another, are refused here.
"""

from collections.abc import Mapping
import json
from typing import Any

from oslo_utils import uuidutils

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.specs import aggregate_metadata
from pci_passthrough.specs import pci_flavor as pci_flavor_spec

#: Bytes that MariaDB's TEXT holds.
_MOST_BYTES = 65535

_HIGHEST_GENERATION = 2**31 - 1

#: Fields that a caller may set.
SETTABLE = frozenset(
    {
        'name',
        'description',
        'match',
        'vnic_type',
        'numa_policy',
        'is_public',
        'access',
        'state',
        'aggregate_metadata',
    }
)


def new(
    name: str, project_id: str | None, values: Mapping[str, Any]
) -> objects.PciFlavor:
    """Return a PCI flavor that is not in the database yet.

    :param project_id: the owner; None means the operator.
    :param values: ``match`` and any other settable fields.
    :raises: InvalidPciFlavor
    """
    flavor = objects.PciFlavor(
        uuid=uuidutils.generate_uuid(),
        match=[],
        generation=1,
        created_at=None,
        updated_at=None,
        description=None,
        vnic_type=None,
        numa_policy=None,
        is_public=True,
        access=[],
        state=fields.PciFlavorState.ACTIVE,
        origin=None,
        aggregate_metadata=None,
    )
    # Only here the owner can be set.
    flavor = _replaced(flavor, 'project_id', project_id)
    return changed(flavor, {**values, 'name': name})


def changed(
    flavor: objects.PciFlavor, changes: Mapping[str, Any]
) -> objects.PciFlavor:
    """Return a PCI flavor with changed values, all of them checked.

    :raises: InvalidPciFlavor
    """
    for field, value in changes.items():
        if field not in SETTABLE:
            raise exception.InvalidPciFlavor(
                str(field), 'it cannot be set', ', '.join(sorted(SETTABLE))
            )
        flavor = _replaced(flavor, field, value)
    owner = [] if flavor.project_id is None else [flavor.project_id]
    for key, projects in (('access', flavor.access), ('project_id', owner)):
        for project_id in projects:
            check_project(key, project_id)
    pci_flavor_spec.validate_name(flavor.name)
    pci_flavor_spec.MatchExpression.parse(flavor.match)
    _check_text('description', flavor.description or '')
    _check_text('match', json.dumps(flavor.match))
    aggregate_metadata.parse(flavor.aggregate_metadata)
    _check_text(
        aggregate_metadata.FIELD, json.dumps(flavor.aggregate_metadata)
    )
    return flavor


def _replaced(
    flavor: objects.PciFlavor, field: str, value: Any
) -> objects.PciFlavor:
    try:
        after = flavor.replace(**{field: value})
        # The fields would convert a number to text, and any text to true.
        if field != 'match' and (
            getattr(after, field) != value
            or isinstance(value, bool) != (field == 'is_public')
        ):
            raise ValueError(f'{value!r} is of the wrong type')
        return after
    except (ValueError, TypeError) as error:
        example = {
            'match': '[{"vendor_id": "8086", "e.group": "10g"}]',
            'vnic_type': 'one of ' + ', '.join(fields.VnicType.ALL),
            'numa_policy': 'one of ' + ', '.join(fields.NumaPolicy.ALL),
            'state': 'one of ' + ', '.join(fields.PciFlavorState.ALL),
            aggregate_metadata.FIELD: '{"customer": "blue"}',
        }.get(field, "a value of the field's type")
        raise exception.InvalidPciFlavor(field, str(error), example) from error


def _check_text(key: str, text: str) -> None:
    """Check that every database can store a text."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        reason = 'half of a surrogate pair is not a character'
    else:
        if '\0' not in text and size <= _MOST_BYTES:
            return
        reason = 'a NUL character cannot be stored'
        if size > _MOST_BYTES:
            reason = f'{size} bytes are too many, {_MOST_BYTES} can be stored'
    raise exception.InvalidPciFlavor(key, reason, 'a GPU of 80 GiB')


def check_generation(generation: object) -> None:
    """Check that a value can be the generation of a PCI flavor.

    :raises: InvalidPciFlavor
    """
    if generation is not None and (
        not isinstance(generation, int)
        or isinstance(generation, bool)
        or not 1 <= generation <= _HIGHEST_GENERATION
    ):
        raise exception.InvalidPciFlavor(
            'generation',
            f'{str(generation)[:40]!r} is not a number that a PCI flavor has',
            '3',
        )


def check_project(key: str, project_id: str) -> None:
    """Check that a text can be the id of a project.

    :raises: InvalidPciFlavor
    """
    if (
        not 1 <= len(project_id) <= 255
        or not project_id.isprintable()
        or project_id != project_id.strip()
    ):
        raise exception.InvalidPciFlavor(
            key,
            f'{project_id!r} is not the id of a project: it has to have 1 '
            'to 255 printable characters, none of them a blank at an end',
            'd7a1c0e2f3b44a5f9e6b8c7d6e5f4a3b',
        )
