# SPDX-License-Identifier: Apache-2.0
"""Nova's validation of extra specs, in nova-api."""

# Validates one kind of extra specs when a flavor gets them.
from nova.api.validation.extra_specs.base import ExtraSpecValidator

# An extra spec is wrong: HTTP 400.
from nova.exception import ValidationError

__all__ = ['ExtraSpecValidator', 'ValidationError']
