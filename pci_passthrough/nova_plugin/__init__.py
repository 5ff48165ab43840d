# SPDX-License-Identifier: Apache-2.0
"""What runs inside Nova's processes.

Nothing is imported here: ``config_source`` is loaded before Nova decides
whether eventlet patches the standard library, and any import would be early.
"""
