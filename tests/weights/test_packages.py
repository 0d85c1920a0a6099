import dataclasses
import signal
import subprocess
import sys

import pytest

from planner.errors import MissingResourceError
from runner.data.prompts import TEXTS
from runner.weights.packages import cache_folder, fetch_deb, install, sha256_tree, unpack_deb


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SOUNDSCALE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SOUNDSCALE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "soundscale"
    assert cache_folder(tmp_path / "given") == tmp_path / "given"


def test_the_digest_of_a_tree_sees_names_and_bytes(tmp_path):
    digests = set()
    for name, content in (("a", "x"), ("b", "x"), ("b", "y"), ("c/b", "y")):
        folder = tmp_path / f"{len(digests)}"
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(content)
        digests.add(sha256_tree(folder))
    assert len(digests) == 4


def build(folder):
    (folder / "file").write_text("content")


def intact(folder):
    return (folder / "file").is_file() and (folder / "file").read_text() == "content"


def test_an_entry_is_built_once_and_then_found(tmp_path):
    entry = tmp_path / "cache" / "entry"
    assert [install(entry, build, intact), install(entry, build, intact)] == [True, False]


def test_a_wrong_entry_is_never_put_in_place(tmp_path):
    with pytest.raises(MissingResourceError, match="does not match its SHA-256"):
        install(tmp_path / "entry", lambda f: (f / "file").write_text("other"), intact)
    assert [p.name for p in tmp_path.iterdir()] == ["entry.lock"]


def test_an_intact_entry_is_found_in_a_cache_that_cannot_be_written(tmp_path):
    build_here = tmp_path / "entry"
    build_here.mkdir()
    build(build_here)
    (tmp_path / "entry.lock").mkdir()  # what would be opened for writing cannot be
    assert install(build_here, build, intact) is False
    with pytest.raises(MissingResourceError, match="set SOUNDSCALE_CACHE"):
        install(build_here, build, lambda _: False)


PROCESS = """
import sys, time
from pathlib import Path
from runner.weights.packages import install
def build(folder):
    print("building", flush=True)
    time.sleep(float(sys.argv[2]))
    (folder / "file").write_text("content")
intact = lambda f: (f / "file").is_file()
print(install(Path(sys.argv[1]), build, intact), flush=True)
"""


def process(entry, seconds):
    command = [sys.executable, "-c", PROCESS, str(entry), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_of_several_processes_one_builds_and_all_find_it(tmp_path):
    running = [process(tmp_path / "entry", 0.3) for _ in range(3)]
    said = sorted(p.communicate()[0] for p in running)
    assert said == ["False\n", "False\n", "building\nTrue\n"]


def test_a_process_that_is_killed_while_building_leaves_nothing_in_the_way(tmp_path):
    entry = tmp_path / "entry"
    killed = process(entry, 60)
    assert killed.stdout.readline() == "building\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not entry.exists()
    assert install(entry, build, intact)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["entry", "entry.lock"]


@pytest.mark.weights
def test_a_debian_package_is_fetched_with_an_empty_package_list(tmp_path, monkeypatch):
    empty = tmp_path / "apt.conf"
    (tmp_path / "no-lists" / "partial").mkdir(parents=True)
    empty.write_text(f'Dir::State::Lists "{tmp_path}/no-lists";\n')
    monkeypatch.setenv("APT_CONFIG", str(empty))
    said = []
    deb = fetch_deb(TEXTS, tmp_path, said.append)
    unpack_deb(deb, tmp_path / "out")
    assert "fetching a fresh list" in said[1]
    assert (tmp_path / "out/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz").is_file()


@pytest.mark.weights
def test_a_debian_package_of_another_hash_is_not_used(tmp_path):
    wrong = dataclasses.replace(TEXTS, sha256="0" * 64)
    with pytest.raises(MissingResourceError, match="but 000000000000… is pinned; it is not used"):
        fetch_deb(wrong, tmp_path, lambda _: None)


def test_a_machine_without_apt_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingResourceError, match="needs apt-get, which is not here"):
        fetch_deb(TEXTS, tmp_path, lambda _: None)
