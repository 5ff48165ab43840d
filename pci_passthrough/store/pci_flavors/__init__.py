# SPDX-License-Identifier: Apache-2.0
"""PCI flavors: their fields, their holders, and what requests get by them.

==============  ===========================================================
``lookup``      reading PCI flavors
``editing``     create, update, share, delete
``validation``  the values that each field accepts
``groups``      PCI flavors made from groups of hosts, and their clashes
``holders``     who holds devices by a PCI flavor, and locks against changes
``resolving``   from the names in requests to pool keys and rules
==============  ===========================================================
"""
