# SPDX-License-Identifier: Apache-2.0
"""Right and wrong input of the specs, in tables, and fuzzing."""

import hypothesis

#: Wrong input is met early or never: no example takes long, none is kept.
fuzzing = hypothesis.settings(
    database=None,
    deadline=None,
    max_examples=200,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
