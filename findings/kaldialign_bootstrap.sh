#!/usr/bin/env bash
# kaldialign 0.12.0, bootstrap_wer_ci: the interval of a rare error starts below 0, and clips without
# speech can turn the whole result into inf with a confidence interval of width 0.
#
# Guessed before running: (1) a word error rate's lower bound is at least 0, as percentiles of a
# bootstrap are; (2) a clip with an empty reference adds its insertions to the sum of errors and
# nothing to the words, so the rate of the set stays finite.
# Seen: (1) the interval is mean +- 1.96 standard deviations of the draws, -0.76 % to 2.42 % for one
# error in 120 words; (2) a draw of silent clips alone has a rate of inf, and one such draw in 10,000 is
# enough for wer = ci95min = ci95max = inf and ci95 = 0.0, although errors / words is 1.0.
# Also seen, and what makes ties count against both: a system against its copy has
# p_s2_improv_over_s1 = 0.0, either way round.
#
# Exits 0 while this is so, 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kaldialign==0.12.0
"$folder/venv/bin/python" - <<'PY'
import math
from importlib.metadata import version

from kaldialign import bootstrap_wer_ci, edit_distance

print("kaldialign", version("kaldialign"))
said = [["press", "one", "for", "help"]] * 30
rare = [*said[1:], ["press", "won", "for", "help"]]
low = bootstrap_wer_ci(said, rare)
print("one error in 120 words:", low)

# Two clips of noise, in which a system hears a word, and one of speech that it gets right.
refs, heard = [[], [], ["help", "now"]], [["oh"], ["uh"], ["help", "now"]]
silent = bootstrap_wer_ci(refs, heard)
errors = sum(edit_distance(r, h)["total"] for r, h in zip(refs, heard))
print("with clips without speech:", silent, "errors / words =", errors / sum(map(len, refs)))

copy = bootstrap_wer_ci(said, rare, rare)["p_s2_improv_over_s1"]
print("a system against its copy:", copy)
same = (
    low["ci95min"] < 0
    and math.isinf(silent["wer"])
    and silent["ci95"] == 0.0
    and errors / sum(map(len, refs)) == 1.0
    and copy == 0.0
)
raise SystemExit(0 if same else 1)
PY
