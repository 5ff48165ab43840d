# SPDX-License-Identifier: Apache-2.0
"""Draw the panels of the Grafana dashboard from what a Prometheus answers.

For the picture in the documentation, where no Grafana is: the queries are
those of the dashboard, the data are real, the looks are matplotlib's, which
has to be installed besides::

    python tools/draw_dashboard.py http://127.0.0.1:9090 dashboard.png \\
        $(date +%s --date '5 minutes ago') $(date +%s)
"""

import json
import pathlib
import sys
from typing import Any
import urllib.parse
import urllib.request

from matplotlib import pyplot

_DASHBOARD = (
    pathlib.Path(__file__).parents[1]
    / 'etc/pci_passthrough/grafana-dashboard.json'
)

#: Inches of a column and of a row of Grafana's grid.
_COLUMN, _ROW = 0.55, 0.36

#: Rows of a table that are shown.
_MOST_ROWS = 14

_VARIABLES = {'$pci_flavor': '.*', '$host': '.*', '$__rate_interval': '30s'}


class Prometheus:
    """A server, and the time to look at, in seconds since 1970."""

    def __init__(self, url: str, begin: float, end: float) -> None:
        self._url = url
        self._begin = begin
        self._end = end

    def ask(self, target: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the series that answer a panel's query."""
        query = target['expr']
        for name, value in _VARIABLES.items():
            query = query.replace(name, value)
        if target['instant']:
            what, when = 'query', {'time': self._end}
        else:
            what = 'query_range'
            when = {'start': self._begin, 'end': self._end, 'step': 3}
        words = urllib.parse.urlencode({'query': query, **when})
        url = f'{self._url}/api/v1/{what}?{words}'
        with urllib.request.urlopen(url) as answer:  # noqa: S310
            found: list[dict[str, Any]] = json.load(answer)['data']['result']
        return found

    def lines(self, axes: Any, panel: dict[str, Any]) -> None:
        """Draw what changed over the time."""
        for target in panel['targets']:
            for series in self.ask(target):
                name = target['legendFormat']
                for label, value in series['metric'].items():
                    name = name.replace(f'{{{{{label}}}}}', value)
                x = [(at - self._begin) / 60 for at, _ in series['values']]
                y = [float(value) for _, value in series['values']]
                axes.plot(x, y, label=name, linewidth=1)
        axes.set_ylim(bottom=0)
        axes.set_xlim(0, (self._end - self._begin) / 60)
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=6)
        axes.set_xlabel('minutes', fontsize=6)
        unit = panel['fieldConfig']['defaults']['unit']
        axes.set_ylabel({'ops': '1/s', 's': 's'}.get(unit, ''), fontsize=6)
        axes.legend(fontsize=5, ncols=4, loc='upper left')

    def number(self, axes: Any, panel: dict[str, Any]) -> None:
        """Draw one number."""
        [series] = self.ask(panel['targets'][0])
        axes.axis('off')
        axes.text(
            0.5, 0.4, series['value'][1], fontsize=26, ha='center', va='center'
        )

    def table(self, axes: Any, panel: dict[str, Any]) -> None:
        """Draw the first lines of a table."""
        rows: dict[tuple[str, ...], dict[str, str]] = {}
        labels = ('host', 'pci_flavor', 'numa_node')
        columns = [target['refId'] for target in panel['targets']]
        for target in panel['targets']:
            for series in self.ask(target):
                row = tuple(series['metric'].get(name, '') for name in labels)
                cells = rows.setdefault(row, {})
                cells[target['refId']] = series['value'][1]
        axes.axis('off')
        table = axes.table(
            [
                [*row, *(rows[row].get(column, '') for column in columns)]
                for row in sorted(rows)[:_MOST_ROWS]
            ],
            colLabels=['Host', 'PCI flavor', 'NUMA node', *columns],
            bbox=(0, 0, 1, 1),
        )
        table.auto_set_font_size(False)
        table.set_fontsize(6)


def main(url: str, picture: str, begin: str, end: str) -> None:
    """Draw a dashboard into a file."""
    prometheus = Prometheus(url, float(begin), float(end))
    draw = {
        'stat': prometheus.number,
        'table': prometheus.table,
        'timeseries': prometheus.lines,
    }
    panels = json.loads(_DASHBOARD.read_text())['panels']
    places = [panel['gridPos'] for panel in panels]
    height = max(place['y'] + place['h'] for place in places)
    figure = pyplot.figure(figsize=(24 * _COLUMN, height * _ROW))
    for panel, place in zip(panels, places, strict=True):
        bottom = height - place['y'] - place['h']
        axes = figure.add_axes(
            (
                (place['x'] + 1) / 24,
                (bottom + 1.1) / height,
                (place['w'] - 1.5) / 24,
                (place['h'] - 2.2) / height,
            )
        )
        axes.set_title(panel['title'], fontsize=8, loc='left')
        draw[panel['type']](axes, panel)
    figure.savefig(picture, dpi=80)


if __name__ == '__main__':
    main(*sys.argv[1:])
