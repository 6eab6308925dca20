#!/usr/bin/env bash
# Build the wheel, install it into a clean environment, first the core and then extra by extra, and run a verb of each there:
#     bash scripts/check_wheel.sh
# Works from any clone with a .venv (`make setup`); takes about three minutes and leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

.venv/bin/python -m build --wheel --outdir "$out" . > "$out/build.log" 2>&1 || { tail -n 20 "$out/build.log"; exit 1; }
wheel=$(ls "$out"/plus_preferences-*.whl)
python3 -m venv "$out/venv"
install() { "$out/venv/bin/python" -m pip --disable-pip-version-check install --quiet -c "$root/constraints.txt" "$wheel$1" 2> "$out/pip.log" || { tail -n 20 "$out/pip.log"; exit 1; }; }
# A verb's notes go to said.txt, and are shown when it fails.
plus() { "$out/venv/bin/plus" "$@" 2> "$out/said.txt" || { status=$?; tail -n 5 "$out/said.txt" >&2; return $status; }; }

cd "$out"  # nothing of the clone is on the path
install ""
echo "core: --help, ingest, import, profile, export"
plus --help > help.txt
grep -q "Learn a short text about each user" help.txt
printf '%s\n' '{"user_id": "ann", "prompt": "Tea?", "chosen": "Herbal.", "rejected": "Black."}' > choices.jsonl
plus ingest choices.jsonl --store s.db > /dev/null
printf '%s\n' '{"user_id": "ann", "summary": "Likes herbal tea."}' > summaries.jsonl
plus import summaries.jsonl --store s.db > /dev/null
plus profile show ann --store s.db > shown.txt
grep -q "Likes herbal tea." shown.txt
plus export --format jsonl --output o.jsonl --store s.db > /dev/null
grep -q "Likes herbal tea." o.jsonl

echo "core: a verb that needs an extra names it"
if "$out/venv/bin/plus" train --dataset_name pets --preset tiny --output_dir r > /dev/null 2> said.txt; then exit 1; fi
grep -q "pip install 'plus-preferences\[train\]'" said.txt

install "[api]"
echo "[api]: prompt"
plus prompt ann "Which tea?" --show --store s.db > prompt.txt
grep -q "Likes herbal tea." prompt.txt
echo "[api]: studio, with its templates and files"
"$out/venv/bin/plus" studio --store s.db 2> studio.txt & page=$!
for _ in $(seq 60); do grep -q "open http" studio.txt && break; sleep 0.5; done
"$out/venv/bin/python" - <<'END'
import http.cookiejar, re, urllib.request as web

address = re.search(r"http://\S+", open("studio.txt").read())[0]
browser = web.build_opener(web.ProxyHandler({}), web.HTTPCookieProcessor(http.cookiejar.CookieJar()))
start = address.partition("/in")[0]
browser.open(address)
assert "Likes herbal tea." in browser.open(f"{start}/u/1").read().decode()
assert browser.open(f"{start}/static/htmx.min.js").status == 200
END
kill "$page"

install "[api,train]"
echo "[train]: train, evaluate"
small="--preset tiny --max_steps 1 --per_device_train_batch_size 8"
plus train --dataset_name polis --data_dir "$root/data/polis_sample" $small --output_dir r > /dev/null
plus evaluate r > /dev/null

install "[api,train,embed-offline]"
echo "[embed-offline]: benchmark"
methods="--methods majority,in_context --seeds 1"
plus benchmark --dataset_name polis --data_dir "$root/data/polis_sample" $methods --output_dir b > /dev/null
echo "the wheel works: $(basename "$wheel"), $(stat -c %s "$wheel") bytes"
