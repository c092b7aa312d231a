"""Previews: what a job has rendered so far, as long as somebody watches."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from producer.contract.ids import JobId


class PreviewNote(BaseModel):
    """That there is a preview of a job; two with the same `at` are one."""

    model_config = ConfigDict(frozen=True)

    job: JobId
    attempt: int
    graph_node: str | None = None  #: The one that renders; None where the node does not say.
    media_type: Literal["image/jpeg", "image/png"]  #: By its first bytes.
    bytes: int
    at: datetime  #: When it was stored, by Redis' clock.


class Preview(PreviewNote):
    """A preview with its picture. It comes from the node as it is: by its first bytes it is a JPEG or PNG, no more."""

    content: bytes = Field(repr=False, exclude=True)
