# SPDX-License-Identifier: Apache-2.0
"""nvme-sanitize with a real kernel, nvme-cli and QEMU's NVMe controllers."""
