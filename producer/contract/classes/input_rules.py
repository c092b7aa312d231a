"""Input rules: which values each class's inputs accept, extracted from `/object_info`.

ComfyUI validates a graph by its classes, not by /object_info, and a class may validate an input
itself (`VALIDATE_INPUTS`), which /object_info does not show. So a rule is kept only where it holds
whatever the class does, or where the class is known to leave validation to ComfyUI
(`execution.validate_inputs` of 0.3.64 and 0.33.0).
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

#: First part of `python_module` of ComfyUI's own classes. Those of its partners change weekly: only
#: the types of their outputs are used.
_KNOWN_MODULES: Final = ("nodes", "comfy_extras")
_PARTNERS: Final = "comfy_api_nodes"
#: Core classes with `VALIDATE_INPUTS` of their own, or whose choices depend on the node's files or devices.
_JUDGE_THEMSELVES: Final = frozenset(
    {
        *("ComfySoftSwitchNode", "CustomCombo", "ModelAttentionBackend"),
        *("SelectModelDevice", "SelectCLIPDevice", "SelectVAEDevice"),
    }
)
_LOADERS: Final = "Load"
#: Inputs of loaders that ComfyUI validates all the same: LoadImageMask validates only its image.
_OF_LOADERS: Final = frozenset({("LoadImageMask", "channel")})
#: Inputs whose choices are files, folders or devices, which change while the node runs.
_OF_FILES: Final = frozenset({"config_name", "existing_lora", "folder", "folder_name", "device"})
#: The type of a combo declared `[[...], {}]`: of all outputs only one of type `*` may be linked to it.
LIST: Final = "[]"
#: Types whose values ComfyUI converts for every class; a text in BOOLEAN becomes true.
_CONVERTED: Final = frozenset({"INT", "FLOAT", "BOOLEAN"})
_RANGED: Final = ("INT", "FLOAT")
#: The version from which on ComfyUI compares a combo declared `["COMBO", {"options": [...]}]` with
#: its options; 0.3.64 does so for `[[...], {}]` only.
_COMBO_SINCE: Final = (0, 33, 0)
#: A combo with more choices is taken for a list of files.
_MOST_CHOICES: Final = 300
#: Limit of `to_text`, characters; a plain ComfyUI 0.33 takes about 30,000.
MOST_CHARACTERS: Final = 300_000
#: The same unpacked, bytes; a plain ComfyUI 0.33 takes 160 kB.
MOST_BYTES: Final = 8 << 20


@dataclass(frozen=True)
class InputRule:
    """Which values one input accepts.

    Args:
        type: ComfyUI's type name; "" where the types of links to it are not checked.
        least, most: bounds of a number, inclusive; None where there is none.
        choices: of a combo; None where the value is not compared with them.
        takes_many: whether a wrapped list of choices is accepted (`multiselect`).
    """

    type: str = ""
    is_required: bool = False
    least: float | None = None
    most: float | None = None
    choices: tuple[Any, ...] | None = None
    takes_many: bool = False

    @property
    def restricts(self) -> bool:
        """Whether it refuses any value."""
        return self.choices is not None or self.type in _CONVERTED


@dataclass(frozen=True)
class ClassRules:
    """The rules of one class.

    Args:
        inputs: all declared inputs, except dynamic ones, which depend on the graph.
        outputs: the types of its outputs; None where links from them are not checked.
        is_output: whether it is an output node.
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
        """Extract the rules from the answer of `GET /object_info`.

        Args:
            version: `comfyui_version` of `GET /system_stats`; what ComfyUI validates depends on it.
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
        """Read what `to_text` of this or a newer version wrote.

        Raises:
            ValueError: *text* is no such text, or longer than the limits.
        """
        try:
            packed = base64.b85decode(text[: MOST_CHARACTERS + 1])
            found = json.loads(zlib.decompressobj().decompress(packed, MOST_BYTES))
            lists = [tuple(choices) for choices in found["lists"]]
            return cls({name: _unpacked(row, lists) for name, row in found["classes"].items()})
        except (ValueError, zlib.error, KeyError, TypeError, IndexError, AttributeError) as exc:
            raise ValueError(f"these are no rules: {exc}") from exc

    def to_text(self) -> str:
        """Return them as base85 of zlib of JSON; "" if that exceeds `MOST_CHARACTERS` or `MOST_BYTES`."""
        if len(self._json) > MOST_BYTES:
            return ""
        text = base64.b85encode(zlib.compress(self._json, 9)).decode()
        return text if len(text) <= MOST_CHARACTERS else ""

    @cached_property
    def sha(self) -> str:
        """SHA-256 of the content in hex; independent of platform and of the classes' order."""
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
                continue  # ComfyUI replaces it by other inputs, which depend on the graph
            options = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
            yield name, spec[0], options, group == "required"


def _is_dynamic(kind: str) -> bool:
    return kind.startswith("COMFY_") and kind != "COMFY_MATCHTYPE_V3"


def _limit(options: Mapping[str, Any], name: str) -> float | None:
    value = options.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _choices(name: str, choices: Any, options: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return the choices to compare values with; None for lists of files, and of models (see `Catalog`)."""
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
