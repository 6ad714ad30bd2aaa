"""A stand-in for the Hugging Face Hub: the endpoints that its real client asks, on this machine, over real HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

WRITES, READS = "hf_writes", "hf_reads"


@dataclass
class Repo:
    """A repository: its files, whether it is private, and how many commits it has seen."""

    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0

    @property
    def sha(self) -> str:
        return f"{self.commits:040x}"


class Hub:
    """The repositories, by their address (`ann/x`, `datasets/ann/y`), and whose token is whose.

    refuse  paths (as patterns) that are answered with a status, or with no answer (0)
    asked   what was asked, as `METHOD path`
    before  is called with that before the answer
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.uploads: dict[str, bytes] = {}
        self.refuse: dict[str, int] = {}
        self.asked: list[str] = []
        self.before: Callable[[str], object] = lambda asked: None

    @contextmanager
    def served(self) -> Iterator[str]:
        """Answer, at the address given."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": self}))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""

    def answer(self, body: Any = None, status: int = 200, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def handle_any(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        self.hub.before(f"{self.command} {path}")
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        for pattern, status in self.hub.refuse.items():
            if re.search(pattern, f"{self.command} {path}"):
                if status == 0:
                    self.close_connection = True
                    return
                self.answer({"error": "the stand-in was told to"}, status)
                return
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        for pattern, method in _ROUTES:
            found = re.fullmatch(pattern, f"{self.command} {path}")
            if found:
                method(self, token, body, *found.groups())
                return
        self.answer({"error": f"no such endpoint: {path}"}, 404)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815

    def whoami(self, token: str, body: bytes) -> None:
        role = {WRITES: "write", READS: "read"}.get(token)
        if role is None:
            self.answer({"error": "Invalid token"}, 401)
            return
        auth = {"type": "access_token", "accessToken": {"displayName": "t", "role": role}}
        self.answer({"type": "user", "name": "ann", "orgs": [{"name": "lab"}], "auth": auth})

    def create(self, token: str, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked.get('organization') or 'ann'}/{asked['name']}"
        if token != WRITES:
            self.answer({"error": "no"}, 403)
        elif name in self.hub.repos:
            self.answer({"error": "exists", "url": f"http://{self.headers['Host']}/{name}"}, 409)
        else:
            private = asked.get("private") or asked.get("visibility") == "private"
            self.hub.repos[name] = Repo(bool(private), {".gitattributes": b"*.safetensors filter=lfs\n"})
            self.answer({"url": f"http://{self.headers['Host']}/{name}", "id": name, "name": name})

    def repo(self, token: str, address: str) -> Repo | None:
        """The repository, where it is and may be seen; else the answer is given."""
        found = self.hub.repos.get(address)
        if found is None or (found.private and token not in (WRITES, READS)):
            self.answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
            return None
        return found

    def info(self, token: str, body: bytes, kind: str, name: str) -> None:
        repo = self.repo(token, _address(kind, name))
        if repo is not None:
            siblings = [{"rfilename": file} for file in sorted(repo.files)]
            known = {"id": name, "sha": repo.sha, "private": repo.private, "siblings": siblings, "tags": []}
            self.answer({**known, "downloads": 0, "likes": 0, "gated": False, "disabled": False})

    def tree(self, token: str, body: bytes, kind: str, name: str, inside: str | None) -> None:
        repo = self.repo(token, _address(kind, name))
        if repo is None:
            return
        folder = (inside or "").strip("/")
        files = [file for file in sorted(repo.files) if not folder or file.startswith(f"{folder}/")]
        if folder and not files:
            self.answer({"error": "no such entry"}, 404, X_Error_Code="EntryNotFound")
        elif "recursive=true" in self.path.lower():
            self.answer([_entry(file, repo.files[file]) for file in files])
        else:
            rest = [file[len(folder) + 1 if folder else 0 :] for file in files]
            deeper = sorted({name.partition("/")[0] for name in rest if "/" in name})
            begin = f"{folder}/" if folder else ""
            self.answer(
                [
                    *(_entry(begin + name, repo.files[begin + name]) for name in rest if "/" not in name),
                    *({"type": "directory", "path": begin + name, "oid": "0" * 40} for name in deeper),
                ]
            )

    def paths(self, token: str, body: bytes, kind: str, name: str) -> None:
        repo = self.repo(token, _address(kind, name))
        if repo is not None:
            asked = json.loads(body)["paths"]
            self.answer([_entry(path, repo.files[path]) for path in asked if path in repo.files])

    def preupload(self, token: str, body: bytes, name: str) -> None:
        mode = {True: "lfs", False: "regular"}
        self.answer(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": mode[file["path"].endswith((".safetensors", ".onnx", ".gguf", ".png"))],
                        "shouldIgnore": False,
                        "oid": None,
                    }
                    for file in json.loads(body)["files"]
                ]
            }
        )

    def batch(self, token: str, body: bytes, name: str) -> None:
        place = f"http://{self.headers['Host']}/lfs/"
        self.answer(
            {
                "transfer": "basic",
                "objects": [
                    {**each, "actions": {"upload": {"href": place + each["oid"]}}}
                    for each in json.loads(body)["objects"]
                ],
            }
        )

    def upload(self, token: str, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.uploads[oid] = body
        self.answer({})

    def commit(self, token: str, body: bytes, name: str) -> None:
        repo = self.repo(token, name)
        if repo is None or token != WRITES:
            self.answer({"error": "no"}, 403)
            return
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                repo.files[value["path"]] = self.hub.uploads[value["oid"]]
            elif operation["key"] == "deletedFile":
                del repo.files[value["path"]]
        repo.commits += 1
        url = f"http://{self.headers['Host']}/{name}/commit/{repo.sha}"
        self.answer({"success": True, "commitOid": repo.sha, "commitUrl": url})

    def validate(self, token: str, body: bytes) -> None:
        self.answer({"errors": [], "warnings": []})

    def resolve(self, token: str, body: bytes, kind: str | None, name: str, file: str) -> None:
        repo = self.repo(token, _address(kind or "models", name))
        if repo is None:
            return
        if file not in repo.files:
            self.answer({"error": "no such entry"}, 404, X_Error_Code="EntryNotFound", X_Repo_Commit=repo.sha)
            return
        content = repo.files[file]
        known = {"X_Repo_Commit": repo.sha, "ETag": f'"{_oid(content)}"', "Accept_Ranges": "bytes"}
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if part is None:
            self.answer(content, **known)
        else:
            first, last = int(part[1]), int(part[2] or len(content) - 1)
            span = f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}"
            self.answer(content[first : last + 1], 206, Content_Range=span, **known)


def _address(kind: str, name: str) -> str:
    return f"datasets/{name}" if kind == "datasets" else name


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def _entry(path: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": len(content), "oid": _oid(content)}


_NAME = r"([\w.-]+/[\w.-]+)"
_API = rf"/api/(models|datasets)/{_NAME}"
_ROUTES: list[tuple[str, Any]] = [
    (r"GET /api/whoami-v2", _Handler.whoami),
    (r"POST /api/repos/create", _Handler.create),
    (r"POST /api/validate-yaml", _Handler.validate),
    (rf"GET {_API}(?:/revision/[^/]+)?", _Handler.info),
    (rf"GET {_API}/tree/[^/]+(/.*)?", _Handler.tree),
    (rf"POST {_API}/paths-info/[^/]+", _Handler.paths),
    (rf"POST /api/models/{_NAME}/preupload/main", _Handler.preupload),
    (rf"POST /api/models/{_NAME}/commit/main", _Handler.commit),
    (rf"POST /{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    (r"PUT /lfs/(\w+)", _Handler.upload),
    (rf"(?:GET|HEAD) /(?:(datasets)/)?{_NAME}/resolve/[^/]+/(.*)", _Handler.resolve),
]


def environment(address: str, home: Path, *, token: str = WRITES) -> dict[str, str]:
    """What makes a process take the stand-in for the Hub."""
    return {
        "HF_ENDPOINT": address,
        "HF_HOME": str(home),
        "HF_TOKEN": token,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def use(patch: pytest.MonkeyPatch, address: str, home: Path, *, token: str | None = WRITES) -> None:
    """The same for this process, which has read its environment already."""
    from huggingface_hub import constants

    patch.setattr(constants, "ENDPOINT", address)
    patch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        patch.delenv(name, raising=False)
    if token is not None:
        patch.setenv("HF_TOKEN", token)
    if find_spec("datasets") is None:
        return
    import datasets
    from huggingface_hub import HfFileSystem

    HfFileSystem.clear_instance_cache()
    rows = address + "/datasets/{repo_id}/resolve/{revision}/{path}"
    for name, value in {
        "HF_ENDPOINT": address,
        "HUB_DATASETS_URL": rows,
        "HF_HUB_OFFLINE": False,
        "HF_DATASETS_CACHE": home / "datasets",
        "HF_MODULES_CACHE": str(home / "modules"),
    }.items():
        patch.setattr(datasets.config, name, value)
