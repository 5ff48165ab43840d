# SPDX-License-Identifier: Apache-2.0
"""The programs. Each ``main`` reads the configuration and hands it down."""

import contextlib
import warnings

# futurist, which oslo.service imports, looks whether eventlet is there; that
# makes eventlet complain at each start of each program, and nobody uses it.
warnings.filterwarnings('ignore', message=r'\s*Eventlet is deprecated')

from oslo_service import backend  # noqa: E402 - see above
from oslo_service.backend import exceptions  # noqa: E402

# Before anything else imports oslo.service, as oslo.messaging does: without a
# choice it takes the eventlet backend, which patches threads. A process that
# imports this and no program runs in, a test for example, may have chosen.
with contextlib.suppress(exceptions.BackendAlreadySelected):
    backend.init_backend(backend.BackendType.THREADING)
