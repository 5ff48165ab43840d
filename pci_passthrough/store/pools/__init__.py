# SPDX-License-Identifier: Apache-2.0
"""Pools: ``GROUP BY`` over ``pci_devices``, computed at each question.

==============  ===========================================================
``counting``    free and total devices by host and pool key; serving hosts
``candidates``  free devices, one by one, for a claim to choose from
``pool_list``   pools as objects
``states``      counts by state, which explain refusals
==============  ===========================================================
"""
