from __future__ import annotations

import subprocess
import sys
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.words.secrets import redacted

SECRET = st.text("abcXYZ0189!$*()_-+~.:/@%,", min_size=6, max_size=20).map(lambda s: f"S3{s}crT")
NAME = st.sampled_from(["me", "", "a.b-c", "KEY%2F1"])
HOST = st.sampled_from(["host", "10.0.0.1:5432", "[::1]", "db.example.org:1/x"])
SCHEME = st.sampled_from(
    ["postgresql", "postgres", "postgresql+psycopg", "sqlite", "s3", "https", "ftp", "redis"]
)
BREAK = st.sampled_from(["://", ":/", ":///", ";//", "//"])
MIXED_UP = st.sampled_from(
    ["{0}@{1}:{2}", "{0}@{1}@{2}", "{0}%40{1}:{2}", "{0}%40{1}@{2}", "{0};{1}@{2}", "{0}|{1}@{2}", "{0},{1}@{2}",
     "{0}:{1}/{2}", "{0}:{1}#{2}", "{0}:{1}", "{0}%3A{1}", "{0}:{1}%40{2}"]
)  # fmt: skip
PARAMETER = st.sampled_from(
    ["password", "sslpassword", "secret", "client_secret", "token", "X-Amz-Security-Token", "sig",
     "X-Amz-Signature", "api_key", "apikey", "key", "access_key", "passwd", "pwd", "auth", "sas"]
)  # fmt: skip
AROUND = st.sampled_from(["{}", "cannot reach {}: timed out", "database URL '{}' cannot be read"])


@settings(max_examples=200)
@given(SCHEME, BREAK, NAME, SECRET, HOST, AROUND)
def test_the_password_of_any_url_is_hidden_however_it_is_mistyped(
    scheme, slashes, name, secret, host, around
):
    told = redacted(around.format(f"{scheme}{slashes}{name}:{secret}@{host}"))
    assert secret not in told
    assert "***" in told


@settings(max_examples=200)
@given(
    st.sampled_from(["postgresql", "s3", "https", "redis", "mongodb+srv"]),
    st.sampled_from(["://", ":///", "//"]),
    st.sampled_from(["me", "", "a.b-c"]),
    SECRET,
    HOST,
    MIXED_UP,
    AROUND,
)
def test_a_password_between_the_wrong_marks_is_hidden(
    scheme, slashes, name, secret, host, mixed_up, around
):
    # A form with no @ whose secret has one ends in what reads as a host.
    secret = secret if "{1}:{2}" in mixed_up or "@{2}" in mixed_up else secret.replace("@", "")
    url = f"{scheme}{slashes}{mixed_up.format(name, secret, host)}"
    told = redacted(around.format(url))
    assert "crT" not in told
    assert "***" in told


@settings(max_examples=200)
@given(st.sampled_from(["postgresql", "s3", "gs", "mysql"]), NAME.filter(bool), SECRET, HOST)
def test_a_password_after_a_slash_is_hidden_where_no_path_has_an_at(scheme, name, secret, host):
    assert secret not in redacted(f"cannot reach {scheme}://{name}/{secret}@{host}: timed out")


@settings(max_examples=200)
@given(SCHEME, PARAMETER, SECRET, st.booleans(), AROUND)
def test_a_secret_in_a_query_is_hidden_and_what_follows_it_is_not(
    scheme, name, secret, upper, around
):
    key = name.upper() if upper else name
    url = f"{scheme}://host/folder?region=eu&{key}={quote(secret, safe='')}&x=1"
    told = redacted(around.format(url))
    assert quote(secret, safe="") not in told
    assert "region=eu" in told
    assert "x=1" in told


@settings(max_examples=200)
@given(st.sampled_from(["password", "sslpassword", "passwd"]), SECRET, st.sampled_from(["", "'"]))
def test_a_secret_in_a_connection_string_is_hidden(name, secret, mark):
    told = redacted(f"host=db {name} = {mark}{secret}{mark} user=me")
    assert secret not in told
    assert told.endswith(" user=me")


FORMS = (
    "jdbc:postgresql://host/db?user=me&password={}", "postgresql://me%3A{}@host/db",
    "https://{}@host/repo.git", "https://x-access-token:{}@host/a", "https://h/c?sv=1&sp=r&sig={}",
    "AccountName=a;AccountKey={};EndpointSuffix=x", "https://h/x#access_token={}",
    "https://h/x?auth_key={}", "https://h/x?jwt={}", "https://h/x?session={}",
    "https://h/x?password%3D{}", "sqlite:///x.db?hexkey={}", "AWS_SECRET_ACCESS_KEY={}",
    "RAY_AUTH_TOKEN={}", "{{'host': 'h', 'password': '{}'}}", '{{"user": "u", "secret": "{}"}}',
    "Authorization: Bearer {}", "password: {}", r"postgresql:\\me:{}@host/db", "me:{}@host/db",
    "s3://AKIA:{}@bucket/x", "mongodb+srv://u:{}@h",
)  # fmt: skip


@settings(max_examples=200)
@given(st.sampled_from(FORMS), SECRET, AROUND)
def test_a_secret_in_a_form_of_another_tool_is_hidden(form, secret, around):
    given_as = quote(secret, safe="") if "://" in form else secret
    told = redacted(around.format(form.format(given_as)))
    assert given_as not in told
    assert "***" in told


def test_what_is_no_secret_stays():
    for text in (
        "a token is needed: send Authorization: Bearer TOKEN", "unknown token: reader", "key: value",
        "https://host/a@b", "the password is asked for: yes or no?", "see https://host:80/x",
        "postgresql://me@host:5432/db", "sqlite:///runs.db", "C:/x@y", "12:30 me@host",
        "s3://bucket/folder?region=eu", "mean_output_tokens=3", "key = 5", "n_tokens 4",
        "postgresql://me@h1:5432,h2:5433/db", "postgresql://me@[::1]:5432/db?options=-c%20a=b:c",
        "cannot reach postgresql://me@host/db: timed out", "ssh://git@github.com:owner/repo",
        "me@host:folder", "sqlite:///C:/runs.db", "file:///a:b", "hf://datasets/me/x@main/a:b", "ray://HEAD:PORT",
        "http://127.0.0.1:8000: refused", "(see http://[::1]:8000)", "s3://bucket/runs:2/x", "a//b",
        "redis://h:1?x=y",
    ):  # fmt: skip
        assert redacted(text) == text


PARTS = (
    "a", "a:", "@:", "a://", "password=", "?key", "'password':", "'", "bearer ", "-.", "9h", "a@",
    "%3A", "a:a@", "http://", "x:\\\\", "s3://a@", "s3://a@b:", "s3://a/", "s3://a;", "a//b", "s3://%41", "s3://a@h,",
)  # fmt: skip
LONG = """
import resource, sys
from planner.words.secrets import redacted
resource.setrlimit(resource.RLIMIT_CPU, (8, 8))
for part in eval(sys.argv[1]):
    for end in ("", " x@y", "@", "@ "):
        redacted(part * (16_000 // len(part)) + end)
"""


def test_long_messages_of_somebodys_own_are_read_in_time_that_does_not_grow_by_its_square():
    # A second of processor or two in all; by the square it was 8 for the first of them.
    done = subprocess.run([sys.executable, "-c", LONG, repr(PARTS)], check=False)
    assert done.returncode == 0
