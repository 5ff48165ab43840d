# SPDX-License-Identifier: Apache-2.0
"""Benchmarks that need no database."""

import pathlib
import random
import tempfile
from typing import Any
from xml.etree import ElementTree

from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import node_device
from pci_passthrough.specs import pci_flavor as pci_flavor_spec
from pci_passthrough.tests.bench import timing


def parse_listing() -> timing.Rows:
    """Parse libvirt's listing of a host with 2000 virtual functions."""
    documents = _listing()

    def parse() -> None:
        if len(node_device.parse_listing(documents).devices) < 2000:
            raise SystemExit('the listing is wrong')

    def read() -> None:
        for document in documents:
            ElementTree.fromstring(document)  # noqa: S314 - libvirt's own

    ms = timing.medians({'parse': parse, 'read': read})
    return [
        (f'listing of {len(documents)} node devices', 'bare XML',
         ms['parse'], ms['parse'] / ms['read']),
    ]  # fmt: skip


def _listing() -> list[str]:
    shape = inventory.HostShape('large', nics=16, vfs=125, total_vfs=128)
    with tempfile.TemporaryDirectory() as folder:
        host = testdriver.write_host(
            inventory.build_host(shape), pathlib.Path(folder)
        )
        libvirt = libvirt_host.LibvirtHost(host.uri)
        libvirt.connect()
        try:
            return [
                document
                for document in libvirt.list_node_devices()
                if isinstance(document, str)
            ]
        finally:
            libvirt.close()


def match_expressions() -> timing.Rows:
    """Match 200 PCI flavors against 500 pool keys."""
    rng = random.Random(3)
    keys = {
        number + 1: objects.PoolKey(
            vendor_id=rng.choice(('8086', '10de', '15b3', '144d')),
            product_id=f'{rng.randrange(40):04x}',
            subsystem_vendor_id=None,
            subsystem_id=None,
            pci_class=rng.choice(('020000', '030200', '010802')),
            dev_type=rng.choice(('type-PCI', 'type-VF', 'type-PF')),
            driver=None,
            numa_node=rng.randrange(2),
            extra_info=(
                ('group', f'g{rng.randrange(30)}'),
                ('rate', str(rng.randrange(100))),
            ),
        )
        for number in range(500)
    }
    rows: timing.Rows = []
    for kind, group in (('plain values', 'g{}'), ('operators', 's== g{}')):
        matches: list[list[dict[str, Any]]] = [
            [{'product_id': f'{n % 40:04x}', 'e.group': group.format(n % 30)}]
            for n in range(200)
        ]
        if kind == 'operators':
            matches = [
                [*match, {'numa_node': f'>= {n}', 'e.rate': f'<= {n}'}]
                for n, match in enumerate(matches)
            ]
        expressions = [
            pci_flavor_spec.MatchExpression.parse(match) for match in matches
        ]
        rows.append(_match(f'200 PCI flavors x 500 keys, {kind}, cold',
                           keys, expressions))  # fmt: skip
    return rows


def _match(
    what: str,
    keys: dict[int, objects.PoolKey],
    expressions: list[pci_flavor_spec.MatchExpression],
) -> tuple[str, str, float, float]:
    def cold() -> matching.PoolIndex:
        index = matching.PoolIndex()
        index.add(keys)
        for expression in expressions:
            index.matching(expression)
        return index

    warm_index = cold()

    def fill() -> None:
        matching.PoolIndex().add(keys)

    def warm() -> None:
        for expression in expressions:
            warm_index.matching(expression)

    ms = timing.medians({'cold': cold, 'fill': fill, 'warm': warm})
    matched = ms['cold'] - ms['fill']
    return what, 'warm', matched, matched / ms['warm']
