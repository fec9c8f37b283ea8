"""Draws one plot for `benchmarks.growth`; told on standard input."""

import json
import sys

import pygal
from pygal.style import Style

given = json.load(sys.stdin)
style = Style(background="transparent", plot_background="transparent", foreground="#767d88", foreground_strong="#767d88",
              foreground_subtle="#767d88", colors=("#3b7dd8",), title_font_size=16, label_font_size=12,
              major_label_font_size=12, guide_stroke_color="#c4c8ce", major_guide_stroke_color="#c4c8ce")
most = max(y for _, y in given["points"])
chart = pygal.XY(title=given["title"], style=style, show_legend=False, width=720, height=320, js=(), dots_size=3,
                 range=(0, most * 1.1), xrange=(0, max(x for x, _ in given["points"])), include_x_axis=True, max_scale=6,
                 pretty_print=False, explicit_size=True, x_value_formatter=lambda value: f"{value:,.0f}",
                 value_formatter=lambda value: f"{value:,.0f}")
chart.uuid = "plot"  # not a random one: the same figures give the same file
chart.add("", [tuple(point) for point in given["points"]])
with open(given["path"], "wb") as file:  # noqa: PTH123
    file.write(chart.render())
