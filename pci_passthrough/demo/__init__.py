# SPDX-License-Identifier: Apache-2.0

"""Made-up compute hosts, to try the project without any hardware."""
