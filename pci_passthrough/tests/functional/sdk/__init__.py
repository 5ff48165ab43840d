# SPDX-License-Identifier: Apache-2.0
"""openstacksdk against the REST service."""
