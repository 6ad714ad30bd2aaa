"""A folder that otkit wrote as a model on the Hugging Face Hub: private, unless somebody says otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from otkit import __version__
from otkit.data.hub import hub_errors
from otkit.encoders.encoder import SETTINGS_FILE
from otkit.errors import ConfigError, OutputError
from otkit.training.card import PLACE

__all__ = ["Pushed", "check_push", "push_folder"]

_CARD = "README.md"
# What an encoder is made of. A run's checkpoints, its logs and `run.json`, which knows the files of this machine, stay.
_FILES = re.compile(
    r"(\d+_\w+/)?(\w[\w.-]*\.(safetensors|onnx|onnx\.data|gguf|model|json)|vocab\.txt|merges\.txt)"
    r"|README\.md|recipe\.toml|history\.jsonl|curve\.png"
)
_OURS_ALONE = ("run.json",)
_OWN = (".gitattributes",)  # the Hub puts it into every new repository


@dataclass(frozen=True)
class Pushed:
    """What stands on the Hub now.

    name     USER/NAME, as `open_encoder` takes it
    url      of its page
    files    their names, sorted
    bytes    of them all
    private  whether others cannot see it
    """

    name: str
    url: str
    files: tuple[str, ...]
    bytes: int
    private: bool


def check_push(name: str, *, public: bool = False) -> str:
    """The full name USER/NAME that a push would go to; an error here is what the push would end with.

    A name is free where nothing has it, or what has it is empty, or was pushed by otkit.
    """
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ConfigError(
            f"received {name!r}, which is no name on the Hub",
            remedy="write NAME or USER/NAME, of letters, digits, `-`, `_` and `.`",
            setting="push_to_hub",
        ) from error
    if huggingface_hub.get_token() is None:
        raise OutputError(
            "there is no token for the Hub here",
            where=name,
            remedy="make one that may write at https://huggingface.co/settings/tokens, and run: hf auth login",
        )
    api = huggingface_hub.HfApi()
    with _told(name):
        who = api.whoami()
    role = who.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise OutputError("the token may only read", where=name, remedy="make one that may write")
    if "/" not in name:
        name = f"{who['name']}/{name}"
    own = [who["name"], *(each["name"] for each in who.get("orgs", ()))]
    if name.partition("/")[0] not in own:
        raise OutputError(
            f"the token is of {who['name']!r}, who is no member of {name.partition('/')[0]!r}",
            where=name,
            remedy=f"push to {' or '.join(f'{each}/NAME' for each in own)}",
        )
    try:
        with _told(name):
            there = api.model_info(name)
    except RepositoryNotFoundError:
        return name
    files = sorted({each.rfilename for each in there.siblings or ()} - set(_OWN))
    if files and SETTINGS_FILE not in files:
        raise OutputError(
            f"it is on the Hub already, with files that otkit did not push ({', '.join(files[:3])})",
            where=name,
            remedy="choose another name",
        )
    if not there.private and not public:
        raise OutputError(
            "it is on the Hub already, and is public",
            where=name,
            remedy=("say that it may be: `public=True`", "choose another name"),
        )
    return name


def push_folder(folder: Path, name: str, *, public: bool = False) -> Pushed:
    """Make the encoder in `folder` the model `name`: its files replace those of an earlier push in one commit.

    Whatever goes wrong, the folder stays as it is, and the model on the Hub as it was.
    """
    import huggingface_hub

    files = encoder_files(folder)
    if SETTINGS_FILE not in files:
        raise ConfigError(
            f"holds no {SETTINGS_FILE}",
            where=str(folder),
            remedy="give the folder of an encoder that otkit wrote",
        )
    name = check_push(name, public=public)
    api = huggingface_hub.HfApi()
    again = f"the folder {folder} holds it all; when that is mended, push it again"
    with _told(name, remedy=f'{again}: python -c "import otkit; otkit.push({str(folder)!r}, {name!r})"'):
        url = api.create_repo(name, private=not public, exist_ok=True)
        there = set(api.list_repo_files(name)) - set(_OWN)
        api.create_commit(
            name,
            [
                *(huggingface_hub.CommitOperationDelete(old) for old in sorted(there - set(files))),
                *(huggingface_hub.CommitOperationAdd(file, _content(folder / file, name)) for file in files),
            ],
            commit_message=f"Pushed by otkit {__version__}",
        )
        private = bool(api.model_info(name).private)  # what was there before stays as it was
    size = sum((folder / file).stat().st_size for file in files)
    return Pushed(name, str(url), tuple(files), size, private)


def _content(path: Path, name: str) -> bytes | Path:
    """What is pushed of a file: of the card, with the name on the Hub in place of a folder's."""
    return path.read_text(encoding="utf-8").replace(PLACE, name).encode() if path.name == _CARD else path


def encoder_files(folder: Path) -> list[str]:
    """The files of `folder` that are pushed, sorted."""
    found = (path.relative_to(folder) for path in folder.glob("*") if path.is_file())
    inner = (path.relative_to(folder) for path in folder.glob("*/*") if path.is_file())
    names = [str(PurePosixPath(path)) for path in (*found, *inner)]
    return sorted(name for name in names if _FILES.fullmatch(name) and name not in _OURS_ALONE)


@contextmanager
def _told(name: str, remedy: str | None = None) -> Iterator[None]:
    """Whatever the Hub or the way to it says, as an OutputError; a repository that is not there stays what it is."""
    from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

    try:
        yield
    except hub_errors() as error:
        if isinstance(error, RepositoryNotFoundError) and remedy is None:
            raise
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, OfflineModeIsEnabled):
            what, advice = "the Hub is switched off (HF_HUB_OFFLINE)", "unset it"
        elif status == 401:
            what, advice = "the Hub does not take the token", "run: hf auth login"
        elif status == 403:
            what, advice = "the token may not write there", "make one that may"
        elif status is not None or isinstance(error, ValueError | RuntimeError):
            what, advice = (
                f"the Hub refuses: {(str(error).strip().splitlines() or [''])[0]}",
                "try again later",
            )
        else:
            what = f"the Hub cannot be reached ({type(error).__name__})"
            advice = "check the network, or leave out the push: the folder can be pushed later"
        raise OutputError(what, where=name, remedy=remedy or advice) from error
