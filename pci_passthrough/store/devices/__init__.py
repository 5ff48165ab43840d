# SPDX-License-Identifier: Apache-2.0
"""Devices: reading them, and all that happens to them besides claims.

=============  ============================================================
``lookup``     reading devices; their UUIDs
``reports``    applying the reports of agents
``moving``     moving records to other addresses
``withheld``   devices that nobody gets while another one is in conflict
``operators``  disable, enable, quarantine, release, clean
``preparing``  what handlers have to do, may do, and have done
``resolving``  an operator says where the hardware of a device is
``removal``    deleting devices that are not offered and not needed
``trackers``   registration of the resource trackers in nova-compute
=============  ============================================================
"""
