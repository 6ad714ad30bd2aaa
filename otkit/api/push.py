"""`otkit.push`: the folder of an encoder as a model on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from otkit.exports.hub import Pushed, push_folder

__all__ = ["Pushed", "push"]


def push(folder: str | Path, name: str, *, public: bool = False) -> Pushed:
    """Put an encoder that otkit wrote on the Hugging Face Hub.

    folder  what `train` or `export` wrote: its weights, tokenizer, card, recipe and history are pushed, not its
            checkpoints
    name    USER/NAME there; NAME alone is the user's whose token is used (`hf auth login`, or HF_TOKEN)
    public  let everybody see it; by default only the user, or the members of the organisation, can

    What an earlier push left under that name is replaced in one commit, so that its history stays. `OutputError` where
    the Hub cannot be reached or refuses, or the name is that of something which otkit did not push: nothing has changed
    there then, and the folder stays as it is.
    """
    return push_folder(Path(folder), name, public=public)
