"""Seeded bugs of the worker."""

from __future__ import annotations

from typing import Final

from tests.chaos.mutants.mutation import mutant

OF_WORKER: Final = (
    mutant(
        "commit before the manifest is stored",
        "dies_at_the_manifest",
        "I4",
        (
            "worker/attempt/delivery.py",
            "run_parallel([store_file, self._store_manifest], at_once=2)",
            "store_file(still_wanted)",
        ),
        (
            "worker/attempt/delivery.py",
            '        crashpoint("commit.done")\n',
            '        crashpoint("commit.done")\n        self._store_manifest(lambda: None)\n',
        ),
    ),
    mutant(
        "commit without the template that the manifest names",
        "dies_at_the_manifest",
        "I4",
        (
            "worker/attempt/delivery.py",
            "if self._means.contents.has_new(self._job):",
            "if not self._means:",
        ),
    ),
    mutant(
        "trust the socket alone",
        "deaf",
        "I2",
        (
            "worker/attempt/prompt_wait.py",
            'if state.ended or (not is_heard and state.start_if_due("history", _POLL_EVERY_S)):',
            "if state.ended:",
        ),
    ),
    mutant(
        "no check of what was fetched",
        "flipped",
        "I5",
        (
            "worker/media/formats/png.py",
            "def _check_crc(kind: bytes, computed: int, written: bytes) -> None:\n",
            "def _check_crc(kind: bytes, computed: int, written: bytes) -> None:\n    return\n",
        ),
        (
            "worker/media/formats/png.py",
            '        if kind == b"IDAT":\n            into_pixels(piece)\n',
            "",
        ),
        ("worker/media/formats/png.py", "    pixels.finish()\n", ""),
    ),
    mutant(
        "post again without asking the history",
        "dies_at_the_fetch",
        "I10",
        (
            "worker/attempt/render.py",
            "return self._watched(job, graph, lease, slot, catalog, ran_before_s=ran_s)",
            "return self._watched(job, graph, lease, slot, catalog, ran_before_s=None)",
        ),
    ),
    mutant(
        "store every attempt under the first one's key",
        "node_gone",
        "I4",
        (
            "worker/attempt/delivery.py",
            "            attempt=job.attempt,\n            graph_node=output.graph_node,",
            "            attempt=1,\n            graph_node=output.graph_node,",
        ),
    ),
    mutant(
        "charge a job for its node",
        "node_gone",
        "I11",
        (
            "worker/attempt/retry.py",
            "Cause.OUT_OF_MEMORY, Cause.INCOMPLETE_OUTPUT}",
            "Cause.OUT_OF_MEMORY, Cause.INCOMPLETE_OUTPUT, Cause.PROMPT_LOST}",
        ),
    ),
    mutant(
        "a gate that is always open",
        "many_at_once",
        "I13",
        (
            "worker/scheduling/gate.py",
            "return not self._slots or (now < self._seen_until and self._is_end_near(now))",
            "return True",
        ),
    ),
    mutant(
        "let two jobs share their file names",
        "twins",
        "I7",
        (
            "worker/attempt/runner.py",
            "return with_save_names(graph, mark, catalog=catalog, is_again=job.attempt > 1)",
            "return graph",
        ),
    ),
    mutant(
        "call a saver behind a gate incomplete",
        "gated",
        "I11",
        (
            "worker/attempt/completeness.py",
            "            and _was_executed(graph, graph_node, catalog)\n",
            "",
        ),
    ),
    mutant(
        "wait for a call whatever was asked",
        "drips",
        "I2",
        (
            "worker/attempt/bounded_call.py",
            "        try:\n            check()\n        except BaseException:",
            "        try:\n            pass\n        except BaseException:",
        ),
    ),
    mutant(
        "charge a job for a broken card",
        "broken_card",
        "I11",
        (
            "worker/attempt/error_signs.py",
            '            r"CUDA error:|CUDA driver error:|CUDA_ERROR_",\n',
            "",
        ),
    ),
    mutant(
        "ask a store again that refuses for good",
        "refused",
        "I2",
        (
            "worker/attempt/outages.py",
            "_FINAL: Final = (ObjectConflict, ObjectMissing, StorageRefused)",
            "_FINAL: Final = (ObjectConflict, ObjectMissing)",
        ),
    ),
    mutant(
        "leave what was spooled",
        "plain",
        "I18",
        (
            "worker/node/spool.py",
            "            shutil.rmtree(folder, ignore_errors=True)\n",
            "            pass\n",
        ),
        ("worker/attempt/delivery.py", "        file.path.unlink()\n", ""),
    ),
)
