"""The history entry of an ended prompt, parsed: its outcome, error, files and values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final, Self

from producer.contract.text_cleaning import abridged, writable
from worker.comfyui.returned_values import Values, fit_values
from worker.errors import NodeFault

_MESSAGE_CHARACTERS: Final = 2_000
_NAME_CHARACTERS: Final = 500
#: Each becomes an artifact in its job's record. A film of a quarter of an hour has as many frames.
_MOST_FILES: Final = 20_000
#: Characters of all that names them, which is kept, too. ComfyUI's own names have some 60 a file.
_MOST_NAMING: Final = 8_000_000
#: Characters of what a message calls a file.
_SHOWN_CHARACTERS: Final = 200
_LONG_ID: Final = 20  #: Digits; Python refuses to read thousands of them.
_TRACEBACK: Final = re.compile(
    r"^(Traceback \(most recent call last\)|  File \").*", re.MULTILINE | re.DOTALL
)


class Outcome(StrEnum):
    """How a prompt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class ExecutionError:
    """What a graph node raised.

    Args:
        exception_type: as ComfyUI names it: `RuntimeError`, `torch.OutOfMemoryError`.
        message: the exception's text, without traceback and paths in one.
    """

    graph_node: str | None
    class_type: str | None
    exception_type: str
    message: str


@dataclass(frozen=True)
class OutputFile:
    """A file that the history lists.

    Args:
        kind: the key it stands under. It tells nothing of the content: videos are `images`.
        index: from 0, through all kinds of one graph node.
        type: the folder of the node it lies in: `output`, `temp` or `input`.
    """

    graph_node: str
    kind: str
    index: int
    filename: str
    subfolder: str
    type: str

    def __str__(self) -> str:
        """Name the file and where it is from, for a message."""
        path = f"{self.subfolder}/{self.filename}" if self.subfolder else self.filename
        shown = abridged(f"{self.type} file {path}", most=_SHOWN_CHARACTERS)
        return f"{shown} of graph node {abridged(self.graph_node, most=_SHOWN_CHARACTERS)}"

    @property
    def naming(self) -> int:
        """The characters of all that names it."""
        texts = (self.graph_node, self.kind, self.filename, self.subfolder, self.type)
        return sum(map(len, texts))


@dataclass(frozen=True)
class HistoryEntry:
    """One entry of `GET /history/{prompt_id}`, as of ComfyUI 0.3.64 to 0.33.

    Args:
        error: what was raised, if the outcome is FAILED and ComfyUI says it.
        cached: the graph nodes that did not run because their results were still there. The
            files of such a node are those of an earlier prompt, and may be gone.
        duration_s: seconds from start to end by the node's clock, None where it does not say.
        outputs: in the order of graph node, kind, index. Those made before an error are there.
        values: `{graph_node: {key: [...]}}`, all that graph nodes returned beside files.
        left_out: `graph_node.key` of each value that was too large to keep.
        shown: the graph nodes that have anything to show, be it an empty list.
        earlier: the prompts whose work this one went on with.
    """

    prompt_id: str
    outcome: Outcome
    error: ExecutionError | None
    cached: frozenset[str]
    duration_s: float | None
    outputs: tuple[OutputFile, ...]
    values: Values
    left_out: tuple[str, ...]
    shown: frozenset[str] = frozenset()
    earlier: tuple[str, ...] = ()

    @classmethod
    def parse(cls, prompt_id: str, raw: Any, *, node: str) -> Self:
        """Read the value of `prompt_id` in the answer.

        Raises:
            NodeFault: there is nothing in it to judge the prompt by, or far too much.
        """
        entry = _object(raw)
        status = _object(entry.get("status"))
        messages = _messages(status)
        outcome = _outcome(messages, status)
        if outcome is None:
            raise NodeFault(node, f"its history does not say how prompt {prompt_id} ended")
        if outcome is Outcome.SUCCEEDED and not _are_outputs(entry.get("outputs", {})):
            raise NodeFault(node, f"prompt {prompt_id} has outputs of another shape than ComfyUI's")
        found = _by_graph_node(entry.get("outputs"))
        outputs = tuple(islice(_outputs(found), _MOST_FILES + 1))
        if len(outputs) > _MOST_FILES:
            raise NodeFault(node, f"prompt {prompt_id} lists more than {_MOST_FILES:,} files")
        if (naming := sum(output.naming for output in outputs)) > _MOST_NAMING:
            raise NodeFault(
                node,
                f"prompt {prompt_id} names its {len(outputs):,} files with {naming:,} characters,"
                f" more than {_MOST_NAMING:,}",
            )
        values, left_out = fit_values(_without_files(found))
        return cls(
            prompt_id=prompt_id,
            outcome=outcome,
            error=_error(messages) if outcome is Outcome.FAILED else None,
            cached=_cached(messages),
            duration_s=_duration_s(messages),
            outputs=outputs,
            values=values,
            left_out=left_out,
            shown=frozenset(found),
        )


def count_files(shown: Any) -> int:
    """Return how many files a graph node lists, of what its `executed` message says it shows."""
    return sum(1 for _ in _outputs(_by_graph_node({"": shown})))


#: What the last message says (0.3.64 and 0.33.0 end with one of these); any other says nothing.
_BY_LAST_MESSAGE: Final = {
    "execution_success": Outcome.SUCCEEDED,
    "execution_error": Outcome.FAILED,
    "execution_interrupted": Outcome.INTERRUPTED,
}

_Messages = list[tuple[str, dict[str, Any]]]


def _messages(status: dict[str, Any]) -> _Messages:
    """Return `[(name, data), ...]`: the start, what was cached, and the end."""
    listed = status.get("messages")
    return [
        (message[0], _object(message[1]))
        for message in (listed if isinstance(listed, list) else [])
        if isinstance(message, list) and len(message) > 1 and isinstance(message[0], str)
    ]


def _outcome(messages: _Messages, status: dict[str, Any]) -> Outcome | None:
    """Judge by the last message: `status_str` is "success" for a cycle found at run time too."""
    names = [name for name, _ in messages]
    if names:
        return _BY_LAST_MESSAGE.get(names[-1])
    return {"success": Outcome.SUCCEEDED, "error": Outcome.FAILED}.get(
        str(status.get("status_str"))
    )


def _error(messages: _Messages) -> ExecutionError | None:
    raised = [data for name, data in messages if name == "execution_error"]
    if not raised:
        return None
    data = raised[-1]
    text = _TRACEBACK.sub("", str(data.get("exception_message") or "")).strip()
    return ExecutionError(
        graph_node=_name(data.get("node_id")),
        class_type=_name(data.get("node_type")),
        exception_type=_name(data.get("exception_type")) or "Exception",
        message=text[:_MESSAGE_CHARACTERS],
    )


def _cached(messages: _Messages) -> frozenset[str]:
    listed = [data.get("nodes") for name, data in messages if name == "execution_cached"]
    return frozenset(str(node) for nodes in listed if isinstance(nodes, list) for node in nodes)


def _duration_s(messages: _Messages) -> float | None:
    stamps = [data.get("timestamp") for _, data in messages]
    times = [stamp for stamp in stamps if isinstance(stamp, int | float)]
    # A wall clock may be set back in between.
    return max(0.0, (times[-1] - times[0]) / 1000) if len(times) > 1 else None


def _are_outputs(outputs: Any) -> bool:
    """Tell whether it is `{graph_node: {...}}`; what stands in that is of custom nodes' making."""
    return isinstance(outputs, dict) and all(isinstance(one, dict) for one in outputs.values())


def _by_graph_node(outputs: Any) -> Values:
    """Return `{graph_node: {key: items}}` sorted, whatever custom nodes made of the shape."""
    return {
        writable(graph_node): {
            writable(key): items if isinstance(items, list) else [items]
            for key, items in sorted(_object(found).items())
        }
        for graph_node, found in sorted(_object(outputs).items(), key=in_reading_order)
    }


def in_reading_order(item: tuple[str, Any]) -> tuple[bool, int, str]:
    """Sort graph nodes with anything they have: 9 before 10; ids that are no numbers come last."""
    graph_node = item[0]
    is_number = graph_node.isascii() and graph_node.isdecimal() and len(graph_node) < _LONG_ID
    return not is_number, int(graph_node) if is_number else 0, graph_node


def _outputs(found: Values) -> Iterator[OutputFile]:
    for graph_node, listed in found.items():
        places: set[tuple[str, str, str]] = set()
        for kind, items in listed.items():
            for file in _files(items):
                place = (file["filename"], _text(file.get("subfolder")) or "", _type(file))
                if place in places:  # listed under a second key, as some custom nodes do
                    continue
                yield OutputFile(graph_node, kind, len(places), *place)
                places.add(place)


def _files(items: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield every file among *items*, or within one of them."""
    for item in items:
        if _is_file(item):
            yield item
        elif isinstance(item, dict):
            yield from filter(_is_file, _flat(item.values()))
        elif isinstance(item, list):
            yield from filter(_is_file, item)


def _without_files(found: Values) -> Values:
    return {
        graph_node: {key: [i for i in items if not _is_file(i)] for key, items in listed.items()}
        for graph_node, listed in found.items()
    }


def _flat(found: Any) -> Iterator[Any]:
    for item in found:
        if isinstance(item, list):
            yield from item
        else:
            yield item


def _is_file(item: Any) -> bool:
    name = item.get("filename") if isinstance(item, dict) else None
    return isinstance(name, str) and bool(name)


def _type(file: dict[str, Any]) -> str:
    return _text(file.get("type")) or "output"  # what /view takes when it is not told


def _object(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _text(found: Any) -> str | None:
    return found if isinstance(found, str) else None


def _name(found: Any) -> str | None:
    """Return the name of a class, an exception or a graph node, no longer than one is."""
    return found[:_NAME_CHARACTERS] if isinstance(found, str) else None
