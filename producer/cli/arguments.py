"""Arguments and options that several commands share, as annotated types for typer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Its id.")]
JobsArgument = Annotated[list[str], typer.Argument(metavar="JOB...", help="Their ids.")]
SomeJobs = Annotated[list[str] | None, typer.Argument(metavar="JOB...", help="Their ids.")]
BatchNameArgument = Annotated[
    str, typer.Argument(metavar="BATCH", help="Its id, or its name if no other batch has it.")
]

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
UrlsOption = Annotated[bool, typer.Option("--urls", help="Presigned, valid for an hour.")]
ApiKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        metavar="FILE",
        help="Holds the key for partner nodes; COMFYFLEET_COMFY_ORG_API_KEY does without a file.",
    ),
]
DeliverOption = Annotated[
    list[str] | None,
    typer.Option(
        "--deliver",
        metavar="S3_URL|NAME=VALUE",
        help="Copies of its artifacts: s3://BUCKET/{job}-{n}{ext}; again for metadata=keep|strip, "
        "format=webp|jpeg|png, quality=1..100, thumbnail=PIXELS.",
    ),
]
