# SPDX-License-Identifier: Apache-2.0
"""Counts the calls that a conductor answers, for Prometheus.

Metrics that are read from the database at each scrape are in
``metrics_census``.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import functools
import time
from typing import Concatenate
from typing import Final
from typing import ParamSpec
from typing import Protocol
from typing import TypeVar

from prometheus_client import core
from prometheus_client import registry

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import report as report_obj
from pci_passthrough.services import metrics_memory

_C = fields.RefusalCondition
_P = ParamSpec('_P')

#: Outcomes of claims: ``contended`` lost every race against other claims,
#: ``failed`` ended with any other error.
OUTCOMES: Final = ('claimed', 'refused', 'failed', 'contended')

#: Upper bounds, in seconds. A claim takes some milliseconds; while the
#: database is down, it fails after about ten seconds.
BUCKETS: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    15.0,
)

#: Conditions of refusals; ``other`` also counts conditions that this release
#: does not know. ``elsewhere`` is one of the scheduler's only.
CONDITIONS: Final = (*_C.ALL, _C.OTHER)
_OF_SCHEDULER: Final = (*CONDITIONS, _C.ELSEWHERE)

REPORT_KINDS: Final = ('full', 'changes')

_CLAIMS = 'claims'
_CLAIM_SECONDS = 'claim seconds'
_CLAIM_REFUSALS = 'claim refusals'
_SCHEDULING_REFUSALS = 'scheduling refusals'
_REPORTS = 'reports'

#: Each count to its place in ``SharedNumbers``. The last bucket of claims has
#: no upper bound.
_PLACES: Final = {
    key: place
    for place, key in enumerate(
        [
            *(
                (_CLAIMS, outcome, bucket)
                for outcome in OUTCOMES
                for bucket in range(len(BUCKETS) + 1)
            ),
            *((_CLAIM_SECONDS, outcome) for outcome in OUTCOMES),
            *((_CLAIM_REFUSALS, condition) for condition in CONDITIONS),
            *((_SCHEDULING_REFUSALS, c) for c in _OF_SCHEDULER),
            *((_REPORTS, kind) for kind in REPORT_KINDS),
        ]
    )
}


_COUNTERS: Final = (
    (
        _CLAIM_REFUSALS,
        'pci_passthrough_claim_refusals',
        'Claims that were refused, by the condition that failed. A claim with '
        'several requests may count under several conditions, once under '
        'each.',
        'condition',
    ),
    (
        _SCHEDULING_REFUSALS,
        'pci_passthrough_scheduling_refusals',
        'Scheduling requests of Nova in which a host was refused, by the '
        'condition that failed, however many hosts there were. The others may '
        'have served the request.',
        'condition',
    ),
    (
        _REPORTS,
        'pci_passthrough_reports_applied',
        'Reports of hosts that were applied: full, or changes only. '
        'Heartbeats do not count.',
        'kind',
    ),
)


class Observations(registry.Collector):
    """Counts of one conductor, over all of its processes. Thread-safe.

    To be created before the workers are forked.

    :param processes: how many processes may count at a time.
    """

    def __init__(self, processes: int = 1) -> None:
        self._numbers = metrics_memory.SharedNumbers(len(_PLACES), processes)

    def claim(
        self, outcome: str, seconds: float, conditions: Iterable[str] = ()
    ) -> None:
        """Count a claim.

        :param outcome: one of ``OUTCOMES``.
        :param conditions: the failed conditions of a refused claim.
        """
        bucket = sum(seconds > bound for bound in BUCKETS)
        refusals = {
            _PLACES[_CLAIM_REFUSALS, _known(condition)]: 1.0
            for condition in conditions
        }
        self._numbers.add(
            {
                _PLACES[_CLAIMS, outcome, bucket]: 1.0,
                _PLACES[_CLAIM_SECONDS, outcome]: seconds,
            }
            | refusals
        )

    def report(
        self, report: objects.HostReport, ack: objects.ReportAck
    ) -> None:
        """Count a report, if it was applied."""
        if ack.wanted == report_obj.Wanted.NOTHING:
            kind = REPORT_KINDS[0 if report.is_full else 1]
            self._numbers.add({_PLACES[_REPORTS, kind]: 1.0})

    def scheduling_refusal(self, refusal: objects.SchedulingRefusal) -> None:
        """Count why the scheduler refused hosts, each condition once.

        Schedulers of earlier releases send no conditions.
        """
        unknown = [_C.OTHER] * len(refusal.reasons)
        self._numbers.add(
            {
                _PLACES[
                    _SCHEDULING_REFUSALS, _known(condition, _OF_SCHEDULER)
                ]: 1.0
                for condition in refusal.get('conditions', unknown)
            }
        )

    def collect(self) -> Iterator[core.Metric]:
        """Return the metrics; prometheus_client calls it at each scrape."""
        totals = self._numbers.totals()
        yield _claims(totals)
        for key, name, text, label in _COUNTERS:
            counter = core.CounterMetricFamily(name, text, labels=[label])
            for kind, *value in _PLACES:
                if kind == key:
                    total = totals[_PLACES[kind, *value]]
                    counter.add_metric([str(value[0])], total)
            yield counter


def _claims(totals: Sequence[float]) -> core.Metric:
    family = core.HistogramMetricFamily(
        'pci_passthrough_claim_duration_seconds',
        'Time that a conductor took to answer a claim. Outcome: claimed; '
        'refused, not enough free devices; contended, other claims were '
        'faster in every try; failed, any other error, such as a database '
        'that does not answer.',
        labels=['outcome'],
    )
    bounds = [*(str(bound) for bound in BUCKETS), '+Inf']
    for outcome in OUTCOMES:
        count = 0.0
        buckets: list[tuple[str, float]] = []
        for bucket, bound in enumerate(bounds):
            count += totals[_PLACES[_CLAIMS, outcome, bucket]]
            buckets.append((bound, count))
        seconds = totals[_PLACES[_CLAIM_SECONDS, outcome]]
        family.add_metric([outcome], buckets, seconds)
    return family


def _known(condition: str, conditions: Sequence[str] = CONDITIONS) -> str:
    return condition if condition in conditions else _C.OTHER


class Observing(Protocol):
    """An endpoint whose claims are counted."""

    observations: Observations


_S = TypeVar('_S', bound=Observing)
_Claim = Callable[Concatenate[_S, _P], objects.ClaimResult]


def observed_claim(method: _Claim[_S, _P]) -> _Claim[_S, _P]:
    """Count each call of a method as a claim, with its outcome."""

    @functools.wraps(method)
    def wrapper(
        self: _S, /, *args: _P.args, **kwargs: _P.kwargs
    ) -> objects.ClaimResult:
        outcome = 'failed'
        conditions: set[str] = set()
        begin = time.perf_counter()
        try:
            result = method(self, *args, **kwargs)
            outcome = 'claimed' if result.refusal is None else 'refused'
            conditions = {str(reason.condition) for reason in result.reasons}
        except exception.ClaimContended:
            outcome = 'contended'
            raise
        finally:
            seconds = time.perf_counter() - begin
            self.observations.claim(outcome, seconds, conditions)
        return result

    return wrapper
