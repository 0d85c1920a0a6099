"""SQL that cannot change anything, stay long or see tokens, on both databases."""

import json
import os
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from planner.errors import InputError, StoreError
from planner.store import api_tokens, readonly
from planner.store.engine import open_store

FAST = 0.25
"""Time limit of the attacks below (s)."""

WRITES = """\
insert into trials(fingerprint) values ('x')
update runs set status = 'failed'
delete from runs
replace into devices(name) values ('x')
drop table runs
drop view v_results
create table z(x)
create temp table z(x)
create view z as select 1
create index z on runs(status)
create trigger z after insert on runs begin select 1; end
alter table runs rename to z
alter table runs add column z
reindex
analyze
vacuum
vacuum into '{there}/copy.db'
with x as (select 1) insert into devices(name) select 'x' from x
explain delete from runs; delete from runs
select 1; delete from runs
select 1; drop table runs --
begin
begin immediate
commit
rollback
savepoint a
release a
create virtual table z using fts5(x)
create virtual table temp.z using rtree(a, b, c)""".splitlines()

REACHES = """\
attach database '{there}/evil.db' as evil
attach ':memory:' as m
detach database main
pragma writable_schema = 1
pragma query_only = 0
pragma journal_mode = delete
pragma table_info(runs)
pragma database_list
pragma module_list
pragma hard_heap_limit = 1
pragma temp_store_directory = '{there}'
select * from pragma_table_info('runs')
select * from pragma_database_list
select * from pragma_function_list
select load_extension('{there}/evil')
select readfile('/etc/passwd')
select writefile('{there}/evil.txt', 'x')
select edit('x', 'sh')
select fts3_tokenizer('simple')
select * from fsdir('/')
select * from csv('/etc/passwd')
select * from generate_series(1, 1000000000)
select * from sqlite_dbpage
select * from dbstat
select * from api_tokens
select token_hash from api_tokens
select a.* from api_tokens a
select count(*) from api_tokens
select (select max(token_hash) from api_tokens)
select 1 from runs where exists (select 1 from api_tokens)
select name from runs natural join api_tokens
with api_tokens as (select 1 as token_hash) select * from main.api_tokens
select * from "API_TOKENS"
select * from [api_tokens]
select * from main.api_tokens
values ((select token_hash from api_tokens limit 1))""".splitlines()

GREEDY = """\
with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c
select count(*) from sqlite_master a, sqlite_master b, sqlite_master c, sqlite_master d, sqlite_master e
select group_concat(a.sql) from sqlite_master a, sqlite_master b, sqlite_master c, sqlite_master d
select hex(zeroblob(400000000))
select hex(randomblob(900000))
select length(printf('%.*c', 400000000, 'x'))
select length(replace(hex(printf('%.*c', 900000, 'x')), '7', printf('%.*c', 900000, 'y')))
with recursive r(s) as (select 'ab' union all select s || s from r where length(s) < 1000000) select max(s) from r
select abs(-9223372036854775808)
select sql from sqlite_master order by random() limit (select count(*) from runs a, runs b, runs c, runs d, runs e)
with recursive r(s) as (select 'a' union all select s || s from r where length(s) < 900000) select \
max(s) like '%a%a%a%a%a%a%a%a%b' from r""".splitlines()

READS = """\
select 1
select count(*) from runs
select * from v_results limit 3
select backbone, avg(error) from v_results group by backbone having count(*) > 1 order by 2
with best as (select run_id, error from v_results where error is not null) select * from best limit 2
select t.backbone, r.status from runs r join trials t on t.trial_id = r.trial_id limit 2
select rank() over (order by error) as place, backbone from v_results limit 2
select json_extract(trial_json, '$.task') from trials limit 1
select key, value from json_each('{"a": 1}')
select name from sqlite_master where type = 'view'
select upper(backbone), round(error, 2), coalesce(error, 0) from v_results limit 2
select * from (select 1 as a union select 2 union select 3) order by a
values (1, 2), (3, 4)
select 'delete from runs; drop table runs' as text
select date('2026-01-02'), strftime('%Y', '2026-01-02')
select exists(select 1 from runs), 5 between 1 and 9, 'abc' like 'a%'
/* a comment; with a semicolon */ select 1 -- and another
select distinct provenance from runs
select count(*) from (select * from v_costs)
select 1;""".splitlines()


@pytest.fixture(scope="module")
def guarded(bench, tmp_path_factory):
    """A database with a token in it, and a folder in which nothing may appear."""
    import sqlite3

    folder = tmp_path_factory.mktemp("sql")
    copy = folder / "own.db"
    with sqlite3.connect(bench) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    engine = open_store(str(copy))
    api_tokens.add(engine, "secret", "k" * 40, ["admin"])
    engine.dispose()
    return copy


def state(database: Path) -> tuple:
    """Everything that an attack could have changed."""
    engine = open_store(str(database))
    with engine.connect() as connection:
        counts = [
            connection.execute(text(f"select count(*) from {name}")).scalar()
            for name in ("runs", "trials", "devices", "api_tokens", "sqlite_master")
        ]
    engine.dispose()
    return counts, sorted(p.name for p in database.parent.iterdir() if "own.db-" not in p.name)


@pytest.mark.parametrize("sql", [*WRITES, *REACHES], ids=lambda s: s[:60])
def test_an_attack_is_refused_and_changes_nothing(guarded, sql):
    before = state(guarded)
    with pytest.raises(InputError):
        readonly.query(str(guarded), sql.format(there=guarded.parent), max_seconds=FAST)
    assert state(guarded) == before


def test_at_least_sixty_attacks_are_tried():
    assert len({*WRITES, *REACHES, *GREEDY}) >= 60


@pytest.mark.parametrize("sql", GREEDY, ids=lambda s: s[:60])
def test_a_greedy_statement_is_refused_cut_or_ended(guarded, sql):
    try:
        found = readonly.query(str(guarded), sql, max_seconds=FAST)
    except InputError:
        return
    assert len(json.dumps(found.rows)) < 8_000_000


@pytest.mark.parametrize("sql", READS, ids=lambda s: s[:60])
def test_a_question_is_answered(guarded, sql):
    found = readonly.query(str(guarded), sql)
    assert found.columns
    assert found.rows


def test_a_statement_that_cannot_be_interrupted_is_killed(guarded):
    slow = (
        "with recursive r(s) as (select 'a' union all select s || s from r where length(s) < 900000) "
        "select instr(max(s), substr(max(s), 2, 400000) || 'b') from r"
    )
    with pytest.raises(InputError, match=r"ended after 0\.25 s"):
        readonly.query(str(guarded), slow, max_seconds=FAST)


def test_rows_beyond_the_limit_are_left_out_and_said_to_be(guarded):
    sql = "with recursive c(x) as (select 1 union all select x + 1 from c where x < 5000) select x from c"
    found = readonly.query(str(guarded), sql, max_rows=100)
    assert (len(found.rows), found.truncated) == (100, True)


def test_values_that_json_cannot_carry_become_text(guarded):
    found = readonly.query(str(guarded), "select 9e999 as a, -9e999 as b, x'00ff' as c, null as d")
    assert found.rows == (("inf", "-inf", "00ff", None),)


def test_columns_of_one_name_stay_apart():
    found = readonly.QueryResult(
        columns=("a", "a", "b"), rows=((1, 2, 3),), truncated=False, elapsed_ms=0.0
    )
    assert found.to_rows() == [{"a": 1, "a#2": 2, "b": 3}]


@pytest.mark.parametrize("sql", ["", "   ", "select 1\x00", "select " + "1," * 20_000 + "1"])
def test_what_is_no_statement_is_refused(guarded, sql):
    with pytest.raises(InputError):
        readonly.query(str(guarded), sql)


def test_a_name_with_signs_of_a_url_is_a_file(tmp_path):
    database = tmp_path / "a#mode=rw&b%.db"
    open_store(str(database)).dispose()
    assert readonly.query(str(database), "select count(*) from runs").rows == ((0,),)


@pytest.fixture(scope="module")
def reader(postgres_server):
    """A migrated PostgreSQL database with a token, as its owner and as a role that can only read."""
    import psycopg

    owner = postgres_server.new_database()
    engine = open_store(owner)
    api_tokens.add(engine, "secret", "k" * 40, ["admin"])
    engine.dispose()
    name = f"reader{os.urandom(3).hex()}"
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
        connection.execute(f"REVOKE ALL ON api_tokens FROM {name}")
        url = owner.replace("postgres@", f"{name}@")
        with pytest.raises(StoreError, match="REVOKE EXECUTE ON FUNCTION lo_") as told:
            readonly.query(url, "select 1", trusted=False)
        connection.execute(str(told.value).split(": ", 1)[1])
    return owner, owner.replace("postgres@", f"{name}@")


PG_ATTACKS = """\
insert into devices(name, kind, model, n_threads) values ('x', 'x', 'x', 1)
update runs set status = 'failed'
delete from runs
drop table runs
create table z(x int)
create temp table z(x int)
truncate runs
select 1; delete from runs
select 1) as q; delete from runs; select * from (select 1
with x as (delete from runs returning 1) select * from x
copy runs to '/tmp/evil.txt'
copy (select 1) to program 'touch /tmp/evil'
copy runs from '/etc/passwd'
select pg_read_file('/etc/passwd')
select pg_ls_dir('/')
select lo_import('/etc/passwd')
select lo_export(1, '/tmp/evil')
select * from api_tokens
select token_hash from api_tokens
select set_config('role', 'postgres', false), pg_read_file('/etc/passwd')
select set_config('transaction_read_only', 'off', true)
set role postgres
reset statement_timeout
set statement_timeout = 0
begin
commit
rollback
vacuum
do $$ begin perform 1; end $$
execute answer
declare c cursor for select 1
lock table runs
select * from pg_authid
select pg_reload_conf()
select pg_switch_wal()
select pg_sleep(20)
select set_config('statement_timeout', '0', false), pg_sleep(20)
select count(*) from generate_series(1, 1000000000000)
select repeat('x', 2000000000)
notify runs
listen runs
select lo_create(0)
select lo_from_bytea(0, 'x')
select query_to_xml('sel' || 'ect lo_creat(131072)', true, true, '')
select pg_logical_emit_message(false, 'a', 'b')
explain analyze delete from runs""".splitlines()


@pytest.mark.postgres
@pytest.mark.parametrize("sql", PG_ATTACKS, ids=lambda s: s[:60])
def test_an_attack_on_postgresql_is_refused_and_changes_nothing(reader, sql):
    owner, url = reader
    with pytest.raises(InputError):
        readonly.query(url, sql, max_seconds=FAST, trusted=False)
    assert readonly.query(owner, "select count(*) from api_tokens").rows == ((1,),)
    assert not Path("/tmp/evil.txt").exists()


@pytest.mark.postgres
@pytest.mark.parametrize(
    "sql",
    ["select 1", "select count(*) from runs", "select * from v_results limit 1",
     "with a as (select 1 as x) select x, x from a", "values (1, 'a')", "table runs",
     "select 'a%b' like 'a%%', 1.5::numeric, now(), '{\"a\": 1}'::json -- comment", "select 1;",
     "select generate_series(1, 200)"],
)  # fmt: skip
def test_a_question_to_postgresql_is_answered(reader, sql):
    found = readonly.query(reader[1], sql, trusted=False)
    assert found.columns
    json.dumps(found.rows)


@pytest.mark.postgres
def test_long_values_and_many_rows_of_postgresql_are_cut(reader):
    found = readonly.query(reader[1], "select repeat('x', 5000000) as a", trusted=False)
    assert len(found.rows[0][0]) == 100_000
    many = readonly.query(
        reader[1], "select generate_series(1, 100000)", max_rows=70, trusted=False
    )
    assert (len(many.rows), many.truncated) == (70, True)


@pytest.mark.postgres
def test_the_service_refuses_a_postgresql_role_that_could_write(reader):
    with pytest.raises(StoreError, match="--sql-db"):
        readonly.query(reader[0], "select 1", trusted=False)
    assert readonly.query(reader[0], "select 1").rows == ((1,),)


@pytest.mark.postgres
def test_a_role_that_can_read_tokens_is_refused(reader):
    import psycopg

    owner, url = reader
    name = url.split("//")[1].split("@")[0]
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"GRANT SELECT ON api_tokens TO {name}")
        with pytest.raises(StoreError, match="can read api_tokens"):
            readonly.query(url, "select 1", trusted=False)
        connection.execute(f"REVOKE ALL ON api_tokens FROM {name}")


MEMBERSHIPS = {
    "can write runs as a member of": "GRANT INSERT ON runs TO {group}",
    "is an administrator as a member of": "ALTER ROLE {group} SUPERUSER",
    "can read api_tokens as a member of": "GRANT SELECT (token_hash) ON api_tokens TO {group}",
    "is a server role as a member of pg_signal_backend": "GRANT pg_signal_backend TO {group}",
}


@pytest.mark.postgres
@pytest.mark.parametrize("said", MEMBERSHIPS)
@pytest.mark.parametrize("inherits", ["INHERIT", "NOINHERIT"])
def test_a_role_counts_as_every_role_that_it_can_reach(reader, said, inherits):
    import psycopg

    owner, url = reader
    name, near, far = url.split("//")[1].split("@")[0], "near", "far"
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(
            f"CREATE ROLE {near} {inherits}; CREATE ROLE {far}; GRANT {far} TO {near}"
        )
        connection.execute(f"ALTER ROLE {name} {inherits}; GRANT {near} TO {name}")
        connection.execute(MEMBERSHIPS[said].format(group=far))
        try:
            with pytest.raises(StoreError, match=said):
                readonly.query(url, "select 1", trusted=False)
        finally:
            connection.execute(f"DROP OWNED BY {far}; DROP ROLE {near}, {far}")


def test_the_page_answers_csv_and_json(client):
    sql = "select backbone, count(*) as n from v_results group by backbone order by backbone"
    as_csv = client.get("/v1/sql", params={"sql": sql, "format": "csv"})
    assert as_csv.headers["content-type"].startswith("text/csv")
    assert as_csv.text.splitlines()[0] == "backbone,n"
    rows = client.post("/v1/sql", json={"sql": sql}).json()["rows"]
    assert [",".join(map(str, r)) for r in rows] == as_csv.text.splitlines()[1:]


def test_csv_of_the_page_carries_no_formula(client):
    sql = "select '=HYPERLINK(1)' as \"@a\", -1.5 as n, 'text' as t"
    got = client.get("/v1/sql", params={"sql": sql, "format": "csv"})
    assert got.text.splitlines() == ["'@a,n,t", "'=HYPERLINK(1),-1.5,text"]


def test_the_command_gives_rows_in_each_format(bench):
    from click.testing import CliRunner

    from planner.cli.main import cli

    sql = "select run_id, backbone from v_results order by run_id limit 2"
    for kind, said in (
        ("json", '"run_id": 1'),
        ("csv", "run_id,backbone\n1,"),
        ("table", "backbone"),
    ):
        done = CliRunner().invoke(cli, ["db", "query", sql, "--db", bench, "-f", kind])
        assert (done.exit_code, said in done.stdout) == (0, True)


def test_statements_at_once_are_bounded_and_the_health_check_stays_quick(client):
    from concurrent.futures import ThreadPoolExecutor

    slow = "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(client.get, "/v1/sql", params={"sql": slow}) for _ in range(4)]
        started = time.monotonic()
        assert client.get("/livez").status_code == 200
        quick = time.monotonic() - started
        ends = {a.result().status_code for a in asked}
    assert ends <= {422, 503}
    assert quick < 30
