# SPDX-License-Identifier: Apache-2.0
"""What is known of one thing that can be asked."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses

from werkzeug import wrappers

from pci_passthrough.api.schemas.base import Schema


@dataclasses.dataclass(frozen=True, eq=False)
class Route:
    """One thing that can be asked.

    :ivar path: with parameters in braces, as in OpenAPI.
    :ivar handler: gets the request, and the path's parameters by name.
    :ivar rule: the policy without which the handler is not called; None: not
        even a token is needed.
    :ivar answers: status to the schema of the body; None: no body.
    :ivar errors: statuses of errors that only some routes know; those that
        each may have are not repeated.
    :ivar query: parameter to schema.
    :ivar body: schema; None: there is none.
    """

    method: str
    path: str
    handler: Callable[..., wrappers.Response]
    summary: str
    rule: str | None
    answers: Mapping[int, Schema | None]
    errors: tuple[int, ...] = ()
    query: Mapping[str, Schema] = dataclasses.field(default_factory=dict)
    body: Schema | None = None

    @property
    def operation_id(self) -> str:
        """Its name in the OpenAPI document."""
        noun = self.handler.__module__.rpartition('.')[2]
        return f'{noun}_{self.handler.__name__}'

    @property
    def has_precondition(self) -> bool:
        """Whether the change can be bound to what was read before."""
        return 412 in self.errors

    @property
    def tag(self) -> str:
        """The part of the OpenAPI document that it is in."""
        return self.path.split('/')[2] if self.rule else 'service'
