"""A person who waits goes before the corpus."""

from __future__ import annotations

import threading

from otkit.inspector.models import Turns


def test_the_corpus_waits_for_whoever_looks() -> None:
    turns, order = Turns(), list[str]()
    started = threading.Barrier(3)

    def work(name: str, *, background: bool) -> None:
        started.wait()
        with turns.turn(background=background):
            order.append(name)

    with turns.turn(background=True):
        threads = [
            threading.Thread(target=work, args=("corpus",), kwargs={"background": True}),
            threading.Thread(target=work, args=("person",), kwargs={"background": False}),
        ]
        for thread in threads:
            thread.start()
        started.wait()
        while not turns._waiting:  # the person is in the queue
            pass
    for thread in threads:
        thread.join()
    assert order == ["person", "corpus"]
