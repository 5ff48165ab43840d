# SPDX-License-Identifier: Apache-2.0
"""Discovery, with samples of libvirt's XML and made-up directory trees."""
