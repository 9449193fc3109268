"""Vega-Lite charts: the script that draws them in a browser, and their still pictures. Alone uses vl_convert."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from typing import Any

from snsearch.files import cache_folder, write_whole

_GLOBALS = "window.vegaEmbed=vegaEmbed;"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"

CONFIG: dict[str, Any] = {
    "background": None,
    "font": _FONT,
    "aria": False,  # the page labels every chart, and a table holds its values
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)",
        "titleColor": "var(--soft)",
        "gridColor": "var(--grid)",
        "domainColor": "var(--rule)",
        "tickColor": "var(--rule)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "axisXQuantitative": {"tickCount": 10},
    "header": {"labelColor": "var(--ink)", "titleColor": "var(--soft)", "labelFontSize": 12},
    "legend": {"labelColor": "var(--soft)", "titleColor": "var(--soft)"},
    "text": {"color": "var(--ink)", "fontSize": 12},
}


@cache
def script() -> str:
    """The JavaScript of Vega, Vega-Lite and Vega-Embed, from vl_convert's own copy; it takes 3 s to bundle once."""
    import vl_convert

    kept = cache_folder() / f"vega-{version('vl-convert-python')}.js"
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    # The one end tag that a script must not hold.
    text = str(vl_convert.javascript_bundle(_GLOBALS)).replace("</script", "<\\/script")
    with suppress(OSError):  # it is only slower the next time
        write_whole(kept, text)
    return text


def still(spec: dict[str, Any], name: str, *, width: int = 900) -> str:
    """The chart as SVG whose colors are the page's variables; `name` tells its elements from other charts'."""
    import vl_convert

    sized = {**spec, "width": width} if spec.get("width") == "container" else spec
    svg = str(vl_convert.vegalite_to_svg(json.dumps({**sized, "config": CONFIG}, allow_nan=False)))
    bare = re.sub(r' (?:role|aria-\w+)="[^"]*"', "", svg)
    # Vega numbers what clips on and on, chart after chart.
    clips = {clip: f"{name}-clip{at}" for at, clip in enumerate(dict.fromkeys(re.findall(r'id="(clip\d+)"', bare)))}
    return re.sub(r"\bclip\d+\b", lambda found: clips.get(found[0], found[0]), bare)
