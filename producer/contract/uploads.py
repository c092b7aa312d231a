"""Uploads: files that an owner has handed in before the jobs that read them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Upload(BaseModel):
    """An uploaded file. Its id is its content's SHA-256, and means something to its owner only."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    owner: str = ""
    name: str = ""  #: As the owner called it.
    bytes: int
