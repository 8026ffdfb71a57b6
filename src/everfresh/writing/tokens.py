"""SQL text as tokens, by the quoting and comment rules of each vendor, and a reader that notes table names.

What is not understood raises `UnclearError`, which the caller takes for a statement that may write anything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["READINGS", "Lexer", "Reader", "UnclearError"]

_LETTER = r"\w$\x80-\U0010ffff"  # beyond ASCII every server takes every character, `\w` does not
_PLAIN = r"'[^']*+(?:''[^']*+)*+'"
_ESCAPED = r"'(?:[^'\\]++|\\.|'')*+'"
_DOUBLE = r'"[^"]*+(?:""[^"]*+)*+"'
_DOUBLE_ESCAPED = r'"(?:[^"\\]++|\\.|"")*+"'
_BACKTICK = r"`[^`]*+(?:``[^`]*+)*+`"
_TAG = r"[a-zA-Z_\x80-\U0010ffff][0-9a-zA-Z_\x80-\U0010ffff]*+"
_DOLLAR = rf"\$(?P<tag>(?:{_TAG})?)\$.*?\$(?P=tag)\$"
_Q_QUOTE = r"[nN]?[qQ]'(?:\[.*?\]|\{.*?\}|\(.*?\)|<.*?>|(?P<q>[^\s\[{(<]).*?(?P=q))'"
_BLOCK = r"/\*(?:[^*]++|\*(?!/))*+\*/"
_NESTED = r"/\*(?:[^*/]++|\*(?!/)|/(?!\*))*+\*/"
for _ in range(3):  # deeper nesting is left unread
    _NESTED = rf"/\*(?:[^*/]++|\*(?!/)|/(?!\*)|{_NESTED})*+\*/"

_BROKEN = "\0"
_starts_word = re.compile(rf"[{_LETTER}]").match


class Lexer:
    """The quoting and comment rules of one vendor."""

    def __init__(
        self, *, comment: str, string: str, name: str, opener: str, delimited: str = "(?!)", letter: str = _LETTER
    ) -> None:
        value = rf"(?:%s|\?|\d++)(?![{letter}.])"
        value = rf"{value}(?:\s*+,\s*+{value})*+"  # as one token, which keeps long IN lists cheap
        opener = rf"{opener}|['\"]|/\*"  # what only a quotation or a comment starts with: here one without an end
        # Apart from the others, for patterns with back references fail inside a repetition (a bug of `re` in 3.11).
        self._delimited = re.compile(delimited, re.DOTALL)
        self._run = re.compile(
            rf"(?:\s++|{comment}|{string}|{name}|(?!{opener})(?:{value}|[{letter}]++|[^;]))*+", re.DOTALL
        )
        self._token = re.compile(
            rf"(?P<gap>\s++|{comment})|(?P<string>{delimited}|{string})|(?P<name>{name})|(?P<broken>{opener})"
            rf"|(?P<value>{value})|(?P<word>[{letter}]++)|(?P<other>.)",
            re.DOTALL,
        )

    def statement_end(self, sql: str, start: int) -> int:
        """Return where the semicolon after *start* is, the end of the text, or the place that cannot be read."""
        end = start
        while True:
            if run := self._run.match(sql, end):
                end = run.end()
            quoted = self._delimited.match(sql, end)
            if quoted is None:
                return end
            end = quoted.end()

    def tokens(self, sql: str, start: int, end: int) -> Iterator[str]:
        """Yield words casefolded, names after a ``"``, strings after a ``'``, values as ``?``, the rest as it is."""
        for match in self._token.finditer(sql, start, end):
            text = match[0]
            match match.lastgroup:
                case "word":
                    yield text.casefold()
                case "name":
                    yield '"' + text[1:-1].replace(text[-1] * 2, text[-1]).casefold()
                case "string":
                    yield "'" + text[1:-1].replace("''", "'").casefold()
                case "value":
                    yield text if text.isdigit() else "?"
                case "other":
                    yield text
                case "broken":
                    yield _BROKEN
                case _:
                    pass


def _mysql(string: str, double: str) -> Lexer:
    # A double quote opens a name under ANSI_QUOTES. An executable comment is run by some servers and not by others.
    comment = rf"#[^\n]*+|--(?=[\x00-\x20]|\Z)[^\n]*+|(?!/\*[A-Z]?!){_BLOCK}"
    return Lexer(comment=comment, string=string, name=rf"{double}|{_BACKTICK}", opener="`")


def _postgresql(string: str) -> Lexer:
    comment = rf"--[^\r\n]*+|{_NESTED}"
    string = rf"[eE]{_ESCAPED}|{string}"
    opener = rf"[uU]&\"|\$(?:{_TAG})?\$"
    return Lexer(comment=comment, string=string, name=_DOUBLE, opener=opener, delimited=_DOLLAR)


def _sqlite() -> Lexer:
    comment = r"--[^\n]*+|/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z)"  # the end of the text ends a comment too
    return Lexer(comment=comment, string=_PLAIN, name=rf"{_DOUBLE}|{_BACKTICK}|\[[^\]]*+\]", opener=r"[`\[]")


def _oracle() -> Lexer:
    comment = rf"--[^\n]*+|{_BLOCK}"
    opener, letter = "[nN]?[qQ]'", _LETTER + "#"
    return Lexer(comment=comment, string=_PLAIN, name=_DOUBLE, opener=opener, delimited=_Q_QUOTE, letter=letter)


READINGS: Final = {
    "sqlite": [_sqlite()],
    # Whether a backslash escapes a quote is a setting of the server: where it matters, both readings count.
    "postgresql": [_postgresql(_PLAIN), _postgresql(_ESCAPED)],
    "mysql": [_mysql(_ESCAPED, _DOUBLE_ESCAPED), _mysql(_PLAIN, _DOUBLE)],
    "oracle": [_oracle()],
}


class UnclearError(Exception):
    """The text is not understood, so it may write anything."""


class Reader:
    """A place in a statement; tokens beyond it are not read before they are asked for."""

    __slots__ = ("_rest", "head", "names", "vendor")

    def __init__(self, tokens: Iterator[str], vendor: str) -> None:
        self._rest = tokens
        self.vendor = vendor
        self.names: set[str] = set()
        self.head = next(tokens, "")

    def take(self) -> str:
        """Return the token under the cursor and step over it; an empty one at the end."""
        token = self.head
        if token == _BROKEN:
            raise UnclearError
        self.head = next(self._rest, "")
        return token

    def rest(self) -> list[str]:
        """Return all tokens that are left."""
        return list(iter(self.take, ""))

    def skip(self, *words: str) -> bool:
        """Step over any number of *words*; return whether there were some."""
        found = False
        while self.head in words:
            found = True
            self.take()
        return found

    def at_name(self) -> bool:
        """Whether the token under the cursor may be a name. SQLite takes strings for names."""
        first = self.head[:1]
        return first == '"' or (first == "'" and self.vendor == "sqlite") or _starts_word(first) is not None

    def name(self) -> None:
        """Note the name under the cursor, its last part if it is qualified."""
        if self.vendor == "postgresql" and self.skip("only"):
            self.skip("(")
        elif self.vendor == "oracle" and self.head in ("table", "only", "the"):  # of a query in parentheses
            raise UnclearError
        if not self.at_name():
            raise UnclearError
        part = self.take()
        while self.head == ".":
            self.take()
            if self.skip("*"):  # MySQL: DELETE a.* FROM a
                break
            if not self.at_name():
                raise UnclearError
            part = self.take()
        part = part[1:] if part[0] in "'\"" else part
        self.names |= {part, part.replace("%%", "%")}  # with parameters a percent sign is written twice

    def names_listed(self) -> None:
        """Note ``a, b`` after an optional ``IF [NOT] EXISTS``."""
        if self.head == "if":
            token = self.take()
            if not (self.skip("not") | self.skip("exists")):
                self.names.add(token)  # a table by the name of "if"
                return
        self.name()
        self.skip("*")
        while self.skip(","):
            self.name()
            self.skip("*")

    def names_after(self, *words: str) -> None:
        """Note what follows one of *words* anywhere in the rest."""
        while self.head:
            if self.take() in words:
                self.skip("to", "as", "table")
                if self.at_name():
                    self.name()
