# SPDX-License-Identifier: Apache-2.0
"""Conductors that hang: they keep what the broker gives them."""

import uuid

from pci_passthrough import claims
from pci_passthrough.store.devices import lookup
from pci_passthrough.tests.functional.services import base

_HOST = 'compute-1'

#: Of nova-compute, by default.
_RPC_TIMEOUT = 10


class HangingConductorTest(base.ServicesTestCase):
    def test_claims_are_answered_by_the_other_one(self) -> None:
        """Within the timeout of one call, from the first one on."""
        host = self.write_host(_HOST, nics=1, vfs=8)
        hanging = self.start_conductor('controller-1')
        self.start_conductor('controller-2')
        self.start_agent(host)
        self.wait_for_report(_HOST)
        caller = self.client(_RPC_TIMEOUT)
        expected: dict[str, set[str]] = {}
        hanging.suspend()
        try:
            for _ in range(6):
                instance = str(uuid.uuid4())
                claimed = caller.claim(
                    claims.ClaimRequest(
                        _HOST, instance, [base.request(1)], 'nova'
                    )
                )
                expected[instance] = {str(d.address) for d in claimed}
        finally:
            hanging.resume()
        # If it carries out what it was sent before it ends, that changes
        # nothing.
        hanging.terminate()
        held: dict[str, set[str]] = {}
        for device in lookup.get_all(self.db, _HOST):
            if device.instance_uuid:
                owner = str(device.instance_uuid)
                held.setdefault(owner, set()).add(str(device.address))
        self.assertEqual(expected, held)
