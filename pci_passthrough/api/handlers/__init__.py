# SPDX-License-Identifier: Apache-2.0
"""The handlers of the routes: one file a noun.

A handler gets an ``ApiRequest`` and the path's parameters. Before, the
application has checked the route's policy and validated query and body.
"""
