#!/usr/bin/env bash
# docs/running-a-cluster.md, followed on three empty machines of this one, to a finished sweep. By hand, as root:
#
#   bash tests/campaign/empty_machines.sh [FOLDER WITH bin/soundscale, ray AND python] [CUTS]
#
# Each machine is a host name, a network, a table of processes, a home, /tmp and /dev/shm of its own; what they share is the installed
# environment, read only, and one volume for recordings and artifacts. Takes minutes; prints what each step of the page said. With CUTS
# the node's link is then cut so many times for 100 s while it trains, and each time the node has to rejoin by itself.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
venv=${1:-$here/.venv}
cuts=${2:-0}
top=$(mktemp -d /var/tmp/machines.XXXXXX)
pg=$(dirname "$(ls -d /usr/lib/postgresql/*/bin/initdb | tail -1)")
bridge=ssbr$$
subnet=10.214.$(($$ % 250))
declare -A init

ends() {
    for name in "${!init[@]}"; do kill -9 "${init[$name]}" 2>/dev/null || true; ip netns del "$name-$$" 2>/dev/null || true; done
    ip link del $bridge 2>/dev/null || true
    sleep 1
    rm -rf "$top"
}
trap ends EXIT

machine() {  # NAME LAST: an empty machine of that name at that address
    local name=$1 net=$1-$$
    ip netns add "$net"
    ip link add "v$1$$" type veth peer name eth0 netns "$net"
    ip link set "v$1$$" master $bridge up
    ip -n "$net" addr add "$subnet.$2/24" dev eth0
    ip -n "$net" link set eth0 up
    ip -n "$net" link set lo up
    mkdir -p "$top/$name"
    ip netns exec "$net" unshare --pid --uts --mount --ipc --fork --mount-proc bash -c "
        hostname $name
        mount -t tmpfs -o mode=1777 tmpfs /tmp; mount -t tmpfs -o mode=1777,size=2g tmpfs /dev/shm
        mkdir /tmp/home; touch $top/$name/up; exec sleep infinity" 2>/dev/null &
    until [ -e "$top/$name/up" ]; do sleep 0.1; done
    init[$name]=$(pgrep -P $!)
}

on() {  # NAME COMMAND: as root of that machine, in its home
    local name=$1
    shift
    echo "$name\$ $*" >&2
    nsenter --target "${init[$name]}" --mount --uts --ipc --net --pid env -i \
        HOME=/tmp/home PATH="$venv/bin:$pg:/usr/sbin:/usr/bin:/sbin:/bin" PYTHONPATH="$code" LANG=C.UTF-8 OMP_NUM_THREADS=1 \
        RAY_AUTH_MODE=token RAY_AUTH_TOKEN="$token" bash -c "cd; $*"
}

ip link add $bridge type bridge
ip addr add "$subnet.254/24" dev $bridge
ip link set $bridge up
code=$top/code
token=$(openssl rand -hex 32)
mkdir -p "$top/volume" "$code"
cp -r "$here/planner" "$here/runner" "$here/migrations" "$here/pyproject.toml" "$code/"
machine base 1
machine head 2
machine node 3
db=postgresql://worker@$subnet.1/runs

# 1. A database with two roles, on a machine of its own.
on base "chown postgres /tmp/home && runuser -u postgres -- initdb -D /tmp/home/data --auth-local=peer --auth-host=scram-sha-256 >/dev/null"
on base "echo \"listen_addresses = '*'\" >> data/postgresql.conf; echo 'host runs worker,reader $subnet.0/24 scram-sha-256' >> data/pg_hba.conf"
on base "runuser -u postgres -- pg_ctl -D /tmp/home/data -o '-k /tmp' -l /tmp/home/log -w start >/dev/null"
as_postgres="runuser -u postgres -- env PGHOST=/tmp"
on base "$as_postgres createdb runs && $as_postgres createuser worker && $as_postgres createuser reader"
on base "$as_postgres psql -q runs -c \"ALTER ROLE worker PASSWORD 'of the worker'; ALTER ROLE reader PASSWORD 'of the reader'\""
on base "$as_postgres psql runs -c 'GRANT ALL ON SCHEMA public TO worker'"
for name in head node; do
    on $name "echo \"$subnet.1:5432:runs:worker:of the worker
$subnet.1:5432:runs:reader:of the reader\" > ~/.pgpass; chmod 600 ~/.pgpass"
done
on head "soundscale db upgrade --db $db"
on base "$as_postgres psql runs -c 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader; REVOKE ALL ON api_tokens FROM reader'"

# 2. Ray, closed to strangers; on the node under a keeper, as the page says.
on head "ray start --head --port 6379 --node-ip-address $subnet.2 --num-cpus 1 2>&1 | grep -i 'started\|error'"
answers="timeout 2 bash -c '</dev/tcp/$subnet.2/6379'"
on node "(while sleep 1; do $answers && ray start --block --address $subnet.2:6379 --node-ip-address $subnet.3 --num-cpus 1; done) > keeper.log 2>&1 &"
nodes() { on head "python -c 'import ray; ray.init(address=\"auto\", log_to_driver=False, logging_level=\"ERROR\"); print(sum(n[\"Alive\"] for n in ray.nodes()))'" 2>/dev/null | tail -1; }
until [ "$(nodes)" = 2 ]; do sleep 1; done

# 3. Look before you start.
on head "soundscale doctor --db $db --ray auto --artifacts $top/volume/artifacts" || echo "doctor: exit $?"

# 4. Run. Recordings lie on the volume that all machines share.
sweep_file() {  # NAME SEEDS STEPS LATENCY
    "$venv/bin/python" - "$top/volume" "$@" <<PY
import sys
sys.path.insert(0, "$here")
from pathlib import Path
from tests.campaign.made import write_sweep, write_tones
folder, name, seeds, steps, latency = Path(sys.argv[1]), *sys.argv[2:]
write_sweep(
    folder, write_tones(folder), ("[2, 3]", "[2, 3, 4, 5]"), ("steps = 2", f"steps = {steps}"),
    ('name = "micro"', f'name = "{name}"'), ('latency = "beside"', f'latency = "{latency}"'),
    ('task = "asr"', f'task = "asr"\nseeds = {seeds}'),
).rename(folder / f"{name}.toml")
PY
}
sweep_file micro '[0]' 20 beside
on head "soundscale sweep run $top/volume/micro.toml --db $db --ray auto --artifacts $top/volume/artifacts" || echo "sweep: exit $?"
on node "soundscale sweep watch micro --db $db"
on head "soundscale sweep audit micro --db $db"
on node "soundscale db query 'SELECT host, count(*) AS n FROM runs GROUP BY host' --db $db -f csv"

# A node out and in again, and the service with its SQL page by the reading role.
on head "soundscale sweep drain node --wait 60 --db $db; soundscale sweep drain --db $db; soundscale sweep drain node --undo --db $db"
reader=postgresql://reader@$subnet.1/runs
on head "soundscale tokens add me --scope admin --db $db" | tee "$top/token"
on head "nohup soundscale serve --host 0.0.0.0 --port 8000 --db $db --sql-db $reader > serve.log 2>&1 &"
on node "for i in \$(seq 100); do curl -fs http://$subnet.2:8000/livez && break; sleep 0.3; done"
sql() { on node "curl -s -H 'Authorization: Bearer $(tail -1 "$top/token")' -G --data-urlencode 'sql=SELECT host, count(*) AS n FROM runs GROUP BY host' http://$subnet.2:8000/v1/sql"; }
refused=$(sql)
echo "$refused"
on base "$as_postgres psql -q runs -c \"$("$venv/bin/python" -c 'import json, sys; print(json.loads(sys.argv[1])["detail"].split(": ", 1)[1])' "$refused")\""
sql
echo
on head "soundscale db export /tmp/home/export --db $db"

cut() {  # NUMBER: the node's link is down for 100 s while a trial runs there; then the sweep goes on to its end
    local name=cut$1
    sweep_file "$name" "[${1}0, ${1}1, ${1}2]" 60 none
    on head "soundscale sweep run $top/volume/$name.toml --db $db --ray auto --artifacts $top/volume/artifacts" > "$top/$name.txt" 2>&1 &
    local driver=$!
    until [ "$(on base "$as_postgres psql -At runs -c \"SELECT count(*) FROM runs WHERE status = 'running' AND host = 'node'\"" 2>/dev/null)" = 1 ]; do sleep 0.5; done
    ip link set "vnode$$" down
    sleep 100
    ip link set "vnode$$" up
    local healed=$SECONDS
    until [ "$(nodes)" = 2 ]; do sleep 1; done
    echo "cut $1: the node was back $((SECONDS - healed)) s after the link"
    wait $driver && echo "cut $1: $(tail -1 "$top/$name.txt")" || { echo "cut $1: the driver ended with $?"; tail -5 "$top/$name.txt"; }
    on head "soundscale sweep audit $name --db $db" 2>&1 | grep -v yes
}
for ((i = 1; i <= cuts; i++)); do cut $i; done
on base "$as_postgres psql runs -c 'SELECT status, count(*) FROM runs GROUP BY status'"
on base "$as_postgres psql runs -c 'SELECT state, count(*) FROM trials GROUP BY state'"
for name in node head; do on $name "ray stop 2>&1 | tail -1"; done
echo finished
