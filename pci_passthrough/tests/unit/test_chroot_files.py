# SPDX-License-Identifier: Apache-2.0
"""Tests of resolving links below a root directory."""

import errno
import os
import pathlib
import typing

import fixtures
import testtools

from pci_passthrough import chroot_files


class ChrootFilesTestCase(testtools.TestCase):
    """Links never lead outside the root directory."""

    def setUp(self) -> None:
        super().setUp()
        outside = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (outside / 'secret').write_text('outside')
        self.root = outside / 'root'
        (self.root / 'a/b').mkdir(parents=True)
        (self.root / 'a/b/file').write_text('inside')
        (self.root / 'secret').write_text('in the root')
        self.outside = outside
        self.files = chroot_files.ChrootFiles(str(self.root))

    def _link(self, name: str, target: object) -> None:
        os.symlink(str(target), self.root / name)

    def test_relative_link(self) -> None:
        self._link('a/link', '../a/b')
        self.assertEqual('a/b/file', self.files.resolve('a/link/file'))
        self.assertEqual('inside', self.files.read('a/link/file'))

    def test_absolute_link_starts_at_the_root(self) -> None:
        self._link('a/link', '/secret')
        self.assertEqual('in the root', self.files.read('a/link'))

    def test_absolute_link_to_the_outside_is_missing(self) -> None:
        self._link('link', self.outside / 'secret')
        self.assertRaises(FileNotFoundError, self.files.read, 'link')
        self.assertIsNone(self.files.read_if_exists('link'))

    def test_dots_stop_at_the_root(self) -> None:
        self._link('a/link', '../../../../secret')
        self.assertEqual('in the root', self.files.read('a/link'))
        self.assertEqual('secret', self.files.resolve('../../secret'))

    def test_link_in_the_middle(self) -> None:
        self._link('a/up', '..')
        self._link('a/b/far', '/a/up/a')
        self.assertEqual('a/b/file', self.files.resolve('a/b/far/b/file'))

    def test_loop(self) -> None:
        self._link('a_link', 'b_link')
        self._link('b_link', 'a_link')
        self.assertRaises(OSError, self.files.resolve, 'a_link')
        self.assertRaises(OSError, self.files.resolve_if_exists, 'a_link')

    def test_missing(self) -> None:
        self.assertEqual([], self.files.names('nowhere'))
        self.assertIsNone(self.files.resolve_if_exists('a/nowhere'))
        self.assertEqual(['b'], self.files.names('a'))


class VanishedTestCase(testtools.TestCase):
    """An object that disappears while it is read is missing."""

    def setUp(self) -> None:
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (self.root / 'folder').mkdir()
        (self.root / 'folder/file').write_text('text')
        (self.root / 'folder/link').symlink_to('file')
        self.files = chroot_files.ChrootFiles(str(self.root))

    def break_function(self, function: str, code: int) -> None:
        """Let a function of the operating system fail with an errno."""

        def failing(*_: object, **__: object) -> typing.NoReturn:
            raise OSError(code, os.strerror(code))

        self.useFixture(fixtures.MonkeyPatch(function, failing))

    def test_file(self) -> None:
        self.break_function('builtins.open', errno.ENODEV)
        self.assertIsNone(self.files.read_if_exists('folder/file'))

    def test_each_error(self) -> None:
        for code in (
            errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ESTALE,
            errno.EINVAL,
        ):  # fmt: skip
            with self.subTest(errno.errorcode[code]):
                self.break_function('os.listdir', code)
                self.assertEqual([], self.files.names('folder'))
                self.assertRaises(
                    FileNotFoundError, self.files.entries, 'folder'
                )

    def test_other_errors_remain(self) -> None:
        for code in (errno.EACCES, errno.EIO, errno.ENOMEM):
            with self.subTest(errno.errorcode[code]):
                self.break_function('os.listdir', code)
                error = self.assertRaises(OSError, self.files.names, 'folder')
                self.assertEqual(code, error.errno)

    def test_link_to_a_vanishing_object(self) -> None:
        """EINVAL means "no link" only for what is no link."""
        self.break_function('os.readlink', errno.EINVAL)
        self.assertEqual('folder/file', self.files.resolve('folder/file'))
        self.assertIsNone(self.files.resolve_if_exists('folder/link'))

    def test_no_link(self) -> None:
        error = self.assertRaises(OSError, self.files.link, 'folder/file')
        self.assertEqual(errno.EINVAL, error.errno)

    def test_exists(self) -> None:
        self.assertTrue(self.files.exists('folder'))
        self.assertFalse(self.files.exists('folder/nothing'))
