"""Template fragments: what a part of a template renders to, kept for as long as rendering it would give the same.

What it reads from the database records itself. What it uses from outside of itself is found out when it is rendered:
the entry holds a digest of each such value, and answers only where the present values have the same ones. So the same
fragment can never show one visitor what was rendered for another, whatever its author forgot to name in the tag.

Template languages differ in how they find out what is used: `Surroundings` is what they give.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from typing import Any, Final, Protocol

from django.conf import settings as django_settings
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model
from django.urls import get_script_prefix, get_urlconf
from django.utils.functional import Promise
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import get_language

from everfresh.bounded import Bounded
from everfresh.events import Outcome, Read, emit
from everfresh.exceptions import Uncacheable, Unencodable
from everfresh.fragments.pages import asked_again, held_by, named_as
from everfresh.given import canonical, note_given, settled
from everfresh.keys import digest, encode
from everfresh.names import invalidate_name
from everfresh.naming import entry_key, tag_names
from everfresh.queries.terms import ModelName, any_write
from everfresh.recorded import Computation, read_recorded
from everfresh.recording import Recording, current_recording, recording_in
from everfresh.records import record_clause

__all__ = [
    "MISSING",
    "Fragment",
    "Note",
    "Surroundings",
    "Wanted",
    "invalidate_fragment",
    "lifetime",
    "render",
    "texts",
]

log = logging.getLogger("everfresh")


class _Missing:
    """What a name stands for that nothing is called by."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()

TEXT: Final = "template:"
"""What stands before the name of a template, where its text is what is used from outside."""

Note = Callable[[str, Any], Any]
"""Called with a name and its value when that is used from outside of a fragment; gives the value to use."""

_NEVER: Final = {
    "csrf_token": "is one visitor's own",
    "csrf_input": "is one visitor's own",
    "csp_nonce": "is another one for each response",
}
_OWN: Final = frozenset({"True", "False", "None"})

_warned: Bounded[str, bool] = Bounded(1_024)
"""What was warned of: once is enough."""


class Surroundings(Protocol):
    """What is around a fragment in one rendering of its template."""

    def get(self, name: str) -> Any:
        """What *name* stands for around the fragment; `MISSING` where it is no name."""
        ...

    def render(self, note: Note | None) -> str:
        """Render the body, calling *note* for each name from outside that it uses."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A fragment as it stands in its template."""

    name: str
    source: str
    """What tells it from other fragments of its name, and from what stood here before a deploy."""

    answered: frozenset[str] = frozenset()
    """Names in its tag: what they stand for may change what it shows, and the tag says how."""

    by_language: bool = True
    by_time_zone: bool = True

    @property
    def label(self) -> str:
        """What it is called in events, in warnings and for who invalidates it."""
        return f"fragment:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a tag says when it is reached."""

    vary: tuple[Any, ...] = ()
    timeout: float | None = None
    """Seconds; ``None`` is for ever, 0 stores nothing."""

    grace: float | None = None
    """Seconds; ``None``: an old rendering is never served."""

    tags: tuple[str, ...] = ()
    """People's tags, for `everfresh.invalidate_tags`."""

    depends_on: tuple[ModelName, ...] = ()
    """Models whose every write drops it: for what it reads by raw SQL and other ways that cannot be followed."""

    using: str = ""
    """The attribute of the first of *vary*, an instance, that is another one whenever the instance is."""

    surroundings: tuple[object, ...] = ()
    """What else tells its renderings apart, such as whether it escapes."""

    before: Callable[[], object] | None = None
    """Called when it is about to be rendered, to depend on more than it reads."""

    def __post_init__(self) -> None:
        if not self.using:
            return
        record = self.vary[0] if self.vary else None
        if not isinstance(settled(record), Model):
            raise TypeError(f"using={self.using!r} needs an instance of a model as first value, not {record!r}.")
        if not hasattr(record, self.using):
            raise ValueError(f"using={self.using!r}: {record!r} has no such attribute.")


def lifetime(value: Any) -> float | None:
    """The seconds that a tag gives: a number, its text, a timedelta, or ``None`` for ever.

    Raises:
        ValueError: for anything else.
    """
    if value is None:
        return None
    found = -1.0
    if isinstance(value, timedelta):
        found = value.total_seconds()
    elif not isinstance(value, bool):
        with suppress(TypeError, ValueError):
            found = float(value)
    if not (isfinite(found) and found >= 0):
        raise ValueError(f"a timeout that is no number of seconds and not None: {value!r}")
    return found


def texts(value: Any) -> tuple[str, ...]:
    """The names that a tag gives: one, or several in any container, or none."""
    if value is None:
        return ()
    return (str.__str__(value),) if isinstance(value, str) else tuple(str.__str__(str(each)) for each in value)


def render(fragment: Fragment, wanted: Wanted, here: Surroundings) -> SafeString:
    """What *fragment* renders to *here*, from the cache where that is the same.

    One round trip to the store on a hit.
    """
    try:
        computation = _computation(fragment, wanted, lambda value: _difference(value[1], here))
    except Unencodable as error:
        reason = f"its tag names {error}, which nothing tells from another one"
        way_out = "Name what it needs of it, as page.number of page; unsaved rows have no key yet."
        return _render_plainly(fragment, here, reason, way_out)
    except Uncacheable as refusal:
        return _render_plainly(fragment, here, refusal.reason, "Name other models in depends_on.")
    around = current_recording()

    def compute() -> tuple[str, dict[str, str]]:
        recorded = current_recording()
        if recorded is None or recorded is around:
            # Nothing is kept of it, so nobody need know what it uses.
            return str.__str__(here.render(None)), {}
        if wanted.before is not None:
            wanted.before()
        uses = _Uses(fragment, wanted, around)
        html = str.__str__(here.render(uses.note))
        if uses.refused:
            recorded.refused = uses.refused
        return html, uses.digests

    return mark_safe(read_recorded(computation, compute).value[0])  # noqa: S308  the template's own output


def _render_plainly(fragment: Fragment, here: Surroundings, reason: str, way_out: str) -> SafeString:
    _warn(fragment, reason, way_out)
    emit(Read(Outcome.BYPASS, reason, fragment.label))
    return mark_safe(here.render(None))  # noqa: S308  the template's own output


def invalidate_fragment(name: str, *vary: Any) -> None:
    """Have a fragment rendered anew that was rendered for these values: in all languages, wherever it stands.

    What it shows of the database needs none of this. Inside a transaction it takes effect at COMMIT.
    ``everfresh.names.invalidate_label("fragment:<name>")`` does it for all values.

    Raises:
        Unencodable: for values that no fragment can be stored for.
    """
    invalidate_name(_readable(name, vary))


def _computation(fragment: Fragment, wanted: Wanted, unsuited: Callable[[Any], str]) -> Computation:
    """What is to be read.

    Raises:
        Uncacheable: where it is to depend on a model whose writes are not looked at.
        Unencodable: where the tag names what nothing names.
    """
    vary = tuple(settled(each) for each in wanted.vary)
    named = [_named(each) for each in vary]
    if wanted.using:
        named.append(_named(getattr(vary[0], wanted.using)))
    told_apart = (
        fragment.label,
        fragment.source,
        tuple(named),
        wanted.using,
        wanted.surroundings,
        get_language() if fragment.by_language and django_settings.USE_I18N else "",
        get_current_timezone_name() if fragment.by_time_zone and django_settings.USE_TZ else "",
        getattr(get_urlconf(), "__name__", get_urlconf()),
        get_script_prefix(),
    )
    declared = any_write(wanted.depends_on, DEFAULT_DB_ALIAS)
    rows = [each for each in vary if isinstance(each, Model)]
    if wanted.using:
        # Its attribute says when it is another one, and nobody else has to.
        del rows[0]
    return Computation(
        key=entry_key("p", digest(encode(told_apart))),
        label=fragment.label,
        name=_readable(fragment.name, vary),
        timeout=wanted.timeout,
        grace=wanted.grace,
        tags=wanted.tags,
        also=(*map(record_clause, rows), *declared.named(tag_names(declared.names))),
        is_declared=bool(wanted.depends_on),
        unsuited=unsuited,
    )


class _Uses:
    """What a fragment used from outside while it was rendered."""

    def __init__(self, fragment: Fragment, wanted: Wanted, around: Recording | None) -> None:
        self._fragment = fragment
        self._around = around
        self._versioned = settled(wanted.vary[0]) if wanted.using else None
        self.digests: dict[str, str] = {}
        self.refused = ""
        """Why the rendering is nobody else's."""

    def note(self, name: str, value: Any) -> Any:
        """*name* is used, and stands for *value*."""
        root = name.partition(".")[0]
        if root in _OWN:
            return value
        if root in _NEVER and value is not MISSING:
            # Not looked at: whoever asks whether a nonce was made must not make one.
            self._refuse(f"it uses {root}, which {_NEVER[root]}", "Keep what uses it outside of the fragment.")
            return value
        with recording_in(self._around):
            found = settled(value)
        if found is not None and found is self._versioned:
            return value
        instead = asked_again(found)
        note_given([held_by(instead)])
        if root not in self._fragment.answered:
            try:
                self.digests[name] = _digest(found)
            except Unencodable as error:
                self._refuse(
                    f"it uses {root}, which holds {error}",
                    f"Name in the tag what it needs of it, as in "
                    f'{{% fragment "{self._fragment.name}" {root}.something %}}, or keep that outside of the fragment.',
                )
        return value if instead is found else instead

    def _refuse(self, reason: str, way_out: str) -> None:
        self.refused = self.refused or reason
        _warn(self._fragment, reason, way_out)


def _difference(digests: Mapping[str, str], here: Surroundings) -> str:
    """Why what was rendered with values of these *digests* is not what would be rendered *here*; empty: it is."""
    for name, was in digests.items():
        value = here.get(name)
        if value is MISSING or not was:
            # What was not there then need not be looked into now.
            is_same = value is MISSING and not was
        else:
            is_same = False
            with suppress(Unencodable):
                is_same = _digest(settled(value)) == was
        if not is_same and name.startswith(TEXT):
            return f"the text of {name.removeprefix(TEXT)} has changed"
        if not is_same:
            return f"{name} differs; name it in the tag to keep a rendering for each of its values"
    return ""


def _digest(value: Any) -> str:
    return "" if value is MISSING else digest(encode(_named(value)))


def _named(value: Any) -> Any:
    """What names *value*, which may be a page.

    Raises:
        Unencodable: where nothing does.
    """
    return canonical(named_as(value))


def _readable(name: str, vary: Iterable[Any]) -> str:
    """What one rendering is called by people: of instances their model and key."""
    return f"fragment:{name}({', '.join(map(_said, vary))})"


def _said(value: Any) -> str:
    value = settled(value)
    if isinstance(value, Model):
        return f"{value._meta.label}:{value.pk}"
    if isinstance(value, Promise):
        return repr(str.__str__(str(value)))
    if isinstance(value, str):
        return repr(str.__str__(value))
    text = repr(value)
    return text if len(text) <= 100 else digest(encode(_named(value)))


def _warn(fragment: Fragment, reason: str, way_out: str) -> None:
    if not _warned.get(fragment.label):
        _warned[fragment.label] = True
        log.warning("The fragment %r is not cached: %s. %s", fragment.name, reason, way_out)
