import dataclasses
import hashlib
import http.server
import json
import socket
import threading
from typing import ClassVar

import pytest

from planner.errors import MissingResourceError
from planner.words.catalogue import backbone
from runner.weights import hub
from runner.weights.resolve import load_state, resolve_weights

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """The part of the hub's protocol that a download uses, over a folder of files."""

    folder = None
    wanted = None
    stated: ClassVar = {}
    """SHA-256 that the hub states of a file, by its name."""

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        part = self.path.split("?")[0]
        if "/resolve/" in part and (file := self.folder / part.rpartition("/")[2]).is_file():
            if body:
                self.wanted.append(file.name)
            content = file.read_bytes()
            self.send(200, content, body, etag=hashlib.sha256(content).hexdigest())
        elif part.startswith("/api/models/someone/whisper-micro/tree/"):
            tree = [
                {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": f.name}
                for f in self.folder.iterdir()
            ]
            self.send(200, json.dumps(tree).encode(), body)
        elif part.startswith("/api/models/someone/whisper-micro"):
            names = [{"rfilename": f.name, "size": f.stat().st_size} for f in self.folder.iterdir()]
            for file in names:
                if digest := self.stated.get(file["rfilename"]):
                    pointer = {"size": file["size"], "sha256": digest, "pointerSize": 134}
                    file["lfs"] = pointer
            about = {"id": "someone/whisper-micro", "sha": COMMIT, "siblings": names}
            self.send(200, json.dumps(about).encode(), body)
        else:
            self.send(200 if part == "/" else 404, b"", body)

    def send(self, status, content, body, etag=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if etag:
            self.send_header("ETag", f'"{etag}"')
            self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def fresh_hub(monkeypatch, tmp_path):
    """A hub client with an empty cache; call it with the address of its hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.silence.cache_clear()

    def use(address):
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    yield use
    hub.silence.cache_clear()


@pytest.fixture
def local_hub(micro_folder, fresh_hub):
    """A hub on this machine that holds someone/whisper-micro; gives the list of files taken."""
    taken = []
    handler = type("Here", (Hub,), {"folder": micro_folder, "wanted": taken})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    fresh_hub(f"http://127.0.0.1:{server.server_port}")
    yield taken
    server.shutdown()
    server.server_close()


@pytest.fixture
def on_the_hub():
    """The backbone whisper-micro under a hub id, as a user's own model would be."""
    return dataclasses.replace(backbone("whisper-micro"), hub_id="someone/whisper-micro")


def test_weights_come_from_the_hub_and_then_from_its_cache(
    local_hub, on_the_hub, micro, micro_folder, tmp_path
):
    (micro_folder / "flax_model.msgpack").write_bytes(b"another format")
    said = []
    first = resolve_weights(on_the_hub, cache=tmp_path, say=said.append)
    assert said[0].startswith("fetching someone/whisper-micro from the model hub (14.")
    assert (first.kind, first.source) == ("hub", "hub someone/whisper-micro at 0123456789ab")
    assert sorted(local_hub) == ["config.json", "generation_config.json", "model.safetensors"]
    state, config, _ = load_state(first)
    assert config["d_model"] == 64
    assert all((state[k] == v).all() for k, v in micro.state_dict().items() if k in state)
    again = resolve_weights(on_the_hub, cache=tmp_path, offline=True)
    assert again.source == "cache: hub someone/whisper-micro at 0123456789ab"
    assert (again.digest, len(local_hub)) == (first.digest, 3)


def damage(weights):
    """Alter one byte in the middle of the weights, as a bad disk does; the size stays."""
    file = weights.files[0].resolve()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_weights_that_changed_on_the_disk_are_found_and_fetched_again(
    local_hub, on_the_hub, tmp_path
):
    first = resolve_weights(on_the_hub, cache=tmp_path, say=str)
    damage(first)
    again = resolve_weights(on_the_hub, cache=tmp_path, say=str)
    assert (again.digest, again.source) == (
        first.digest,
        "hub someone/whisper-micro at 0123456789ab",
    )
    assert local_hub.count("model.safetensors") == 2


def test_changed_weights_are_named_where_none_can_be_fetched(local_hub, on_the_hub, tmp_path):
    first = resolve_weights(on_the_hub, cache=tmp_path, say=str)
    damage(first)
    with pytest.raises(MissingResourceError) as caught:
        resolve_weights(on_the_hub, cache=tmp_path, offline=True)
    was = f"was {first.digest[:12]}"
    assert "whisper-micro at 0123456789ab: model.safetensors is not what was" in str(caught.value)
    assert was in str(caught.value)


def test_a_commit_whose_bytes_changed_on_the_hub_itself_is_refused(
    local_hub, on_the_hub, micro_folder, tmp_path
):
    damage(resolve_weights(on_the_hub, cache=tmp_path, say=str))
    file = micro_folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(MissingResourceError, match="is not what was downloaded"):
        resolve_weights(on_the_hub, cache=tmp_path, say=str)


def test_a_file_that_is_not_what_the_hub_states_is_refused(
    local_hub, on_the_hub, micro_folder, tmp_path
):
    Hub.stated["model.safetensors"] = "0" * 64
    try:
        with pytest.raises(MissingResourceError, match="it states 000000000000"):
            resolve_weights(on_the_hub, cache=tmp_path, say=str)
    finally:
        Hub.stated.clear()


def test_a_model_that_the_hub_does_not_have_is_said_in_one_line(local_hub, tmp_path):
    with pytest.raises(
        MissingResourceError, match=r"hub gave no openai/whisper-small.*404"
    ) as caught:
        resolve_weights(backbone("whisper-small"), cache=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_hub_that_never_answers_is_given_up(fresh_hub, monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        fresh_hub(f"http://127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(MissingResourceError, match=r"no answer from the hub|timed out"):
            resolve_weights(backbone("whisper-small"), cache=tmp_path)


def test_a_hub_out_of_reach_ends_in_what_was_tried_and_what_to_do(fresh_hub, tmp_path):
    fresh_hub("http://127.0.0.1:9")
    with pytest.raises(MissingResourceError) as caught:
        resolve_weights(backbone("whisper-small"), cache=tmp_path)
    said = str(caught.value)
    assert f"tried: cache {tmp_path}" in said
    assert "hub out of reach" in said
    assert "registry packages (none holds it)" in said
    assert said.endswith(
        "pass --weights FOLDER, or make the model hub reachable, or use one of: whisper-tiny.en, whisper-base"
    )


def test_the_hub_is_not_asked_where_the_environment_says_so(fresh_hub, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingResourceError, match=r"model hub \(switched off\)"):
        resolve_weights(backbone("whisper-small"), cache=tmp_path)
