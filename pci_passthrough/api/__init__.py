# SPDX-License-Identifier: Apache-2.0
"""The REST service: PCI flavors for users, devices and hosts for operators.

What is read comes from the database, what is changed goes through a
conductor. ``routing.ROUTES`` is the table of all that can be asked, and
``deploy.load`` puts the application together. A noun has one file of the same
name in ``handlers``, ``schemas`` and ``policies``.
"""
