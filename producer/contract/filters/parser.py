"""From the text of a filter to what it asks, or to what is wrong with it and where.

filter  = "all" | term*         apart by spaces
term    = ["-"] field ":" value ("," value)*
value   = a word without spaces, commas and quotes, or anything in double quotes (\\" and \\\\ inside)
"""

from __future__ import annotations

from typing import Final, NoReturn

from producer.contract.errors import InvalidQuery
from producer.contract.filters.fields import FIELDS, Field
from producer.contract.filters.query import ALL, Filter, Term, TimeTerm
from producer.contract.filters.times import read_span
from producer.contract.graph.json_values import short
from producer.contract.near_names import near_names

#: Characters of a filter, its terms, and values of one of them.
LONGEST_FILTER: Final = 4_000
_MOST_TERMS: Final = 100
_MOST_VALUES: Final = 200
#: Names that a message tells.
_TOLD: Final = 12


def parse_filter(text: str) -> Filter:
    """Read a filter; an empty one means all jobs, and so does `all`, which says it.

    Raises:
        InvalidQuery: with the position of the character at fault, from 1, and what was expected.
    """
    if not isinstance(text, str):
        raise InvalidQuery(f"filter must be text, not {type(text).__name__}", field="filter")
    if len(text) > LONGEST_FILTER:
        raise InvalidQuery(
            f"filter has {len(text):,} characters; expected at most {LONGEST_FILTER:,}",
            field="filter",
        )
    if text.strip() == ALL:
        return Filter(is_all=True)
    return _Parser(text).filter()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._terms: list[Term | TimeTerm] = []

    def filter(self) -> Filter:
        self._skip_spaces()
        while self._at < len(self._text):
            begin = self._at
            if len(self._terms) >= _MOST_TERMS:
                self._fail(
                    begin,
                    f"more than {_MOST_TERMS} terms; expected values of one field by comma, as node:one,other",
                )
            self._term()
            self._check_sense(begin)
            self._skip_spaces()
        return Filter(tuple(self._terms))

    def _term(self) -> None:
        begin = self._at
        is_not = self._take("-")
        field = self._field(begin)
        values = [self._value(field)]
        while self._take(","):
            values.append(self._value(field))
        self._check_end()
        if len(values) > _MOST_VALUES:
            self._fail(begin, f"{field.name} has {len(values):,} values; expected at most 200")
        if not field.is_time:
            self._add(begin, Term(field.name, tuple(text for _, text in values), is_not))
            return
        if len(values) > 1:
            self._fail(values[1][0], f"{field.name} takes one time; expected a space, or the end")
        at, value = values[0]
        try:
            span = read_span(value)
        except ValueError as exc:
            self._fail(at, f"'{short(value)}' {exc}")
        self._terms.append(TimeTerm(field.name, span, is_not))

    def _field(self, begin: int) -> Field:
        word_at = self._at
        word = self._word(':"')
        if not word:
            found = f"'{self._text[word_at]}'" if word_at < len(self._text) else "the end"
            self._fail(word_at, f"found {found}; expected a field, as in status:failed")
        if not self._take(":"):
            if word == ALL:
                self._fail(
                    begin, f"'{ALL}' means all jobs, and stands alone; expected terms, or it"
                )
            self._fail(begin, f"'{short(word)}' names no field; expected {_field_for(word)}")
        if word not in FIELDS:
            self._fail(word_at, f"there is no field '{short(word)}'; {_meant(word, tuple(FIELDS))}")
        return FIELDS[word]

    def _value(self, field: Field) -> tuple[int, str]:
        """Return where a value begins, and what it is."""
        at = self._at
        is_quoted = self._peek() == '"'
        value = self._quoted() if is_quoted else self._word(',"')
        if not value and not is_quoted:
            found = f"'{self._peek()}'" if self._peek() else "the end"
            self._fail(at, f"found {found}; expected a value, as in {field.example}")
        if field.choices and value not in field.choices:
            self._fail(
                at, f"there is no {field.name} '{short(value)}'; {_meant(value, field.choices)}"
            )
        if flaw := field.flaw(value):
            self._fail(at, f"{field.name} {flaw}")
        return at, value

    def _quoted(self) -> str:
        begin, read = self._at, []
        self._at += 1
        while (char := self._peek()) != '"':
            if char == "\\" and self._text[self._at + 1 : self._at + 2] in ('"', "\\"):
                self._at += 1
                char = self._peek()
            if not char:
                self._fail(begin, 'a quote is not closed; expected another "')
            read.append(char)
            self._at += 1
        self._at += 1
        return "".join(read)

    def _check_end(self) -> None:
        char = self._peek()
        if char and not char.isspace():
            self._fail(self._at, f"found '{char}'; expected a comma, a space, or the end")

    def _add(self, begin: int, term: Term) -> None:
        if not term.is_not and any(
            isinstance(other, Term) and other.field == term.field and not other.is_not
            for other in self._terms
        ):
            self._fail(
                begin,
                f"{term.field} stands here twice, and no job has two; "
                f"expected its values by comma, as {term.field}:one,other",
            )
        self._terms.append(term)

    def _check_sense(self, begin: int) -> None:
        """Refuse what no job can answer."""
        found = Filter(tuple(self._terms))
        last = self._terms[-1].field
        wanted = found.wanted(last)
        is_empty = found.span(last).is_empty or (wanted is not None and not wanted)
        if is_empty or not found.statuses:
            self._fail(
                begin, "with this term no job can be meant; expected one that fits those before it"
            )

    def _skip_spaces(self) -> None:
        while self._peek().isspace():
            self._at += 1

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, char: str) -> bool:
        is_next = self._peek() == char
        self._at += is_next
        return is_next

    def _word(self, ends: str) -> str:
        begin = self._at
        while (char := self._peek()) and not char.isspace() and char not in ends:
            self._at += 1
        return self._text[begin : self._at]

    def _fail(self, at: int, message: str) -> NoReturn:
        raise InvalidQuery(
            f"filter, character {at + 1}: {message}", field="filter", position=at + 1
        )


def _meant(word: str, known: tuple[str, ...]) -> str:
    if near := near_names(word.lower(), known, cutoff=0.5):
        return f"did you mean '{near[0]}'?"
    more = ", … (`comfyfleet job list --filters` tells all)" if len(known) > _TOLD else ""
    return f"expected one of {', '.join(known[:_TOLD])}{more}"


def _field_for(word: str) -> str:
    """Return what may have been meant by a word that stands alone."""
    for field in FIELDS.values():
        if word.lower() in field.choices:
            return f"{field.name}:{word.lower()}"
    near = near_names(word.lower(), FIELDS, cutoff=0.6)
    return FIELDS[near[0]].example if near else "field:value, as in status:failed"
