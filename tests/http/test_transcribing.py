"""A served model: recordings in, texts out, for those with a token, and nothing of it by default."""

from __future__ import annotations

import io
import json
import sqlite3
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest

pytest.importorskip("torch", reason="the runner is not installed: pip install '.[runner]'")

import soundfile
from starlette.testclient import TestClient

from planner.http.app import create
from planner.http.settings import Settings
from planner.store import api_tokens
from planner.store.engine import open_store
from runner.engines.formats import format_of
from runner.engines.serving import open_served
from runner.engines.writing.export import write_export
from tests.engines.conftest import micro
from tests.http.conftest import BASE, serve
from tests.models.micro import speechlike

TOKENS = {"plan": "p" * 40, "read": "r" * 40}
NATIVE, OPENAI = "/v1/transcribe", "/v1/audio/transcriptions"


def recording(seconds=3.0, rate=16_000, form="WAV", channels=1):
    raw = io.BytesIO()
    samples = speechlike(seconds * rate / 16_000)
    soundfile.write(raw, np.stack([samples] * channels, axis=1), rate, format=form)
    return raw.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("served") / "model"
    write_export(micro(), format_of("onnx"), "float32", out, lambda line: None)
    return out


@pytest.fixture(scope="module")
def db(bench, tmp_path_factory):
    """A database with a token for each of two scopes."""
    copy = tmp_path_factory.mktemp("tokens") / "own.db"
    with sqlite3.connect(bench) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    engine = open_store(str(copy))
    for scope, token in TOKENS.items():
        api_tokens.add(engine, scope, token, [scope])
    engine.dispose()
    return str(copy)


@pytest.fixture(scope="module")
def client(db, folder):
    settings = Settings(
        db=db, log_format="none", requests_per_second=0.0, upload_bytes=1_000_000,
        transcribe_at_once=1,
    )  # fmt: skip
    with TestClient(create(settings, open_served(folder, 1)), base_url=BASE) as found:
        found.headers["Authorization"] = f"Bearer {TOKENS['plan']}"
        yield found


def sent(client, raw, **fields):
    return client.post(OPENAI, files={"file": ("talk.wav", raw)}, data=fields)


@pytest.mark.parametrize("form", ["text", "srt", "vtt", "json"])
def test_a_recording_has_the_text_that_the_command_gives(client, folder, form):
    from runner.engines.runtime import open_folder
    from runner.engines.subtitles import written

    raw = recording(5.0)
    samples = soundfile.read(io.BytesIO(raw), dtype="float32")[0]
    expected = written("recording", open_folder(folder).transcribe(samples), form)
    answer = client.post(f"{NATIVE}?format={form}", content=raw)
    assert (answer.status_code, answer.text) == (200, expected)


def test_openai_clients_get_what_they_expect(client):
    raw = recording(5.0)
    answers = {
        form: sent(client, raw, model="whisper-1", response_format=form, language="en")
        for form in ("json", "text", "srt", "vtt", "verbose_json")
    }
    assert {a.status_code for a in answers.values()} == {200}
    text = answers["json"].json()["text"]
    assert list(answers["json"].json()) == ["text"]
    assert answers["text"].text == f"{text}\n"
    assert answers["vtt"].text.startswith("WEBVTT\n")
    verbose = answers["verbose_json"].json()
    assert (verbose["text"], verbose["duration"]) == (text, 5.0)
    assert all(0 <= s["start"] < s["end"] <= 5.0 for s in verbose["segments"])
    assert all(s["avg_logprob"] <= 0 for s in verbose["segments"])


@pytest.mark.parametrize(("form", "rate"), [("FLAC", 44_100), ("OGG", 48_000), ("MP3", 22_050)])
def test_any_rate_and_container_is_taken(client, form, rate):
    found = client.post(NATIVE, content=recording(2.0, rate, form, channels=2)).json()
    assert found["audio_seconds"] == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        ({"Authorization": ""}, 401, "a token is needed"),
        ({"Authorization": f"Bearer {'x' * 40}"}, 401, "a token is needed"),
        ({"Authorization": f"Bearer {TOKENS['read']}"}, 403, "plan is needed here"),
    ],
)
@pytest.mark.parametrize("path", [NATIVE, OPENAI])
def test_only_a_token_of_scope_plan_may_send_recordings(client, path, headers, status, said):
    answer = client.post(path, content=b"x", headers=headers)
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True)
    assert ("error" in answer.json()) == (path == OPENAI)


def test_without_tokens_on_loopback_recordings_still_need_one(bench, folder):
    settings = Settings(db=bench, log_format="none", upload_bytes=1000)
    with TestClient(create(settings, open_served(folder, 1)), base_url=BASE) as client:
        assert client.post(NATIVE, content=b"x").status_code == 401
        assert client.get("/v1/overview").status_code == 200


@pytest.mark.parametrize(
    ("raw", "status", "said"),
    [
        (b"", 400, "the body is empty"),
        (b"not audio at all", 400, "audio recording is unreadable"),
        (recording(1.0)[:-4000], 400, "audio recording is truncated"),
        (b"\0" * 1_000_001, 413, "the body may have 1000000 bytes at most"),
    ],
)
def test_what_cannot_be_heard_is_one_line(client, raw, status, said):
    answer = client.post(NATIVE, content=raw)
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_a_small_file_that_holds_hours_is_refused_before_it_is_decoded(client):
    raw = io.BytesIO()
    with soundfile.SoundFile(raw, "w", 8_000, 1, format="FLAC") as file:
        for _ in range(62):
            file.write(np.zeros(60 * 8_000, dtype=np.int16))
    answer = client.post(NATIVE, content=raw.getvalue())
    assert answer.status_code == 422
    assert "lasts 3720 s in 1 channels at 8000 Hz; at most 3600 s" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"response_format": "docx"}, "response_format: must be one of text, srt"),
        ({"temperature": "0.7"}, "temperature: the model decodes greedily"),
        ({"stream": "true"}, "stream: texts are sent whole"),
        ({"language": "de"}, "writes en, english, not 'de'"),
        ({"prompt": "Dr. Smith"}, "prompt: not a field that this model takes"),
    ],
)
def test_what_the_model_cannot_do_is_refused_by_field(client, fields, said):
    answer = sent(client, recording(0.5), **fields)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    # The one member that OpenAI's clients print.
    assert answer.json()["error"]["message"] == answer.json()["detail"]


def test_a_form_without_a_file_or_in_the_wrong_place_says_so(client):
    answer = client.post(OPENAI, data={"model": "whisper-1"})
    assert "send it as the file `file`" in answer.json()["detail"]
    answer = client.post(NATIVE, files={"file": ("a.wav", b"x")})
    assert (answer.status_code, "a form goes to" in answer.json()["detail"]) == (415, True)


def test_an_unknown_cut_names_the_known_ones(client):
    answer = client.post(f"{NATIVE}?cut=silnce", content=recording(0.5))
    assert (answer.status_code, "did you mean" in answer.json()["detail"]) == (422, True)


class _Held:
    """A transcriber that waits until it is let go."""

    label, languages = "held", ()

    def __init__(self):
        self.go, self.n_at_once, self.most = threading.Event(), 0, 0
        self.lock = threading.Lock()

    def transcribe(self, raw, name, form, cut):
        with self.lock:
            self.n_at_once += 1
            self.most = max(self.most, self.n_at_once)
        self.go.wait(30)
        with self.lock:
            self.n_at_once -= 1
        return "{}"


def test_so_many_are_heard_at_once_some_wait_and_the_rest_are_told_to_come_back(db):
    from concurrent.futures import ThreadPoolExecutor

    held = _Held()
    settings = Settings(
        db=db, log_format="none", requests_per_second=0.0, upload_bytes=100, transcribe_at_once=2
    )
    headers = {"Authorization": f"Bearer {TOKENS['plan']}"}
    with (
        TestClient(create(settings, held), base_url=BASE) as client,
        ThreadPoolExecutor(13) as pool,
    ):
        asked = [pool.submit(client.post, NATIVE, content=b"x", headers=headers) for _ in range(13)]
        refused = [f.result() for f in _first_done(asked, 3)]
        held.go.set()
        statuses = sorted(f.result().status_code for f in asked)
    assert {(r.status_code, r.headers["Retry-After"]) for r in refused} == {(503, "2")}
    assert (statuses, held.most) == ([200] * 10 + [503] * 3, 2)


def _first_done(futures, n):
    from concurrent.futures import as_completed

    done = as_completed(futures, timeout=30)
    return [next(done) for _ in range(n)]


def test_the_command_serves_a_folder(db, folder, tmp_path):
    found = serve(db, "--transcribe", str(folder), "--log", "none", log=tmp_path / "log")
    try:
        asked = urllib.request.Request(
            found.url + NATIVE + "?format=json", data=recording(2.0),
            headers={"Authorization": f"Bearer {TOKENS['plan']}"},
        )  # fmt: skip
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert json.load(answer)["audio_seconds"] == 2.0
    finally:
        log = found.stop()
    assert "transcribing by whisper-micro" in log


def test_by_default_nothing_is_transcribed(served):
    asked = urllib.request.Request(served.url + NATIVE, data=b"x")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked, timeout=30)
    assert refused.value.code == 404


def test_a_model_to_transcribe_by_needs_a_token_in_the_database(bench, folder):
    from click.testing import CliRunner

    from planner.cli.main import cli

    found = CliRunner().invoke(cli, ["serve", "--db", bench, "--transcribe", str(folder)])
    assert "soundscale tokens add NAME --scope plan" in str(found.exception)
