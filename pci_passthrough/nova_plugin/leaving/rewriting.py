# SPDX-License-Identifier: Apache-2.0
"""Goes through Nova's records, and saves those that were converted.

Each record is saved for itself: a Nova flavor, the row of an instance with its
flavor and its requests, the request spec of an instance. What is still to
be converted follows from the records alone, so a run that was interrupted is
completed by the next one.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import functools
import operator
from typing import Any

from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import records
from pci_passthrough.nova_plugin.leaving import conversions
from pci_passthrough.nova_plugin.leaving import extra_specs


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome for one record of Nova.

    :ivar what: ``Nova flavor`` or ``instance``.
    :ivar name: name of the flavor, UUID of the instance.
    :ivar problem: why it was not converted; None if it was or can be.
    :ivar remedy: what an operator can do about the problem.
    """

    what: str
    name: str
    problem: str | None = None
    remedy: str | None = None


def rewrite_flavors(
    conversion: conversions.Conversion, save: bool
) -> Iterator[Outcome]:
    """Convert all Nova flavors.

    :param save: False means that nothing is changed.
    :returns: yields the outcome of each one that is to be converted.
    """
    for flavor in records.flavors():
        yield from _outcome(
            'Nova flavor',
            str(flavor.name),
            functools.partial(_rewrite_flavor, conversion, flavor, save),
        )


def rewrite_instances(
    conversion: conversions.Conversion, save: bool
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
        )


def _outcome(
    what: str, name: str, attempt: Callable[[], bool]
) -> Iterator[Outcome]:
    try:
        if attempt():
            yield Outcome(what, name)
    except extra_specs.Obstacle as obstacle:
        yield Outcome(what, name, obstacle.problem, obstacle.remedy)


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
    spec = records.request_spec_of(instance.uuid)
    owners = [instance] if spec is None else [instance, spec]
    uuid = str(instance.uuid)
    if not any([_convert(conversion, owner, uuid) for owner in owners]):
        return False
    if not save:
        _check_settled(instance)
        return True
    # The list of instances may be older than a move.
    instance = records.refreshed(instance)
    if instance is None:
        return False
    _check_settled(instance)
    if _convert(conversion, instance, uuid):
        instance.save()
    if spec is not None and spec.obj_what_changed():
        spec.save()
    return True


def is_concerned(instance: Any) -> bool:
    """Whether an instance asks for PCI flavors, or did before."""
    held = instance.pci_requests and instance.pci_requests.requests
    return extra_specs.is_concerned(
        requests.extra_specs(instance.flavor)
    ) or bool(requests.for_pci_flavors(held))


def _convert(
    conversion: conversions.Conversion, owner: Any, instance_uuid: str
) -> bool:
    """Convert an instance or a request spec, unsaved.

    :returns: whether anything has changed.
    :raises Obstacle: it cannot be converted.
    """
    before = list((owner.pci_requests and owner.pci_requests.requests) or ())
    after = conversion.requests(before, owner.flavor)
    specs = dict(requests.extra_specs(owner.flavor))
    wanted = conversion.extra_specs(specs)
    are_same = all(map(operator.is_, before, after))
    if are_same and wanted == specs:
        return False
    owner.flavor.extra_specs = wanted
    if not are_same:
        owner.pci_requests = records.pci_requests(instance_uuid, after)
    return True


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
        held = instance.pci_requests and instance.pci_requests.requests
        for request in requests.for_pci_flavors(held):
            uuids = requests.to_pci_request(request).pci_flavors
            if len(uuids) == 1:
                asked[instance.uuid, request.request_id] = uuids[0]
    return asked
