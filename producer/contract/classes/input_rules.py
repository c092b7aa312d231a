"""What classes accept in their inputs, digested from /object_info: enough to refuse as ComfyUI would.

ComfyUI judges a graph by its classes, not by /object_info, and a class may judge an input itself
(`VALIDATE_INPUTS`), which /object_info does not tell. So a rule is kept only where it holds whatever
the class does, or where the class is known to leave the judging to ComfyUI (`execution.validate_inputs`
of 0.3.64 and 0.33.0).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Self

#: Where classes are that ComfyUI itself brings and does not change from week to week, as it does
#: those of its partners.
_KNOWN_MODULES: Final = ("nodes", "comfy_extras")
_PARTNERS: Final = "comfy_api_nodes"
#: Classes there that judge inputs themselves, and all whose choices are files of the node.
_JUDGE_THEMSELVES: Final = frozenset(
    {
        *("ComfySoftSwitchNode", "CustomCombo", "ModelAttentionBackend"),
        *("SelectModelDevice", "SelectCLIPDevice", "SelectVAEDevice"),
    }
)
_LOADERS: Final = "Load"
#: LoadImageMask judges its image alone.
_OF_LOADERS: Final = frozenset({("LoadImageMask", "channel")})
#: Inputs whose choices are files or folders, which come and go while the node runs.
_OF_FILES: Final = frozenset({"config_name", "existing_lora", "folder", "folder_name", "device"})
#: The type of a choice written `[[...], {}]`: an output that is not `*` never fits it.
LIST: Final = "[]"
#: ComfyUI converts values of these, whatever the class; in BOOLEAN a text runs as true.
_CONVERTED: Final = frozenset({"INT", "FLOAT", "BOOLEAN"})
_RANGED: Final = ("INT", "FLOAT")
#: From here on a choice written `["COMBO", {"options": [...]}]` is compared with its options;
#: 0.3.64 does so for `[[...], {}]` only.
_COMBO_SINCE: Final = (0, 33, 0)
#: More choices than these are a list of files, whatever the input is called.
_MOST_CHOICES: Final = 300
#: So long is what one node announces, at most; a plain ComfyUI 0.33 takes about 30 kB.
MOST_CHARACTERS: Final = 300_000
#: The same unpacked, bytes; a plain ComfyUI 0.33 takes 160 kB.
MOST_BYTES: Final = 8 << 20


@dataclass(frozen=True)
class InputRule:
    """What one input takes.

    Args:
        type: ComfyUI's word for it; "" if links may not be judged by it.
        least, most: of numbers; None where there is no limit.
        choices: of a combo; None where they are not judged.
        takes_many: whether a wrapped list of choices is a value.
    """

    type: str = ""
    is_required: bool = False
    least: float | None = None
    most: float | None = None
    choices: tuple[Any, ...] | None = None
    takes_many: bool = False

    @property
    def restricts(self) -> bool:
        """Whether there is a value that it does not take."""
        return self.choices is not None or self.type in _CONVERTED


@dataclass(frozen=True)
class ClassRules:
    """What one class takes and gives.

    Args:
        inputs: all that it declares, but for those that are made up while it is judged.
        outputs: the types of its outputs; None where links from them are not judged.
    """

    inputs: Mapping[str, InputRule] = field(default_factory=dict)
    outputs: tuple[str, ...] | None = None
    is_output: bool = False


@dataclass(frozen=True)
class InputRules:
    """The rules of one node, by class."""

    classes: Mapping[str, ClassRules]

    @classmethod
    def from_object_info(cls, info: Mapping[str, Any], *, version: str) -> Self:
        """Digest the answer of `GET /object_info`.

        Args:
            version: `comfyui_version` of `GET /system_stats`; what it judges depends on it.
        """
        compares_combos = _parsed(version) >= _COMBO_SINCE
        return cls(
            {
                name: _digest(name, found, compares_combos=compares_combos)
                for name, found in info.items()
                if isinstance(found, Mapping)
            }
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `to_text` wrote, of this version or a newer one.

        Raises:
            ValueError: *text* is something else.
        """
        try:
            packed = base64.b85decode(text[: MOST_CHARACTERS + 1])
            found = json.loads(zlib.decompressobj().decompress(packed, MOST_BYTES))
            lists = [tuple(choices) for choices in found["lists"]]
            return cls({name: _unpacked(row, lists) for name, row in found["classes"].items()})
        except (ValueError, zlib.error, KeyError, TypeError, IndexError, AttributeError) as exc:
            raise ValueError(f"these are no rules: {exc}") from exc

    def to_text(self) -> str:
        """Write them in ASCII; empty if they are too long to announce."""
        if len(self._json) > MOST_BYTES:
            return ""
        text = base64.b85encode(zlib.compress(self._json, 9)).decode()
        return text if len(text) <= MOST_CHARACTERS else ""

    @cached_property
    def sha(self) -> str:
        """sha256 of the content in hex; equal on every platform and for every order."""
        return hashlib.sha256(self._json).hexdigest()

    @cached_property
    def _json(self) -> bytes:
        choices = {rule.choices for one in self.classes.values() for rule in one.inputs.values()}
        lists = sorted((one for one in choices if one is not None), key=repr)
        index = {one: number for number, one in enumerate(lists)}
        classes = {
            name: [
                int(one.is_output),
                one.outputs,
                {key: _packed(rule, index) for key, rule in one.inputs.items()},
            ]
            for name, one in self.classes.items()
        }
        return json.dumps(
            {"classes": classes, "lists": lists}, sort_keys=True, separators=(",", ":")
        ).encode()


def _digest(name: str, info: Mapping[str, Any], *, compares_combos: bool) -> ClassRules:
    module = str(info.get("python_module")).split(".")[0]
    is_known = module in _KNOWN_MODULES and name not in _JUDGE_THEMSELVES
    inputs = {}
    for input_, kind, options, is_required in _declared(info):
        is_judged = is_known and (not name.startswith(_LOADERS) or (name, input_) in _OF_LOADERS)
        word = kind if isinstance(kind, str) else ""
        rule = InputRule(type=word if word in _CONVERTED else "", is_required=is_required)
        if is_judged:
            is_old = isinstance(kind, list)
            choices = kind if is_old else options.get("options") if compares_combos else None
            is_combo = is_old or kind == "COMBO"
            rule = InputRule(
                type=LIST if is_old else word,
                is_required=is_required,
                least=_limit(options, "min") if word in _RANGED else None,
                most=_limit(options, "max") if word in _RANGED else None,
                choices=_choices(input_, choices, options) if is_combo else None,
                takes_many=bool(is_combo and options.get("multiselect")),
            )
        inputs[input_] = rule
    outputs = info.get("output")
    is_own = module in (*_KNOWN_MODULES, _PARTNERS)
    are_types = isinstance(outputs, list) and all(isinstance(one, str) for one in outputs)
    return ClassRules(
        inputs=inputs,
        outputs=tuple(outputs) if is_own and are_types and outputs else None,
        is_output=info.get("output_node") is True,
    )


def _declared(info: Mapping[str, Any]) -> Iterator[tuple[str, Any, Mapping[str, Any], bool]]:
    groups = info.get("input")
    seen: set[str] = set()
    for group in ("required", "optional"):
        found = groups.get(group) if isinstance(groups, Mapping) else None
        for name, spec in found.items() if isinstance(found, Mapping) else ():
            if not isinstance(spec, list) or not spec or name in seen:
                continue
            seen.add(name)
            if isinstance(spec[0], str) and _is_dynamic(spec[0]):
                continue  # ComfyUI puts others in its place, which depend on the graph
            options = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
            yield name, spec[0], options, group == "required"


def _is_dynamic(kind: str) -> bool:
    return kind.startswith("COMFY_") and kind != "COMFY_MATCHTYPE_V3"


def _limit(options: Mapping[str, Any], name: str) -> float | None:
    value = options.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _choices(name: str, choices: Any, options: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return the choices that are worth judging; models are `Catalog`'s business."""
    is_of_files = (
        name in _OF_FILES
        or (name.endswith("_name") and name != "sampler_name")
        or any(option.endswith(("_upload", "_folder")) or option == "remote" for option in options)
    )
    if is_of_files or not isinstance(choices, list) or not 0 < len(choices) <= _MOST_CHOICES:
        return None
    are_plain = all(isinstance(one, str | int | float) for one in choices)
    are_files = any(isinstance(one, str) and _FILE.search(one) for one in choices)
    return tuple(choices) if are_plain and not are_files else None


_FILE: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,11}$")


def _parsed(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else ()


def _packed(rule: InputRule, index: Mapping[tuple[Any, ...], int]) -> list[Any]:
    flags = int(rule.is_required) + 2 * int(rule.takes_many)
    row = [
        *(flags, rule.type, rule.least, rule.most),
        None if rule.choices is None else index[rule.choices],
    ]
    while row[-1] is None:
        row.pop()
    return row


def _unpacked(row: list[Any], lists: list[tuple[Any, ...]]) -> ClassRules:
    is_output, outputs, inputs = row[:3]
    return ClassRules(
        inputs={name: _rule(packed, lists) for name, packed in inputs.items()},
        outputs=None if outputs is None else tuple(outputs),
        is_output=bool(is_output),
    )


def _rule(packed: list[Any], lists: list[tuple[Any, ...]]) -> InputRule:
    flags, type_, least, most, choices = [*packed, None, None, None][:5]
    return InputRule(
        type=type_,
        is_required=bool(flags & 1),
        least=least,
        most=most,
        choices=None if choices is None else lists[choices],
        takes_many=bool(flags & 2),
    )
