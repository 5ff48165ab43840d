# SPDX-License-Identifier: Apache-2.0
"""Goes through Nova's records, and saves those that were converted.

Each record is saved for itself: a Nova flavor, the row of an instance with its
flavor and its requests, the request spec of an instance. What is still to
be converted follows from the records alone, so a run that was interrupted is
completed by the next one.

A request spec may be that of another flavor or have the NIC of a port that is
gone, see ``request_specs``. So it is not converted, but made of the instance.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import functools
import itertools
import operator
from typing import Any

from pci_passthrough.nova_plugin import needs
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import records
from pci_passthrough.nova_plugin.compat import scheduling
from pci_passthrough.nova_plugin.leaving import conversions
from pci_passthrough.nova_plugin.leaving import extra_specs
from pci_passthrough.nova_plugin.leaving import nics

Failures = tuple[type[Exception], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome for one record of Nova.

    :ivar what: ``Nova flavor``, ``server`` or ``instance``.
    :ivar name: name of the flavor, UUID of the server or instance.
    :ivar problem: why it was not converted; None if it was or can be.
    :ivar remedy: what an operator can do about the problem.
    """

    what: str
    name: str
    problem: str | None = None
    remedy: str | None = None


def rewrite_flavors(
    conversion: conversions.Conversion, save: bool, failures: Failures = ()
) -> Iterator[Outcome]:
    """Convert all Nova flavors.

    :param save: False means that nothing is changed.
    :param failures: exceptions of the database, which end the attempt of one
        record, like Nova's own, and not the run.
    :returns: yields the outcome of each one that is to be converted.
    """
    for flavor in records.flavors():
        yield from _outcome(
            'Nova flavor',
            str(flavor.name),
            functools.partial(_rewrite_flavor, conversion, flavor, save),
            failures,
        )


def in_creation() -> Iterator[Outcome]:
    """Yield the servers that ask for PCI flavors and are no instances yet.

    Call it before ``rewrite_instances``, which finds those that have become
    instances since.
    """
    for instance in records.building():
        if requests.ask_for_pci_flavors((instance,), (instance,)):
            yield Outcome(
                'server',
                str(instance.uuid),
                'is being created',
                'wait, then repeat the command',
            )


def rewrite_instances(
    conversion: conversions.Conversion, save: bool, failures: Failures = ()
) -> Iterator[Outcome]:
    """Convert all instances and their request specs; as ``rewrite_flavors``.

    Call it after ``rewrite_flavors``: an instance that is created or resized
    meanwhile gets a copy of a Nova flavor.
    """
    for instance in records.instances():
        yield from _outcome(
            'instance',
            str(instance.uuid),
            functools.partial(_rewrite_instance, conversion, instance, save),
            failures,
        )


def _outcome(
    what: str, name: str, attempt: Callable[[], bool], failures: Failures
) -> Iterator[Outcome]:
    try:
        if attempt():
            yield Outcome(what, name)
    except extra_specs.Obstacle as obstacle:
        yield Outcome(what, name, obstacle.problem, obstacle.remedy)
    except (records.NovaException, *failures) as error:
        yield Outcome(
            what,
            name,
            f'Nova failed: {type(error).__name__}: {error}',
            'repeat the command',
        )


def _rewrite_flavor(
    conversion: conversions.Conversion, flavor: Any, save: bool
) -> bool:
    """Convert a Nova flavor; return whether it was to be converted."""
    before = dict(flavor.extra_specs)
    after = conversion.extra_specs(before)
    if after == before:
        return False
    if save:
        # Nova adds all in one transaction, then deletes one by one.
        flavor.save_extra_specs(
            {k: v for k, v in after.items() if before.get(k) != v},
            sorted(
                before.keys() - after.keys(),
                key=extra_specs.order_of_deletion,
            ),
        )
    return True


def _rewrite_instance(
    conversion: conversions.Conversion, instance: Any, save: bool
) -> bool:
    """Convert an instance and its request spec; as ``_rewrite_flavor``."""
    if not is_concerned(instance):
        return False
    if save:
        # The list of instances may be older than a move.
        instance = records.refreshed(instance)
        if instance is None:
            return False
    changes = _changes(conversion, instance)
    if not changes:
        return False
    _check_settled(instance)
    if save:
        for save_one in changes:
            save_one()
    return True


def is_concerned(instance: Any) -> bool:
    """Whether an instance asks for PCI flavors, or did before."""
    return extra_specs.is_concerned(
        requests.extra_specs(instance.flavor)
    ) or any(
        requests.is_for_pci_flavor(request) or nics.is_left(request)
        for request in _requests_of(instance)
    )


def _changes(
    conversion: conversions.Conversion, instance: Any
) -> list[Callable[[], None]]:
    """Convert an instance and its request spec.

    :returns: what saves those of the two that have changed.
    :raises Obstacle: the instance cannot be converted.
    """
    changes = []
    held = instance.pci_requests
    if _convert(conversion, instance):
        changes.append(
            functools.partial(records.save_flavor, instance)
            if instance.pci_requests is held
            else instance.save
        )
    spec = records.request_spec_of(instance.uuid)
    if spec is not None and _follow(spec, instance):
        changes.append(spec.save)
    return changes


def _convert(conversion: conversions.Conversion, instance: Any) -> bool:
    """Convert an instance, unsaved.

    :returns: whether anything has changed.
    :raises Obstacle: it cannot be converted.
    """
    before = _requests_of(instance)
    after = conversion.requests(before, instance)
    specs = dict(requests.extra_specs(instance.flavor))
    wanted = conversion.extra_specs(specs)
    are_same = len(before) == len(after) and all(
        map(operator.is_, before, after)
    )
    if are_same and wanted == specs:
        return False
    instance.flavor.extra_specs = wanted
    if not are_same:
        instance.pci_requests = records.pci_requests(instance.uuid, after)
    return True


def _follow(spec: Any, instance: Any) -> bool:
    """Give a request spec the flavor and the requests of its instance.

    Nova's requests for ports stay those of the spec, as in a move.

    :returns: whether anything has changed; it is not saved.
    """
    is_changed = True
    if spec.flavor.id != instance.flavor.id:
        scheduling.set_flavor(spec, instance)
    elif requests.extra_specs(spec.flavor) != requests.extra_specs(
        instance.flavor
    ):
        spec.flavor = instance.flavor
    else:
        is_changed = False
    before = _requests_of(spec)
    after = [
        *filter(_is_for_native_port, before),
        *itertools.filterfalse(_is_for_native_port, _requests_of(instance)),
    ]
    if not needs.ask_alike(before, after):
        spec.pci_requests = records.pci_requests(instance.uuid, after)
        is_changed = True
    return is_changed


def _is_for_native_port(request: Any) -> bool:
    """Whether Nova made a request for a port, without a PCI flavor."""
    return request.alias_name is None and not (
        requests.is_for_pci_flavor(request) or nics.is_left(request)
    )


def _requests_of(owner: Any) -> list[Any]:
    return list((owner.pci_requests and owner.pci_requests.requests) or ())


def _check_settled(instance: Any) -> None:
    """Check that Nova does not write the instance's requests meanwhile.

    :raises Obstacle: the instance is being changed, moved or resized.
    """
    if records.is_moving(instance):
        raise extra_specs.Obstacle(
            f'is in state {instance.vm_state}, task {instance.task_state}',
            'confirm or revert the resize, or wait; then repeat the command',
        )


def pci_flavors_of(instances: Iterable[Any]) -> dict[tuple[str, str], str]:
    """Return the PCI flavors that the requests of instances ask for.

    :returns: UUID of the instance and id of the request, to the UUID of the
        PCI flavor; without requests that have alternatives.
    """
    asked = {}
    for instance in instances:
        for request in requests.for_pci_flavors(_requests_of(instance)):
            uuids = requests.to_pci_request(request).pci_flavors
            if len(uuids) == 1:
                asked[instance.uuid, request.request_id] = uuids[0]
    return asked
