# SPDX-License-Identifier: Apache-2.0
"""PCI flavors on NICs: requests, port binding, attach and detach."""
