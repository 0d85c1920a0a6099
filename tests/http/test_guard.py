"""Secure by default: names, origins, sizes, slow clients, tokens, rates, secrets."""

import asyncio
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from planner.http import server
from planner.http.settings import Settings
from planner.store import api_tokens
from planner.store.engine import open_store
from tests.http.conftest import client_of, serve

PLAN = "/v1/plan?task=asr&flops=20G"


def with_token(db, *scopes):
    """A fresh token in the database."""
    engine = open_store(db)
    token = api_tokens.new_token()
    api_tokens.add(engine, f"t{os.urandom(3).hex()}", token, scopes)
    engine.dispose()
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "10.0.0.1", "localhost.x"]
)
def test_another_host_name_is_421_before_any_route(client, host):
    assert client.get(PLAN, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
def test_names_of_this_machine_are_answered(client, host):
    assert client.get("/livez", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "https://127.0.0.1:9999",
        "file://",
        "http://127.0.0.1:8000.evil",
    ],
)
def test_a_request_from_another_web_page_is_403(client, origin):
    for call in (client.get, client.post):
        assert call(PLAN, headers={"Origin": origin}).status_code == 403


def test_a_request_from_our_own_page_is_answered(client):
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.get(PLAN, headers=own).status_code == 200
    assert client.get(PLAN, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_no_answer_can_be_framed_or_run_a_foreign_script(client):
    for path in ("/livez", PLAN, "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def raw(port, head, body=b""):
    """Send bytes, return what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        wire.sendall(head + body)
        out = b""
        try:
            while chunk := wire.recv(65536):
                out += chunk
        except ConnectionResetError:
            pass
        return out


def test_a_body_of_100_mb_is_refused_before_it_is_read(served):
    head = (
        b"POST /v1/plan HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 104857600\r\n\r\n"
    )
    answer = raw(served.port, head, b"{")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"65536 bytes at most" in answer


CHUNKED = (
    b"POST /v1/plan HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
CHUNK = b"8000\r\n" + b" " * 0x8000 + b"\r\n"


def poured(port, n_bytes):
    """Bytes of a body in chunks that the server let itself be sent before it closed."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        wire.sendall(CHUNKED)
        try:
            while sent < n_bytes:
                wire.sendall(CHUNK)
                sent += len(CHUNK)
        except (BrokenPipeError, ConnectionResetError):
            pass
    return sent


def test_a_chunked_body_is_cut_off_at_64_kb(served):
    answer = raw(served.port, CHUNKED, CHUNK * 4)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"65536 bytes at most" in answer


def test_a_body_without_end_is_not_kept(served):
    poured(served.port, 4 * len(CHUNK))  # what the first request loads is no part of a body
    statm = Path(f"/proc/{served.process.pid}/statm")
    before = int(statm.read_text().split()[1])
    body = 100 << 20
    assert poured(served.port, body) < body
    grown = (int(statm.read_text().split()[1]) - before) * os.sysconf("SC_PAGE_SIZE")
    assert grown < body / 4


def test_a_negative_or_strange_length_is_refused(served):
    for length in (b"-1", b"1e9", b"abc", b"9" * 40):
        head = b"POST /v1/plan HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %s\r\n\r\n" % length
        assert raw(served.port, head)[9:12] in (b"400", b"413")


def test_a_url_of_10_kb_is_refused(client):
    assert client.get("/v1/plan?task=" + "a" * 10_000).status_code == 413


def test_a_half_sent_request_is_dropped_and_others_go_on(own_bench, tmp_path):
    found = serve(own_bench, "--log", "none", log=tmp_path / "log")
    halves = [socket.create_connection(("127.0.0.1", found.port)) for _ in range(50)]
    try:
        for i, wire in enumerate(halves):
            # Half of them in the head, half in the body.
            body = b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{" if i % 2 else b""
            wire.sendall(b"POST /v1/plan HTTP/1.1\r\nHost: 127.0.0.1\r\n" + body)
        good = http.client.HTTPConnection("127.0.0.1", found.port, timeout=10)
        good.request("GET", PLAN)
        assert good.getresponse().status == 200
        good.close()
        wait_s = Settings().receive_seconds + 10
        for wire in halves:
            wire.settimeout(wait_s)
            try:
                while wire.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    finally:
        for wire in halves:
            wire.close()
        found.stop()


def test_another_address_without_a_token_is_refused_at_the_start(own_bench):
    line = [
        sys.executable,
        "-m",
        "planner.cli.main",
        "serve",
        "--db",
        own_bench,
        "--host",
        "0.0.0.0",
    ]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "soundscale tokens add" in done.stderr
    with_token(own_bench, "read")
    server.check(Settings(db=own_bench, host="0.0.0.0"))


def operations(client):
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            yield method, re.sub(r"\{.*?\}", "aaaaaaaa", path)


def test_where_there_are_tokens_every_route_wants_one(own_bench):
    with client_of(own_bench) as open_client:
        routes = list(operations(open_client))
    with_token(own_bench, "read")
    with client_of(own_bench) as client:
        for method, path in routes:
            for headers in (
                {},
                {"Authorization": "Bearer ssc_wrong"},
                {"Authorization": "Basic eDp5"},
            ):
                status = client.request(method, path, headers=headers).status_code
                # While the first tables are being made, ready is not yet 200.
                open_to_all = {"/livez": {200}, "/readyz": {200, 503}}
                assert status in open_to_all.get(path, {401}), (method, path)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("read", {"get": 200, "post": 403, "fit": 403, "sql": 403}),
     ("plan", {"get": 200, "post": 200, "fit": 403, "sql": 403}),
     ("admin", {"get": 200, "post": 200, "fit": 202, "sql": 200})],
)  # fmt: skip
def test_a_scope_includes_those_before_it_and_no_more(own_bench, scope, allowed):
    headers = with_token(own_bench, scope)
    with client_of(own_bench) as client:
        asked = {"task": "asr", "flops": 20e9}
        got = {
            "get": client.get(PLAN, headers=headers).status_code,
            "post": client.post("/v1/plan", json=asked, headers=headers).status_code,
            "fit": client.post("/v1/fits", json={"task": "asr"}, headers=headers).status_code,
            "sql": client.get("/v1/sql?sql=select 1", headers=headers).status_code,
        }
    assert got == allowed


def test_a_revoked_token_is_refused(own_bench):
    headers = with_token(own_bench, "read")
    engine = open_store(own_bench)
    api_tokens.revoke(engine, api_tokens.tokens(engine)[0].name)
    with_token(own_bench, "read")
    engine.dispose()
    with client_of(own_bench) as client:
        assert client.get(PLAN, headers=headers).status_code == 401


def test_the_database_keeps_no_token_and_the_command_takes_none_from_a_flag(own_bench, tmp_path):
    line = [sys.executable, "-m", "planner.cli.main", "tokens", "add", "ci", "--db", own_bench]
    made = subprocess.run(line, capture_output=True, text=True, check=True)
    token = made.stdout.strip()
    assert len(token) > 40
    assert token.encode() not in Path(own_bench).read_bytes()
    assert token not in made.stderr
    shown = subprocess.run([*line, "--help"], capture_output=True, text=True, check=True).stdout
    assert "--token" not in shown


def test_a_token_of_ones_own_comes_from_stdin_and_must_be_long(own_bench):
    line = [
        sys.executable,
        "-m",
        "planner.cli.main",
        "tokens",
        "add",
        "x",
        "--db",
        own_bench,
        "--from",
        "-",
    ]
    short = subprocess.run(line, input="hunter2\n", capture_output=True, text=True)
    assert short.returncode == 2
    assert "32" in short.stderr
    good = subprocess.run(line, input="k" * 40 + "\n", capture_output=True, text=True)
    assert (good.returncode, good.stdout) == (0, "")
    with client_of(own_bench) as client:
        assert client.get(PLAN, headers={"Authorization": f"Bearer {'k' * 40}"}).status_code == 200


def test_a_client_that_asks_too_fast_is_429_with_when_to_come_back(own_bench):
    with client_of(own_bench, requests_per_second=1.0, burst=5) as client:
        answers = [client.get("/livez") for _ in range(8)]
    assert [a.status_code for a in answers] == [200] * 5 + [429] * 3
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_work_that_takes_too_long_is_503_and_is_ready_later(own_bench):
    with client_of(own_bench, work_seconds=0.001) as client:
        first = client.get("/v1/frontier?task=asr&x=flops&source=published")
        assert (first.status_code, first.headers["retry-after"]) == (503, "2")
        deadline = time.monotonic() + 30
        while client.get("/v1/frontier?task=asr&x=flops&source=published").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def logged(log, request_id):
    """The request's line in the log; it is written once the answer has left."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        lines = [json.loads(x) for x in log.read_text().splitlines() if x.startswith("{")]
        found = [x for x in lines if x.get("request_id") == request_id]
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no line of request {request_id} in the log")


def test_a_request_has_an_id_a_line_in_the_log_and_a_place_in_the_metrics(served):
    wire = http.client.HTTPConnection("127.0.0.1", served.port)
    wire.request("GET", PLAN, headers={"X-Request-Id": "test-7"})
    answer = wire.getresponse()
    answer_id = json.loads(answer.read())["answer_id"]
    assert answer.headers["X-Request-Id"] == "test-7"
    mine = logged(served.log, "test-7")
    assert (mine["status"], mine["answer_id"]) == (200, answer_id)
    wire.request("GET", "/metrics")
    assert b'route="/v1/plan",status="200"' in wire.getresponse().read()


def test_without_a_terminal_every_line_is_json_also_of_what_is_no_request(served):
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as wire:
        wire.sendall(b"\x1b]0;no request\x07\r\n\r\n")
        assert wire.recv(1000).startswith(b"HTTP/1.1 400 ")
    wire = http.client.HTTPConnection("127.0.0.1", served.port)
    wire.request("GET", "/livez", headers={"X-Request-Id": "after-it"})
    assert wire.getresponse().status == 200
    assert logged(served.log, "after-it")["status"] == 200
    first, *lines = served.log.read_text().splitlines()
    assert "on http://127.0.0.1" in first
    assert "Invalid HTTP request received." in [json.loads(line)["event"] for line in lines]


def test_a_path_that_steers_a_terminal_is_written_out_in_the_log(bench, capsys):
    with client_of(bench, log_format="text") as client:
        assert client.get("/v1/%1b]52;c;aGk=%07%9b31m").status_code == 404
    said = capsys.readouterr().err
    assert "x1b]52;c;aGk=" in said
    assert re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f]", said) == []


SECRETS = ["hunter2", "p%40ss@word", "s3cr3t"]
URLS = [
    f"postgresql://me:{SECRETS[0]}@127.0.0.1:1/nowhere",
    f"postgresql://me:{SECRETS[1]}@127.0.0.1:1/nowhere",
    f"postgresql://me@127.0.0.1:1/nowhere?password={SECRETS[2]}&sslpassword={SECRETS[2]}",
    f"postgresql://me:{SECRETS[0]}@[broken/nowhere",
]


@pytest.mark.parametrize("url", URLS, ids=["plain", "with @", "as parameter", "malformed"])
def test_a_password_is_never_shown(url, tmp_path):
    line = [sys.executable, "-m", "planner.cli.main"]
    for words in (["serve", "--port", "0"], ["db", "query", "select 1"]):
        done = subprocess.run(
            [*line, *words, "--db", url], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode in (2, 6), done.stderr
        assert not any(s in done.stdout + done.stderr for s in [*SECRETS, "word@"])


def test_sql_of_the_database_never_shows_tokens(client):
    for sql in (
        "select * from api_tokens",
        "select token_hash from api_tokens",
        "select count(*) from api_tokens",
    ):
        assert client.get("/v1/sql", params={"sql": sql}).status_code == 422


def test_small_answers_are_sent_at_once():
    async def nodelay():
        seen = asyncio.get_running_loop().create_future()

        async def met(reader, writer):
            peer = writer.get_extra_info("socket")
            seen.set_result(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listening = server.listen(Settings(port=0))
        async with await asyncio.start_server(met, sock=listening):
            _, writer = await asyncio.open_connection(*listening.getsockname())
            found = await seen
            writer.close()
        return found

    assert asyncio.run(nodelay()) != 0
