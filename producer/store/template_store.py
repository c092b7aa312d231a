"""The named graphs, each with a copy of its graph: what a name stands for expires with no job."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Any, Final

from producer.contract.errors import InvalidJob, TemplateChanged, TemplateNotFound
from producer.contract.graph.json_values import canonical, printable
from producer.contract.json_texts import read_json
from producer.contract.near_names import near_names
from producer.contract.templates import (
    MOST_TEMPLATE_BYTES,
    MOST_TEMPLATES,
    Template,
    TemplateGraph,
    TemplatePut,
)
from producer.store import keys
from producer.store.connection import translated
from producer.store.records import packed
from producer.store.scripts import Scripts
from producer.store.times import utc

if TYPE_CHECKING:
    from redis import Redis

#: How a caller says that a name must not be taken yet: what no etag can be.
ABSENT: Final = "\n"
#: Readings of one that changes meanwhile.
_READINGS: Final = 5


class LargeTemplate(Exception):
    """A template that is larger than was wanted."""


class TemplateStore:
    """Keeps named graphs by owner and name.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, *, scripts: Scripts | None = None) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)

    def put(
        self,
        name: str,
        graph: bytes,
        *,
        owner: str,
        graph_nodes: int,
        extra_data: bytes = b"",
        expected: str = "",
    ) -> tuple[TemplatePut, bool]:
        """Give a graph a name; one that has it already stays as it is. Return what is there, and whether that was changed.

        Args:
            graph, extra_data: canonical JSON; `extra_data` empty for none.
            expected: the etag of what must be there; `*` for anything, `ABSENT`, or empty.

        Raises:
            TemplateChanged: something else is there.
            InvalidJob: its owner would have too many, or too large ones.
        """
        outcome, found = self._scripts.run(
            "template_put",
            args=[
                *(owner, name, hashlib.sha256(graph).hexdigest()),
                hashlib.sha256(extra_data).hexdigest() if extra_data else "",
                *(packed(graph), packed(extra_data), graph_nodes, len(graph)),
                *(expected, MOST_TEMPLATES, MOST_TEMPLATE_BYTES),
            ],
        )
        if outcome == "other":
            raise _changed(name, expected, found)
        if outcome == "many":
            raise InvalidJob(
                f"there are {found} templates already, as many as an owner may have",
                field="template",
                advice="delete one that is not used",
            )
        if outcome == "large":
            raise InvalidJob(
                f"all templates would have {found:,} bytes, compressed; an owner may have "
                f"{MOST_TEMPLATE_BYTES:,}",
                field="graph",
                advice="delete one that is not used, or hand pictures in as input files",
            )
        return TemplatePut(_template(name, owner, found), outcome == "new"), outcome != "same"

    def delete(self, name: str, *, owner: str, expected: str = "") -> None:
        """Forget a named graph; raises TemplateNotFound, or TemplateChanged as of `put`."""
        outcome, *etag = self._scripts.run("template_delete", args=[owner, name, expected])
        if outcome == "nothing":
            raise self._unknown(name, owner=owner)
        if outcome == "other":
            raise _changed(name, expected, etag[0])

    def all(self, *, owner: str | None = None) -> list[Template]:
        """Return the named graphs of an owner, or of all, by owner and name; one that is torn is left out."""
        found: list[Template] = []
        for one in self.owners() if owner is None else [owner]:
            with translated(self._redis):
                texts: dict[str, str] = self._redis.hgetall(keys.templates(one))  # type: ignore[assignment]
            for name, text in sorted(texts.items()):
                if (template := _readable(name, one, text)) is not None:
                    found.append(template)
        return found

    def owners(self) -> list[str]:
        """Return the owners that have named graphs."""
        with translated(self._redis):
            found: list[str] = self._redis.hkeys(keys.TEMPLATES)  # type: ignore[assignment]
        return sorted(found)

    def content(self, name: str, *, owner: str) -> str:
        """Return digests of what a name stands for now, as of `content_of`; empty where `get` is to say what is wrong."""
        with translated(self._redis):
            text: str | None = self._redis.hget(keys.templates(owner), name)  # type: ignore[assignment]
        try:
            return _content(read_json(text)) if text else ""
        except (ValueError, TypeError, KeyError):
            return ""

    def get(self, name: str, *, owner: str, most_bytes: int | None = None) -> TemplateGraph:
        """Return a named graph, as it is at one moment.

        Raises:
            TemplateNotFound: there is none, or what is there cannot be read; names the nearest.
            LargeTemplate: it has more than *most_bytes*; nothing of it was unpacked.
        """
        try:
            found = self._find(name, owner, most_bytes=most_bytes)
        except ValueError:
            raise TemplateNotFound(
                f"what is kept of template {printable(name)} cannot be read; put it again"
            ) from None
        if found is None:
            raise self._unknown(name, owner=owner)
        return found

    def torn(self, *, owner: str) -> list[str]:
        """Return the names of an owner's that cannot be read."""
        with translated(self._redis):
            names: list[str] = self._redis.hkeys(keys.templates(owner))  # type: ignore[assignment]
        return [name for name in sorted(names) if self._is_torn(name, owner)]

    def _is_torn(self, name: str, owner: str) -> bool:
        try:
            self._find(name, owner)
        except ValueError:
            return True
        return False

    def _find(
        self, name: str, owner: str, *, most_bytes: int | None = None
    ) -> TemplateGraph | None:
        """Return a named graph, or None; raises ValueError for one that cannot be read."""
        flaw: Exception | None = None
        for _ in range(_READINGS):
            text, graph, extra = self._parts(name, owner)
            if text is None:
                return None
            try:
                if most_bytes is not None and _template(name, owner, text).bytes > most_bytes:
                    raise LargeTemplate
                return _whole(name, owner, text, graph, extra)
            except (ValueError, TypeError, KeyError, OverflowError, zlib.error) as exc:
                flaw = exc  # it may have changed between the reads
        raise ValueError(str(flaw))

    def _parts(self, name: str, owner: str) -> tuple[str | None, bytes | None, bytes | None]:
        graphs = keys.named_graphs(owner)
        # In a transaction redis-py decodes every reply; so record and graph are compared, and read again.
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            pipe.hget(keys.templates(owner), name)
            for field in (name, f"{name}:extra_data"):
                pipe.execute_command("HGET", graphs, field, NEVER_DECODE=True)  # type: ignore[no-untyped-call]
            text, graph, extra = pipe.execute()
        return text, graph, extra

    def _unknown(self, name: str, *, owner: str) -> TemplateNotFound:
        names = [template.name for template in self.all(owner=owner)]
        near = near_names(name, names)
        hint = f"; did you mean {near[0]}?" if near else ""
        return TemplateNotFound(f"there is no template {printable(name)}{hint}")


def _whole(
    name: str, owner: str, text: str, graph: bytes | None, extra: bytes | None
) -> TemplateGraph:
    """Return a named graph; raises ValueError and others for what does not belong together."""
    told = _template(name, owner, text)
    content, beside = zlib.decompress(graph or b""), zlib.decompress(extra) if extra else b""
    digests = [hashlib.sha256(content).hexdigest()]
    digests += [hashlib.sha256(beside).hexdigest()] if extra else []
    record: dict[str, Any] = read_json(text)
    if digests != [told.template, *([record["extra_data"]] if "extra_data" in record else [])]:
        raise ValueError("its record is of another graph")
    return TemplateGraph(
        **told.model_dump(),
        graph=read_json(content),
        extra_data=read_json(beside) if beside else {},
    )


def content_of(found: TemplateGraph) -> str:
    """Return digests of a graph and of what goes beside it: the same for every name that stands for the same."""
    extra = canonical(found.extra_data).encode() if found.extra_data else b""
    digest = hashlib.sha256(extra).hexdigest() if extra else ""
    return _content({"template": found.template, "extra_data": digest})


def _content(record: dict[str, Any]) -> str:
    return f"{record['template']} {record.get('extra_data', '')}".strip()


def _template(name: str, owner: str, text: str) -> Template:
    record: dict[str, Any] = read_json(text)
    return Template(
        name=name,
        owner=owner,
        created_at=utc(int(record["created_ms"])),
        updated_at=utc(int(record["updated_ms"])),
        **{field: record[field] for field in ("revision", "template", "graph_nodes", "bytes")},
    )


def _readable(name: str, owner: str, text: str) -> Template | None:
    try:
        return _template(name, owner, text)
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _changed(name: str, expected: str, etag: str) -> TemplateChanged:
    if expected == ABSENT:
        return TemplateChanged(f"there is a template {name} already", etag=etag)
    if not etag:
        return TemplateChanged(f"there is no template {name} any more")
    return TemplateChanged(
        f"template {name} is {etag} by now, and not {printable(expected)}", etag=etag
    )
