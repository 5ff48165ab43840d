# SPDX-License-Identifier: Apache-2.0
"""Converts a Nova flavor's extra specs to native ones, and back. Pure.

::

    pci_passthrough:pci_flavor = gpu:2

becomes ::

    pci_passthrough:alias = gpu:2
    pci_passthrough_left:pci_passthrough:pci_flavor = gpu:2

The extra specs of before are kept behind a prefix that Nova ignores, so the
way back needs nothing else. An interrupted change leaves extra specs of both
forms, and is completed by the next run.
"""

from collections.abc import Callable
from collections.abc import Mapping

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.nova_plugin import guard
from pci_passthrough.specs import request as request_spec

#: Returns the name of the alias for the name or UUID of a PCI flavor, or
#: raises Obstacle.
AliasOf = Callable[[str], str]

#: Prefix of the extra specs of before. The filters of Nova's scheduler ignore
#: extra specs of an unknown scope.
LEFT = 'pci_passthrough_left:'

#: The longest value of an extra spec in Nova's database.
_MAX_LENGTH = 255


class Obstacle(Exception):
    """A record of Nova cannot be converted.

    :ivar problem: the reason, for operators.
    :ivar remedy: what they can do.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


def is_concerned(specs: Mapping[str, str]) -> bool:
    """Whether extra specs ask for PCI flavors, or did before."""
    return any(_is_ours(key.removeprefix(LEFT)) for key in specs)


def to_native(specs: Mapping[str, str], alias_of: AliasOf) -> dict[str, str]:
    """Return the extra specs that ask for aliases instead of PCI flavors.

    Native extra specs are returned as they are.

    :raises Obstacle: a request has no native equivalent.
    """
    if not any(map(_is_ours, specs)):
        return dict(specs)
    former = _former(specs)
    value = _native_alias(former, alias_of)
    if len(value) > _MAX_LENGTH:
        raise Obstacle(
            f'the value of {guard.ALIAS} would be longer than {_MAX_LENGTH} '
            'characters',
            'use shorter names of PCI flavors',
        )
    others = {key: text for key, text in former.items() if not _is_kept(key)}
    left = {
        f'{LEFT}{key}': text for key, text in former.items() if _is_kept(key)
    }
    return others | left | {guard.ALIAS: value}


def native_name(alternatives: list[str], alias_of: AliasOf) -> str:
    """Return the alias for a request.

    :param alternatives: names or UUIDs of PCI flavors.
    :raises Obstacle: there is none.
    """
    if len(alternatives) > 1:
        raise Obstacle(
            f'asks for the alternatives {"|".join(alternatives)}, and Nova '
            'has no alternatives',
            'ask for one of them; resize instances to a Nova flavor that does',
        )
    return alias_of(alternatives[0])


def to_ours(specs: Mapping[str, str], alias_of: AliasOf) -> dict[str, str]:
    """Return the extra specs as they were before ``to_native``.

    Extra specs that were not converted are returned as they are.

    :raises Obstacle: ``pci_passthrough:alias`` has been changed since.
    """
    if not any(key.startswith(LEFT) for key in specs):
        return dict(specs)
    former = _former(specs)
    if specs.get(guard.ALIAS) not in (
        former.get(guard.ALIAS),
        _native_alias(former, alias_of),
    ):
        raise Obstacle(
            f'{guard.ALIAS} has been changed to {specs.get(guard.ALIAS)}',
            f'set {request_spec.EXTRA_SPEC} and {guard.ALIAS} as they should '
            f'be, and unset the extra specs that begin with {LEFT}',
        )
    return former


def _native_alias(former: Mapping[str, str], alias_of: AliasOf) -> str:
    """Return the value of ``pci_passthrough:alias`` for extra specs.

    :raises Obstacle: a request has no native equivalent.
    """
    native = guard.unmarked(former)
    parts = [native[guard.ALIAS]] if native.get(guard.ALIAS) else []
    named = _alias_names(native)
    for request in _parsed(former):
        name = native_name(request.pci_flavors, alias_of)
        if name in named:
            raise Obstacle(
                f'asks for the alias {name} beside the PCI flavor '
                f'{request.pci_flavors[0]}',
                'give one of the two another name',
            )
        parts.append(f'{name}:{request.count}')
    return ','.join(parts)


def left_requests(specs: Mapping[str, str]) -> list[objects.PciRequest]:
    """Return the requests that ``to_native`` has converted.

    :raises Obstacle: they are malformed.
    """
    return _parsed(
        {
            key.removeprefix(LEFT): text
            for key, text in specs.items()
            if key.startswith(LEFT)
        }
    )


def order_of_deletion(key: str) -> tuple[bool, bool, str]:
    """Return the place of an extra spec among those that are deleted.

    Nova deletes one by one. What the others are restored from is last.
    """
    return key.startswith(LEFT), key == f'{LEFT}{guard.ALIAS}', key


def _former(specs: Mapping[str, str]) -> dict[str, str]:
    """Return the extra specs of before, also of a half-done change."""
    left = {
        key.removeprefix(LEFT): text
        for key, text in specs.items()
        if key.startswith(LEFT)
    }
    current = {
        key: text for key, text in specs.items() if not key.startswith(LEFT)
    }
    if left:
        current.pop(guard.ALIAS, None)
    return left | current


def _parsed(specs: Mapping[str, str]) -> list[objects.PciRequest]:
    try:
        return request_spec.from_extra_specs(specs)
    except exception.InvalidRequest as error:
        raise Obstacle(
            f'its extra specs are malformed: {error.text}', 'correct them'
        ) from error


def _alias_names(specs: Mapping[str, str]) -> set[str]:
    return {
        part.partition(':')[0].strip()
        for part in specs.get(guard.ALIAS, '').split(',')
    }


def _is_ours(key: str) -> bool:
    return key == request_spec.EXTRA_SPEC or key.startswith(
        request_spec.EXTRA_SPEC_PREFIX
    )


def _is_kept(key: str) -> bool:
    return key == guard.ALIAS or _is_ours(key)
