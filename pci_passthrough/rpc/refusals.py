# SPDX-License-Identifier: Apache-2.0
"""The call about hosts that nova-scheduler refused."""

from collections.abc import Collection
from collections.abc import Mapping

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.rpc import caller
from pci_passthrough.rpc import methods
from pci_passthrough.rpc import older_conductors

#: Most hosts that are named for each reason of a refusal.
_MOST_HOSTS = 20


class RefusalCalls(caller.Caller):
    """The part of ``ConductorClient`` for nova-scheduler's refusals."""

    def note_refusals(
        self,
        instance_uuid: str,
        summary: str,
        refused: Mapping[claims.FailedCondition, Collection[str]],
        requests: str,
        project_id: str | None = None,
        passed: int | None = None,
    ) -> None:
        """Have a conductor record why hosts were refused; return at once.

        A refusal that cannot be delivered is lost, which is logged.

        :param summary: one line, of ``claims.summarize_hosts``.
        :param refused: of ``SupplySnapshot.refused``. Some hosts are named
            for each condition, all are counted.
        :param requests: the requests, as people write them.
        :param project_id: the instance's project; None means unknown.
        :param passed: how many hosts could serve; None means unknown.
        """
        conditions = sorted(refused)
        refusal = objects.SchedulingRefusal(
            instance_uuid=instance_uuid,
            summary=summary,
            reasons=[
                [
                    failed.text,
                    len(refused[failed]),
                    sorted(refused[failed])[:_MOST_HOSTS],
                ]
                for failed in conditions
            ],
            conditions=[failed.condition for failed in conditions],
            pci_flavors=[failed.pci_flavor for failed in conditions],
            project_id=project_id,
            passed=passed,
            requests=requests,
            created_at=None,
        )
        self._outbox.put(
            methods.Conductor.note_refusals.name,
            lambda: older_conductors.send(
                lambda sent: self._call(methods.Conductor.note_refusals, sent),
                refusal,
            ),
        )
