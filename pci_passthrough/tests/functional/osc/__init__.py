# SPDX-License-Identifier: Apache-2.0
"""The real ``openstack`` and ``nova`` commands against the real REST API."""
