"""What failures of one kind have in common: numbers, ids and paths differ from job to job. Pure."""

from __future__ import annotations

import re
from typing import Final

from producer.contract.errors import FleetError
from worker.errors import NodeError, PromptFailed

#: Characters of a message that are looked at, and of a fingerprint.
_LOOKED_AT: Final = 1_000
_LONGEST: Final = 160

#: Replaced one after the other. A path may have blanks only where quotes end it.
_DIFFERENT: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), sign)
    for pattern, sign in (
        (r"[a-z][a-z0-9+.-]{1,20}://[^\s'\"<>]+", "URL"),
        (r"(['\"])(?:[a-z]:[\\/]|\\\\|~?/)[^'\"]*\1", "PATH"),
        (r"(?<![\w.])(?:[a-z]:[\\/]|\\\\|~?/)[^\s'\"<>|,;]+", "PATH"),
        (r"[\w.@-]+(?:[\\/][\w.@-]+)+\.\w{2,11}\b", "PATH"),
        (
            r"[\w@-][\w.@-]*\.(?:png|jpe?g|webp|gif|bmp|mp4|webm|mov|wav|mp3|flac|latent|json)\b",
            "FILE",
        ),
        (r"[\w@-][\w.@-]*\.(?:safetensors|sft|ckpt|pth?|bin|gguf|onnx)\b", "FILE"),
        (r"\b(?:0x[0-9a-f]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b", "#"),
        (r"\b(?=[a-f]*\d)[0-9a-f]{12,}\b", "#"),
        # Digits within a name, as in float16 and mat1, are a part of it, unless there are many.
        (r"(?<![a-z\d])[+-]?\d(?:[\w.]|(?<=e)[+-](?=\d))*", "#"),
        (r"\d{3,}", "#"),
        (r"#(?:\s*[,x×]\s*#)+", "#"),  # noqa: RUF001 - sizes, as [1, 4, 128, 128]
        (r"\s+", " "),
    )
)


def fingerprint_of(error: FleetError) -> str:
    """Return the same for failures of one kind: graph node class, exception class, message.

    Numbers, file names and paths are taken out of the message; of what no graph node raised the
    kind of error stands in place of both classes.
    """
    message = error.detail if isinstance(error, NodeError) else error.message
    if not isinstance(error, PromptFailed):
        return _short(f"{type(error).__name__}: {_alike(message)}")
    # The message says first which graph node raised what, with an id that differs.
    _, _, own = message.partition(f" raised {error.exception_type}: ")
    raised = " ".join(filter(None, (error.class_type, error.exception_type)))
    return _short(f"{raised}: {_alike(own or message)}")


def _alike(message: str) -> str:
    text = message[:_LOOKED_AT]
    for pattern, sign in _DIFFERENT:
        text = pattern.sub(sign, text)
    return text.strip()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
