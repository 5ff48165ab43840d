# SPDX-License-Identifier: Apache-2.0
"""The real ``openstack`` and ``nova`` against the real service."""
