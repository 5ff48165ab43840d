# SPDX-License-Identifier: Apache-2.0
"""How nova-api checks extra specs."""

# Checks one kind of extra specs when a flavor gets them.
from nova.api.validation.extra_specs.base import ExtraSpecValidator

# The extra spec is wrong: 400.
from nova.exception import ValidationError

__all__ = ['ExtraSpecValidator', 'ValidationError']
