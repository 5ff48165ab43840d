# SPDX-License-Identifier: Apache-2.0
"""Say how a test run went, in one line that a program can read.

Reads a subunit stream, as `stestr last --subunit` gives it, or several one
after the other, from standard input. Prints the tests that were skipped with
their reasons, and last the line `N passed, N failed, N skipped`. Exits with 1
when a test failed or when no test ran.
"""

import collections
import sys
from typing import Any

import subunit
import testtools

_PASSED = ('success', 'xfail')
_SKIPPED = 'skip'


def main() -> int:
    """Read the stream, print the outcome, return the exit status."""
    skips: collections.Counter[str] = collections.Counter()
    counts: collections.Counter[str] = collections.Counter()

    def count(test: Any) -> None:
        status = test['status']
        if status == _SKIPPED:
            reason = test['details'].get('reason')
            skips[reason.as_text() if reason else 'no reason given'] += 1
        # Neither the listing of tests nor a stray attachment is a test.
        if status not in ('exists', 'unknown'):
            counts[status] += 1

    result = testtools.StreamToDict(count)
    stream = subunit.ByteStreamToStreamResult(
        sys.stdin.buffer, non_subunit_name='stdout'
    )
    result.startTestRun()
    stream.run(result)
    # A test that was running when its worker died comes out here, as
    # 'inprogress': it counts as failed.
    result.stopTestRun()

    for reason, number in skips.most_common():
        print(f'skipped {number}: {reason}')
    passed = sum(counts[status] for status in _PASSED)
    skipped = counts[_SKIPPED]
    failed = counts.total() - passed - skipped
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
