# SPDX-License-Identifier: Apache-2.0
"""Say how a test run went, in one line that a program can read.

Reads a subunit stream, as `stestr last --subunit` gives it, or several one
after the other, from standard input. Prints the tests that were skipped with
their reasons, those that failed with the end of what they said, and last the
line `N passed, N failed, N skipped`. Exits with 1 when a test failed or when
no test ran.
"""

import collections
import sys
from typing import Any
from typing import Final

import subunit
import testtools

_PASSED = ('success', 'xfail')
_SKIPPED = 'skip'

# Of what a failed test said, these many lines are shown, and of a line these
# many characters.
_LINES: Final = 6
_WIDTH: Final = 300


def main() -> int:
    """Read the stream, print the outcome, return the exit status."""
    skips: collections.Counter[str] = collections.Counter()
    counts: collections.Counter[str] = collections.Counter()
    failures: list[dict[str, Any]] = []

    def count(test: Any) -> None:
        status = test['status']
        if status == _SKIPPED:
            reason = test['details'].get('reason')
            skips[reason.as_text() if reason else 'no reason given'] += 1
        # Neither the listing of tests nor a stray attachment is a test.
        if status not in ('exists', 'unknown'):
            counts[status] += 1
            if status not in (*_PASSED, _SKIPPED):
                failures.append(test)

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
    for test in failures:
        print(f'failed ({test["status"]}): {test["id"]}')
        for line in _last_lines(test['details'].get('traceback')):
            print(f'    {line}')
    passed = sum(counts[status] for status in _PASSED)
    skipped = counts[_SKIPPED]
    failed = counts.total() - passed - skipped
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    return 1 if failed or not passed else 0


def _last_lines(traceback: Any) -> list[str]:
    """Return the end of a test's traceback, if it has one."""
    lines = traceback.as_text().splitlines() if traceback else []
    lines = [line[:_WIDTH] for line in lines if line.strip()]
    return lines[-_LINES:]


if __name__ == '__main__':
    sys.exit(main())
