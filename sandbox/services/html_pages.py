"""Small HTML pages from templates. Every value is escaped; the pages load nothing from anywhere."""

from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from starlette.responses import HTMLResponse, Response

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def render_page(name: str, title: str, values: Mapping[str, str], status: int = 200) -> Response:
    """The template `name` inside the common frame; plain strings are escaped, Markup is not."""
    inner = _load_template(name).substitute({key: _escape(value) for key, value in values.items()})
    return HTMLResponse(
        _load_template("frame").substitute(title=escape(title), content=inner), status, _HEADERS
    )


def render_hidden_fields(values: Mapping[str, str]) -> Markup:
    """Form fields that carry these values unseen."""
    return Markup(
        "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in values.items())
    )


def render_list_items(texts: Iterable[str]) -> Markup:
    """`<li>` elements."""
    return Markup("".join(f"<li>{escape(text)}</li>" for text in texts))


def _escape(value: str) -> str:
    return value if isinstance(value, Markup) else escape(value)


@cache
def _load_template(name: str) -> Template:
    return Template((files("sandbox") / "pages" / f"{name}.html").read_text("utf-8"))
