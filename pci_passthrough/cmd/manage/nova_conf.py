# SPDX-License-Identifier: Apache-2.0
"""``import-nova`` and ``export-nova``: convert Nova's PCI options."""

import argparse
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import sys
from typing import Any

from cliff import command
from cliff import lister

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.cmd import conf_files
from pci_passthrough.cmd import errors
from pci_passthrough.cmd.manage import arguments
from pci_passthrough.cmd.manage import context
from pci_passthrough.nova_conf import from_alias
from pci_passthrough.nova_conf import from_device_spec
from pci_passthrough.nova_conf import to_alias
from pci_passthrough.nova_conf import to_device_spec
from pci_passthrough.objects import fields
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.osc.v1 import options
from pci_passthrough.specs import lint
from pci_passthrough.specs import pci_flavor
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import lookup

_COLUMNS: dict[str, Callable[[from_alias.PciFlavorDraft], Any]] = {
    'Name': lambda draft: draft.name,
    'Match': lambda draft: columns.Match(draft.match),
    'NUMA Policy': lambda draft: columns.OrDash(draft.numa_policy),
}


def _add_output(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        '--output', metavar='FILE', help=f'write {what} to a new file'
    )
    parser.add_argument(
        '--force',
        action='store_true',
        help='replace the file of --output if it exists',
    )
    parser.add_argument(
        '--strict',
        action='store_true',
        help='exit with status 3 if something has no equivalent, too, and not '
        'only if something is probably a mistake; the rest is written in any '
        'case',
    )


def _report(findings: Collection[lint.Finding], strict: bool) -> int:
    """Print findings to standard error; return the exit status."""
    for finding in findings:
        _print_to_stderr(str(finding))
    is_noticed = any(strict or finding.is_mistake for finding in findings)
    return errors.STATUS_OF_FINDINGS if is_noticed else 0


def _print_to_stderr(text: str) -> None:
    print(f'{context.PROG}: {text}', file=sys.stderr)


class Import(lister.Lister):
    """Translate Nova's device_spec and alias; show or apply the result.

    The output is the agent's pci_information and a table of PCI flavors. Other
    formats than the table only have the PCI flavors; use --output to get the
    pci_information. Everything without an equivalent, and what is probably a
    mistake, is reported on standard error. After a mistake the exit status is
    3: the rest was translated.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add Nova's configuration files, and options for the result."""
        parser = super().get_parser(prog_name)
        arguments.add_nova_conf(
            parser,
            'configuration file of Nova; may be repeated: like the files of '
            "Nova's --config-file, they are one configuration",
        )
        parser.add_argument(
            '--create',
            action='store_true',
            help='create the PCI flavors; those that exist are not changed',
        )
        parser.add_argument(
            '--project',
            metavar='PROJECT',
            help='UUID of the owner (default: the operator)',
        )
        options.add_visibility(
            parser,
            public='for all projects, like an alias (default)',
            private='for the owner, and for projects that they are shared '
            'with',
        )
        parser.add_argument(
            '--share',
            dest='access',
            action='append',
            default=[],
            metavar='PROJECT',
            help='UUID of a project that may use private PCI flavors; may be '
            'repeated',
        )
        _add_output(parser, 'the pci_information')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Return the PCI flavors."""
        files = conf_files.find(
            parsed_args.nova_conf, parsed_args.nova_conf_dir
        )
        if not files:
            raise exception.Invalid(
                'no file of Nova to read: give --nova-conf FILE, or a '
                '--nova-conf-dir in which there are *.conf files'
            )
        if parsed_args.output:
            conf_files.check_target(parsed_args.output, parsed_args.force)
        entries, drafts, self.findings = _translated(files)
        self.has_drafts = bool(drafts)
        titles, rows = columns.table(_COLUMNS, drafts)
        if parsed_args.create:
            titles = (*titles, 'Result')
            rows = [
                (*row, self._create(parsed_args, draft))
                for row, draft in zip(rows, drafts, strict=True)
            ]
        snippet = [*_header(files), '[agent]']
        snippet += [conf_files.line('pci_information', e) for e in entries]
        if parsed_args.output:
            conf_files.write(parsed_args.output, snippet, parsed_args.force)
        elif parsed_args.formatter == 'table':
            self.app.stdout.writelines(f'{line}\n' for line in [*snippet, ''])
        return titles, rows

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print the output, then report on standard error."""
        super().run(parsed_args)
        status = _report(self.findings, parsed_args.strict)
        if self.has_drafts:
            _print_to_stderr(
                'in Nova flavors, pci_passthrough:alias=a1:2 becomes '
                'pci_passthrough:pci_flavor=a1:2'
            )
        return status

    def _create(
        self, parsed_args: argparse.Namespace, draft: from_alias.PciFlavorDraft
    ) -> str:
        """Create a PCI flavor unless there is one of its name.

        :returns: ``created``; or ``kept`` or ``different``, if there is one.
        """
        database = context.of(self).writer
        wanted = {
            'match': draft.match,
            'numa_policy': draft.numa_policy,
            'is_public': parsed_args.is_public is not False,
            'access': parsed_args.access,
        }
        try:
            editing.create(database, draft.name, parsed_args.project, **wanted)
        except exception.PciFlavorExists as error:
            different = _differences(
                database, error, {**wanted, 'project_id': parsed_args.project}
            )
        else:
            return 'created'
        if not different:
            return 'kept'
        self.findings.append(
            lint.Finding(
                f'PCI flavor {draft.name!r}',
                None,
                f'not created: {different}',
                'compare the two, and change or rename one of them',
            )
        )
        return 'different'


def _translated(
    files: Sequence[str],
) -> tuple[list[str], list[from_alias.PciFlavorDraft], list[lint.Finding]]:
    entries, findings = from_device_spec.translate(
        conf_files.read_nova(files, 'device_spec')
    )
    drafts, more = from_alias.translate(
        conf_files.read_nova(files, 'alias'),
        from_alias.PlacementUse(
            in_use=conf_files.read_pci_in_placement(files),
            classes=any('"resource_class"' in entry for entry in entries),
        ),
    )
    findings += [*more, *conf_files.misplaced_of_nova(files)]
    return entries, drafts, findings


def _differences(
    database: store.Reader,
    error: exception.PciFlavorExists,
    wanted: dict[str, Any],
) -> str:
    """Return how an existing PCI flavor differs from a wanted one.

    :returns: a text; empty if the two mean the same.
    """
    try:
        existing = lookup.get(database, error.name)
    except exception.PciFlavorNotFound:
        # It is deleted, but still has its name until its devices are free.
        return str(error)
    wanted = {**wanted, 'state': fields.PciFlavorState.ACTIVE}
    wanted['vnic_type'] = None
    different = [
        key
        for key in wanted
        if _normalized(key, getattr(existing, key))
        != _normalized(key, wanted[key])
    ]
    if not different:
        return ''
    return f'there is one of that name with another {", ".join(different)}'


def _normalized(key: str, value: Any) -> Any:
    """Return a value that is equal for all values of the same meaning."""
    if key == 'match':
        terms = pci_flavor.MatchExpression.parse(value).terms
        return frozenset(map(frozenset, terms))
    if key == 'numa_policy':
        return value or fields.NumaPolicy.LEGACY
    return sorted(value) if key == 'access' else value


def _header(files: Sequence[str]) -> list[str]:
    return [
        f'# Made by {context.PROG} of:',
        *(f'#   {file}' for file in files),
    ]


class Export(command.Command):
    """Translate back to Nova's device_spec and alias.

    Everything without an equivalent is reported on standard error.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the pci_information and the PCI flavors to export."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--pci-information',
            action='append',
            default=[],
            metavar='FILE',
            help='configuration file of the agent; its [agent] '
            'pci_information becomes device_spec. May be repeated',
        )
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            '--pci-flavor',
            action='append',
            metavar='NAME',
            help='name or UUID of a PCI flavor that becomes an alias; may be '
            'repeated (default: all)',
        )
        which.add_argument(
            '--no-pci-flavor',
            action='store_true',
            help='export no aliases; needs no database, so it also works on '
            'a compute host',
        )
        _add_output(parser, 'the section')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Write the [pci] section, then report."""
        if parsed_args.output:
            conf_files.check_target(parsed_args.output, parsed_args.force)
        lines, findings = to_device_spec.translate(
            conf_files.read_agent(parsed_args.pci_information)
        )
        aliases, more = to_alias.translate(self._flavors(parsed_args))
        section = [
            *_header(parsed_args.pci_information or ['the database']),
            '# Nova does not check whether the host itself uses a device.',
            '[pci]',
            *_device_spec_lines(lines),
            *_alias_lines(aliases),
        ]
        if parsed_args.output:
            conf_files.write(parsed_args.output, section, parsed_args.force)
        else:
            self.app.stdout.writelines(f'{line}\n' for line in section)
        status = _report([*findings, *more], parsed_args.strict)
        if aliases:
            _print_to_stderr(
                'in Nova flavors, pci_passthrough:pci_flavor=a1:2 becomes '
                'pci_passthrough:alias=a1:2, without alternatives (|)'
            )
        return status

    def _flavors(
        self, parsed_args: argparse.Namespace
    ) -> list[objects.PciFlavor]:
        if parsed_args.no_pci_flavor:
            return []
        database = context.of(self).database
        if parsed_args.pci_flavor is None:
            return lookup.get_all(database)
        return [lookup.get(database, name) for name in parsed_args.pci_flavor]


def _device_spec_lines(lines: Iterable[to_device_spec.Line]) -> Iterator[str]:
    for line in lines:
        text = conf_files.line('device_spec', line.text)
        if line.held_back is not None:
            yield f'# Held back: it {line.held_back}'
            text = f'# {text}'
        yield text


def _alias_lines(aliases: Iterable[to_alias.Alias]) -> Iterator[str]:
    for alias in aliases:
        if alias.needs_placement:
            yield (
                '# Needs [filter_scheduler] pci_in_placement = true; without '
                'it Nova would give other devices, too.'
            )
        if alias.excludes_placement:
            yield '# Needs [filter_scheduler] pci_in_placement = false.'
        for text in alias.lines:
            yield conf_files.line('alias', text)
