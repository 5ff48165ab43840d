# SPDX-License-Identifier: Apache-2.0
"""Tests of discovery, with samples of libvirt's XML and of sysfs trees."""
