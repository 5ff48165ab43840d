# SPDX-License-Identifier: Apache-2.0
"""Devices: reading them, and all that happens to them besides claims.

=============  ============================================================
``lookup``     reading devices; their UUIDs
``reports``    applying the reports of agents
``operators``  disable, enable, quarantine, release
``removal``    deleting devices that are not offered and not needed
``trackers``   registration of the resource trackers in nova-compute
=============  ============================================================
"""
