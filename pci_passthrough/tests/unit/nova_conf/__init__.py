# SPDX-License-Identifier: Apache-2.0
"""Tests of translating Nova's PCI options.

``tests/nova/test_nova_conf.py`` compares the translations with Nova itself.
"""
