"""A prompt that is certain to run for as long as a test needs it."""

from __future__ import annotations

from tests.contract.comfy import Comfy, Ears
from tests.contract.graphs import sleeping

#: Seconds of a sleep whose end no test waits for.
LONG = 30.0


def long_prompt(comfy: Comfy, *, anonymous: bool = False) -> str:
    """Queue a prompt that sleeps for `LONG` seconds, and return its id once its graph node 2 sleeps.

    What `/queue` shows as running may still be at a graph node before the sleep, and a real ComfyUI
    forgets an interrupt that comes before the first one. The sleep notices an interrupt within 50 ms.
    """
    ears = comfy.listen()
    fields = {} if anonymous else {"client_id": ears.sid}
    prompt_id = comfy.queue_prompt(sleeping(LONG, 600), **fields)
    goes_on(ears, prompt_id)
    return prompt_id


def goes_on(ears: Ears, prompt_id: str) -> None:
    """Listen until a graph node of that prompt tells of its next step."""
    ears.until(lambda one: one["type"] == "progress" and one["data"]["prompt_id"] == prompt_id)


def stop(comfy: Comfy, prompt_id: str) -> None:
    """Interrupt the running prompt of that id and wait for its end."""
    comfy.post("/interrupt", json={"prompt_id": prompt_id})
    comfy.ended(prompt_id)
