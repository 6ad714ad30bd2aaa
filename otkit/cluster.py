"""Windows of text over the workers of a Ray cluster: results in order, whichever worker dies.

Ray Data does the work: actors that hold an opened encoder, its order kept, its retries. The corpus stays with
the driver, which reads it once through the one checked door (a pipe and a gzip file cannot be read again by
whichever worker asks), and hands it on in waves of windows, so that neither end ever holds more than a wave.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from otkit.errors import OtkitError, require_extra

__all__ = ["ENGINES", "map_windows"]

ENGINES = {"local": "this process", "ray": "the workers of a Ray cluster"}

Window = TypeVar("Window")
Result = TypeVar("Result")

# Windows for each worker in a wave. Between two waves encoders are opened anew (seconds), and workers wait for
# the last window (seconds): a wave should last minutes.
_WAVE = 32


class _Worker:
    """An actor: what `open_work` opens once is applied to window after window.

    An error that otkit raises on purpose is a result like others: the driver raises it, without Ray's retries
    and traces around it.
    """

    def __init__(self, open_work: Callable[[], Callable[[Any], Any]]) -> None:
        try:
            self._work = open_work()
        except OtkitError as error:
            refusal = error
            self._work = lambda window: refusal

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        results = [pickle.dumps(self._apply(pickle.loads(window))) for window in batch["window"]]
        return {"number": batch["number"], "result": np.array(results, dtype=object)}

    def _apply(self, window: Any) -> Any:
        try:
            return self._work(window)
        except OtkitError as error:
            return error


def map_windows(
    open_work: Callable[[], Callable[[Window], Result]],
    windows: Iterable[Window],
    *,
    address: str | None = None,
    threads: int = 1,
    gpus: int = 0,
    wave: int = _WAVE,
) -> Iterator[Result]:
    """The results of all windows, in their order.

    open_work: a small picklable object that, called on a worker, gives the function to apply.
    address: of a running cluster; None starts one on this machine for as long as the iterator lives.
    threads, gpus: what each worker has to itself. A window that a dying worker had is computed again.
    """
    ray, data = (require_extra(name, extra="ray") for name in ("ray", "ray.data"))
    with _connected(ray, address, threads):
        context = data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        workers = max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
        stream = iter(windows)
        while items := [
            {"number": number, "window": pickle.dumps(window)}
            for number, window in enumerate(islice(stream, workers * wave))
        ]:
            found = data.from_items(items, override_num_blocks=len(items)).map_batches(
                _Worker,
                fn_constructor_args=(open_work,),
                batch_size=1,
                compute=data.ActorPoolStrategy(size=min(workers, len(items))),
                num_cpus=threads,
                num_gpus=gpus,
            )
            yield from _in_order(ray, found, len(items))


def _in_order(ray: Any, found: Any, count: int) -> Iterator[Any]:
    """The results of one wave; order and number are Ray's promise, and checked all the same."""
    expected = 0
    try:
        for row in found.iter_rows():
            if row["number"] != expected:
                break
            result = pickle.loads(row["result"])
            if isinstance(result, OtkitError):
                raise result
            yield result
            expected += 1
    except ray.exceptions.RayError as error:
        last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise OtkitError(
            f"a worker of the cluster failed ({last})",
            remedy="see the logs of Ray, then go on with `resume=True`",
        ) from error
    if expected != count:
        raise OtkitError(
            f"the cluster lost window {expected} of a wave of {count}", remedy="go on with `resume=True`"
        )


@contextmanager
def _connected(ray: Any, address: str | None, threads: int) -> Iterator[None]:
    if ray.is_initialized():  # by the caller, who will also end it
        yield
        return
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        if address is None:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            ray.init(
                num_cpus=max(cores, threads),
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
        else:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise OtkitError(
            f"no Ray cluster answers ({first})",
            where=address,
            remedy="check `address`, or leave it out for a cluster of this machine",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
