# SPDX-License-Identifier: Apache-2.0
"""The description of one route of the REST API."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses

from werkzeug import wrappers

from pci_passthrough.api import microversion
from pci_passthrough.api.schemas.base import Schema

#: Gets the request, and the path's parameters by name.
Handler = Callable[..., wrappers.Response]


@dataclasses.dataclass(frozen=True, eq=False)
class Route:
    """One route of the REST API.

    :ivar path: the path, with parameters in braces, as in OpenAPI.
    :ivar rule: the policy that the application checks before it calls the
        handler. None means that the route does not even need a token.
    :ivar answers: the schema of the body for each status; None means that
        there is no body.
    :ivar errors: the statuses of errors that only some routes have.
    :ivar query: the schema of each parameter of the query.
    :ivar body: the schema of the body; None means that there is none.
    :ivar since: the microversion with which the route came.
    :ivar dry_run: the handler for ``?dry_run=true``, which changes nothing;
        None means that the route has no dry run.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    rule: str | None
    answers: Mapping[int, Schema | None]
    errors: tuple[int, ...] = ()
    query: Mapping[str, Schema] = dataclasses.field(default_factory=dict)
    body: Schema | None = None
    dry_run: Handler | None = None
    since: str = microversion.MIN

    @property
    def operation_id(self) -> str:
        """The route's name in the OpenAPI document."""
        noun = self.handler.__module__.rpartition('.')[2]
        return f'{noun}_{self.handler.__name__}'

    @property
    def has_precondition(self) -> bool:
        """Whether a request can name the state that its change is based on."""
        return 412 in self.errors

    @property
    def tag(self) -> str:
        """The route's part of the OpenAPI document."""
        return self.path.split('/')[2] if self.rule else 'service'
