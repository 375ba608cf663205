"""What transforms can call beside JSONata's own functions: things of mail that a query language cannot read.

They are pure, take what a header or a body holds, and give JSON. What is not there is null, and what cannot be read is
null too, so that one bad header costs a property and not the message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lorchestra.callable.canonizer.functions.addresses import parse_addresses
from lorchestra.callable.canonizer.functions.bodies import decode_body, unescape_html
from lorchestra.callable.canonizer.functions.headers import decode_header, header_parameter, parse_date, parse_ids

FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "decodeBody": decode_body,
        "decodeHeader": decode_header,
        "headerParameter": header_parameter,
        "parseAddresses": parse_addresses,
        "parseDate": parse_date,
        "parseIds": parse_ids,
        "unescapeHtml": unescape_html,
    }
)
"""By the name that a transform calls them by, with a `$` before it."""

__all__ = ["FUNCTIONS"]
