# SPDX-License-Identifier: Apache-2.0
"""Tests inside a real Nova, on the fixtures of Nova's own tests.

They need Nova with its tests in the interpreter's path, so they run in an
environment of their own.
"""

# Before anything else is imported: Nova's functional tests run on eventlet.
from nova import monkey_patch

monkey_patch.patch()
