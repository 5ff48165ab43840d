# SPDX-License-Identifier: Apache-2.0
"""Claims: devices that instances hold, and how they get and return them.

===============  ==========================================================
``claiming``     ``claim``: one transaction that holds devices of a host
``choosing``     which free devices a claim gets, and the one UPDATE that
                 takes them
``transitions``  ``allocate``, ``abort`` and ``free``
``starts``       starts of guests that failed, or succeeded
``adoption``     recording devices that an instance has already
===============  ==========================================================
"""
