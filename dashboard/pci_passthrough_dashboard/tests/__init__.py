# SPDX-License-Identifier: Apache-2.0
"""The plugin with a real Keystone, the real REST API, Horizon and a browser.

``make test-dashboard`` runs them in an environment of their own.
"""
