"""Responses as plain values: which may be stored, how they are, and what becomes of them again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase, ResponseHeaders
from django.template.response import TemplateResponse
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.http import parse_http_date_safe, quote_etag

from everfresh import codec
from everfresh.exceptions import Unencodable
from everfresh.keys import digest, encode

__all__ = ["Stored", "conditional", "reason_not_to_store", "rebuilt", "stored"]

Stored = tuple[int, str | None, dict[str, str], bytes, dict[str, Any]]
"""Status, reason phrase, headers, content, and what was said to middleware by attributes."""

_OK, _NOT_FOUND = 200, 404


def reason_not_to_store(response: Any, varies: Iterable[str], *, is_private: bool, has_read: bool) -> tuple[str, str]:
    """Why *response* is nobody else's, and what to write instead; two empty texts where it may be shared.

    Args:
        response: what the view returned, rendered.
        varies: the headers that it may vary on: those that its key holds.
        is_private: is it kept for one user alone?
        has_read: did it read from the database, so that a write drops it?
    """
    if not isinstance(response, HttpResponseBase):
        return f"it returned {type(response).__name__}", "A view returns an HttpResponse."
    if response.streaming:
        return "its response is streamed", "What is streamed is read once."
    if response.status_code != _OK and not (response.status_code == _NOT_FOUND and has_read):
        return f"its response has the status {response.status_code}", "Responses of status 200 are cached."
    if response.cookies:
        return f"its response sets the cookie {next(iter(response.cookies))!r}", "Set it in a view that is not cached."
    control = _parts(response, "Cache-Control")
    if "no-store" in control or ("private" in control and not is_private):
        return (
            f"its response has Cache-Control: {response['Cache-Control']}",
            "Leave out what says so; with user=True, a private response is kept for its user.",
        )
    unheld = sorted(_parts(response, "Vary") - {name.lower() for name in varies})
    if unheld:
        return f"its response has Vary: {', '.join(unheld)}", "Add it to headers=; of Cookie, say which in cookies=."
    for name, value in vars(response).items():
        if name[:1] == "_" and name not in _OWN and not _is_plain(value):
            return f"its response carries {name}, which cannot be stored", "Put the decorator that sets it around this."
    return "", ""


def stored(response: HttpResponse, varies: Sequence[str]) -> Stored:
    """*response* as plain values, with the headers that go with being stored.

    Its ETag is a digest of all of it. Versions would not do: the responses of two keys may depend on the same ones.
    """
    if varies:
        patch_vary_headers(response, varies)
    headers = {str.__str__(name): str.__str__(value) for name, value in response.headers.items()}
    reason = response._reason_phrase  # type: ignore[attr-defined]
    if response.status_code == _OK and "ETag" not in response.headers:
        headers["ETag"] = quote_etag(digest(encode((reason, headers, response.content))))
    extras = {name: value for name, value in vars(response).items() if name not in _OWN and _is_said(name, value)}
    return response.status_code, reason, headers, response.content, extras


def rebuilt(values: Stored) -> HttpResponse:
    """The response, as good as new."""
    status, reason, headers, content, extras = values
    response = HttpResponse(content, status=status, reason=reason)
    response.headers = ResponseHeaders(headers)
    vars(response).update(extras)
    return response


def conditional(request: HttpRequest, response: Any) -> Any:
    """*response*, or what *request* gets in place of it because of its ``If-None-Match`` and the like."""
    if not isinstance(response, HttpResponse) or not {"ETag", "Last-Modified"} & set(response.headers):
        return response
    last_modified = response.headers.get("Last-Modified")
    return get_conditional_response(
        request,
        etag=response.headers.get("ETag"),
        last_modified=parse_http_date_safe(last_modified) if last_modified else None,
        response=response,
    )


_OWN: Final = frozenset(
    {
        *("_closable_objects", "_container", "_handler_class", "_is_rendered", "_reason_phrase", "_resource_closers"),
        *("closed", "cookies", "headers", "status_code", "text", "using"),
        *TemplateResponse.rendering_attrs,
    }
)
"""What a response is made of. Any other attribute was put there by somebody, for somebody else."""


def _parts(response: HttpResponseBase, header: str) -> set[str]:
    """The names in a header that is a list."""
    return {part.partition("=")[0].strip().lower() for part in response.get(header, "").split(",")} - {""}


def _is_said(name: str, value: object) -> bool:
    """Is the attribute one that middleware may look for, and not what the response was rendered from?"""
    return name[:1] == "_" or value is None or isinstance(value, bool | int | float | str)


def _is_plain(value: object) -> bool:
    try:
        codec.encode_value(value)
    except Unencodable:
        return False
    return True
