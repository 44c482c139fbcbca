"""HTML that cannot forget to escape: text is escaped unless it was made here."""

from __future__ import annotations

import html
from typing import Final

VOID: Final = frozenset({"img", "meta", "link", "br", "hr"})


class Markup(str):
    """Text that is HTML already; only this module makes it."""

    __slots__ = ()


def element(tag: str, *children: Markup | str | None, **attributes: str | float | bool) -> Markup:
    """`<tag …>children</tag>`. Plain strings are escaped, None is left out.

    Attribute names lose a trailing underscore (class_); inner ones become hyphens (stroke_width);
    `True` gives a bare attribute, `False` none.
    """
    parts = [tag]
    for name, value in attributes.items():
        if value is False:
            continue
        key = name.rstrip("_").replace("_", "-")
        parts.append(key if value is True else f'{key}="{html.escape(str(value), quote=True)}"')
    opening = f"<{' '.join(parts)}>"
    if tag in VOID:
        return Markup(opening)
    return Markup(f"{opening}{joined(*children)}</{tag}>")


def joined(*children: Markup | str | None) -> Markup:
    """Children one after another, plain strings escaped."""
    return Markup("".join(_safe(child) for child in children if child is not None))


def raw_text(text: str) -> Markup:
    """The content of <style>, which must not be escaped; ours only, never data."""
    if "</" in text:
        raise ValueError("a style cannot hold a closing tag")
    return Markup(text)


def _safe(child: Markup | str) -> str:
    return str(child) if isinstance(child, Markup) else html.escape(child, quote=True)
