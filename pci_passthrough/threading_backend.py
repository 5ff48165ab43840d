# SPDX-License-Identifier: Apache-2.0
"""Chooses oslo.service's threading backend, when it is imported.

Every program imports this module before anything that imports oslo.service,
as oslo.messaging does. Without a choice oslo.service takes its eventlet
backend, which patches Python's threads.
"""

import contextlib
import os
import warnings

# oslo.service imports futurist, which imports eventlet if it is installed,
# although no program uses it. eventlet then warns of its deprecation at each
# start, and its resolver of names is a sixth of all that a start computes.
os.environ.setdefault('EVENTLET_NO_GREENDNS', 'yes')
warnings.filterwarnings('ignore', message=r'\s*Eventlet is deprecated')

from oslo_service import backend  # noqa: E402 - after the filter
from oslo_service.backend import exceptions  # noqa: E402

# A process that imports this module without being one of the programs, for
# example a test, may have chosen a backend before.
with contextlib.suppress(exceptions.BackendAlreadySelected):
    backend.init_backend(backend.BackendType.THREADING)
