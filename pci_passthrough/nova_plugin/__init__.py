# SPDX-License-Identifier: Apache-2.0
"""The Nova plugin: the part of this project inside Nova's processes.

The modules here are named by setup.cfg, nova.conf or api-paste.ini, or are
shared by the packages: ``compute`` (nova-compute's claims), ``network``
(NICs), ``install`` (replaces Nova's functions) and ``compat`` (imports Nova).

Nothing is imported here: ``config_source`` is loaded before Nova decides
whether eventlet patches the standard library, and an import would come first.
"""
