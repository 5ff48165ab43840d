# SPDX-License-Identifier: Apache-2.0
"""Unit tests of the service for openstacksdk, without a service."""
