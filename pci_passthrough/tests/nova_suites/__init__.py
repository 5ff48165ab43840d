# SPDX-License-Identifier: Apache-2.0
"""Nova's own tests, with the door and, where they fail, without it."""
