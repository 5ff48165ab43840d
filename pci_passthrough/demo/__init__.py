# SPDX-License-Identifier: Apache-2.0

"""Simulated compute hosts, to try the project without hardware."""
