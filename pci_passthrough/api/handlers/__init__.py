# SPDX-License-Identifier: Apache-2.0
"""What is done for each route: one file a noun.

A handler gets an ``ApiRequest`` and the path's parameters. By then the policy
of its route, the query and the body have been checked.
"""
