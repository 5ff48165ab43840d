# SPDX-License-Identifier: Apache-2.0
"""The client and the endpoints have the RPC methods as they are declared."""

import inspect
from typing import Any
from typing import Final

from oslo_utils import versionutils
import testtools

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import rpc
from pci_passthrough.rpc import methods
from pci_passthrough.services import endpoint
from pci_passthrough.services import operator_endpoint
from pci_passthrough.services import preparation_endpoint
from pci_passthrough.services import quota_endpoint
from pci_passthrough.tests.unit.rpc import driver

_ENDPOINTS = (
    endpoint.ConductorEndpoint,
    operator_endpoint.OperatorEndpoint,
    preparation_endpoint.PreparationEndpoint,
    quota_endpoint.QuotaEndpoint,
)

#: Public methods of the client that are no calls.
_NO_CALLS: Final = {'close'}

#: Calls whose arguments on the wire are others than the caller's.
_CONVERTED: Final = {
    # A ClaimRequest is sent as an argument for each of its fields.
    'claim',
    # The caller's arguments become one object.
    'note_refusals',
    # oslo.versionedobjects hands over a context.
    'object_backport_versions',
}

_REQUEST = objects.PciRequest(
    request_id='r', count=1, pci_flavors=['10g'], numa_policy=None
)

#: An argument for each type, unless it is a string.
_EXAMPLES: Final[dict[Any, Any]] = {
    int: 7,
    bool: True,
    int | None: 8,
    dict[str, Any]: {'a': 'b'},
    list[objects.PciRequest]: [_REQUEST],
    objects.HostReport: objects.HostReport(host='h'),
    objects.NumaAffinity | None: objects.NumaAffinity(nodes=[0]),
}


def _example(parameter: inspect.Parameter) -> Any:
    """Return an argument that says for which parameter it is."""
    if parameter.annotation in (str, str | None):
        return f'any {parameter.name}'
    if parameter.annotation in (list[str], list[str] | None):
        return [f'any {parameter.name}']
    return _EXAMPLES[parameter.annotation]


def _examples(method: methods.Method[..., Any]) -> dict[str, Any]:
    """Return an argument for each parameter, by its name."""
    return {
        parameter.name: _example(parameter)
        for parameter in method.signature.parameters.values()
    }


def _functions(type_: type[Any]) -> dict[str, Any]:
    """Return the public methods of a class."""
    return {
        name: function
        for name, function in inspect.getmembers(type_, inspect.isfunction)
        if not name.startswith('_')
    }


def _without_self(function: Any) -> inspect.Signature:
    signature = inspect.signature(function)
    _, *parameters = signature.parameters.values()
    return signature.replace(parameters=parameters)


def _forms(signature: inspect.Signature) -> list[tuple[str, Any]]:
    """Return the names and defaults of all parameters."""
    return [(p.name, p.default) for p in signature.parameters.values()]


#: The versions that calls with all arguments require.
_NEEDED = {'adopt': methods.PROJECTS}


class DeclarationTest(testtools.TestCase):
    def test_versions(self) -> None:
        as_numbers = versionutils.convert_version_to_tuple
        newest = as_numbers(methods.VERSION)
        for method in methods.declared().values():
            self.assertTrue((1, 0) <= as_numbers(method.since) <= newest)
        for type_ in _ENDPOINTS:
            self.assertEqual(methods.VERSION, type_.target.version)

    def test_later_version_is_required(self) -> None:
        method = methods.Conductor.offer
        self.assertEqual('1.3', method.requiring('1.3').since)
        self.assertEqual('1.10', method.requiring('1.10').since)
        self.assertEqual(method, method.requiring('1.0'))


class EndpointTest(testtools.TestCase):
    def test_signatures(self) -> None:
        answered = [
            (name, function)
            for type_ in _ENDPOINTS
            for name, function in _functions(type_).items()
        ]
        self.assertEqual(
            sorted(methods.declared()), sorted(name for name, _ in answered)
        )
        for name, function in answered:
            self.assertEqual(
                methods.declared()[name].signature, _without_self(function)
            )


class ClientTest(testtools.TestCase):
    def test_signatures(self) -> None:
        calls = _functions(rpc.ConductorClient)
        self.assertEqual(methods.declared().keys(), calls.keys() - _NO_CALLS)
        for name, method in methods.declared().items():
            if name not in _CONVERTED:
                self.assertEqual(
                    _forms(method.signature),
                    _forms(_without_self(calls[name])),
                )

    def test_each_argument_arrives_under_its_name(self) -> None:
        for name, method in methods.declared().items():
            if name not in _CONVERTED:
                arguments = _examples(method)
                self.assertEqual(
                    (name, _NEEDED.get(name, method.since), arguments),
                    self.sent(name, arguments),
                )

    def test_each_field_of_a_claim_arrives_under_its_name(self) -> None:
        method = methods.Conductor.claim
        self.assertEqual(
            _forms(method.signature),
            _forms(inspect.signature(claims.ClaimRequest)),
        )
        arguments = _examples(method)
        request = claims.ClaimRequest(**arguments)
        self.assertEqual(
            ('claim', methods.PROJECTS, arguments),
            self.sent('claim', {'request': request}),
        )

    def sent(
        self, name: str, arguments: dict[str, Any]
    ) -> tuple[str, str, dict[str, Any]]:
        """Return the name, version and arguments that a call sends."""
        messages: list[dict[str, Any]] = []

        def answer(message: dict[str, Any]) -> Any:
            messages.append(message)
            raise exception.ClaimContended('enough')

        client, _ = driver.client(answer)
        self.assertRaises(
            exception.ClaimContended, getattr(client, name), **arguments
        )
        [message] = messages
        read = objects.PciPassthroughObjectSerializer().deserialize_entity
        return (
            message['method'],
            message['version'],
            {name: read({}, value) for name, value in message['args'].items()},
        )
