# SPDX-License-Identifier: Apache-2.0
"""The programs. Each ``main`` reads the configuration and hands it down."""

import warnings

# futurist, which oslo.service imports, looks whether eventlet is there; that
# makes eventlet complain at each start of each program, and nobody uses it.
warnings.filterwarnings('ignore', message=r'\s*Eventlet is deprecated')

from oslo_service import backend  # noqa: E402 - see above

# Before anything else imports oslo.service: without a choice it takes the
# eventlet backend, which patches threads.
backend.init_backend(backend.BackendType.THREADING)
