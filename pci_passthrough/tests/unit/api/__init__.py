# SPDX-License-Identifier: Apache-2.0
"""The modules of the REST service, without the service."""
