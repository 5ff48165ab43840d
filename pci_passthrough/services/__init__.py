# SPDX-License-Identifier: Apache-2.0
"""The long-running services, without their command lines."""
