# SPDX-License-Identifier: Apache-2.0
"""Errors that the commands find themselves.

Those of the service are exceptions of ``sdk.errors``. Each message is one
line. The ``openstack`` and ``nova`` commands print it as it is, and exit with
status 1.
"""


class ClientError(Exception):
    """An error that a command ends with."""
