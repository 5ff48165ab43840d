# SPDX-License-Identifier: Apache-2.0
"""The REST service: PCI flavors for users, devices and hosts for operators.

It reads the database itself and sends changes to a conductor.
``routing.ROUTES`` is the table of all routes, and ``deploy.load`` assembles
the application with its middleware. A noun has one file of the same name in
``handlers``, ``schemas`` and ``policies``.
"""
