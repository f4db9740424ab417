#!/usr/bin/env bash
# What Pith reaches on this machine's GPU, beside PyTorch where python has it, in under eight minutes:
#   bench/gpu.sh [--small]
# --small takes sizes that a software adapter can do and says nothing about its speed. Results go to bench/results/<adapter>/, what was
# printed to logs/ there. Every part has its own time limit: one that fails or hangs costs its own results alone. What decides most comes
# first, beside its plan and PyTorch's figures, and is printed once more at the end, however that comes. PITH_ADAPTER chooses the
# adapter, PYTHON the python.
set -uo pipefail
cd "$(dirname "$0")/.."
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}" PATH="$PWD/node_modules/.bin:$PATH"
python="${PYTHON:-python3}"
small=""
[ "${1:-}" = "--small" ] && small="--small"

pith() { node --import ./scripts/wgsl-hook.js src/cli/main.ts "$@"; }
export -f pith

say() { printf '%s\n' "$*" >&2; }
[ -d node_modules ] || { say "no node_modules here: run npm ci, or carry them along"; exit 1; }
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 24 ? 0 : 1)' || { say "expected Node 24 or newer, got $(node --version)"; exit 1; }
doctor=$(timeout 60 bash -c 'pith doctor' 2>&1)
adapter=$(sed -n 's/^adapter *//p' <<<"$doctor")
[ -n "$adapter" ] || { say "$doctor"; say "no adapter answers: is the GPU's Vulkan driver installed?"; exit 1; }

slug=$(printf '%s' "${adapter%%(*}" | tr '[:upper:]' '[:lower:]' | tr -cs 'a-z0-9' '-' | sed 's/^-*//; s/-*$//')
results="bench/results/$slug"
mkdir -p "$results/logs"
printf '%s\n' "$doctor" >"$results/logs/doctor.txt"
say "$adapter: results go to $results"
say "$(tail -n 1 <<<"$doctor")"

# What was measured so far, once.
report() {
  trap - EXIT
  [ -e "$results/decides.md" ] && { say ""; cat "$results/decides.md"; } >&2
  [ -s "$results/pytorch.json" ] && { say ""; say "PyTorch: $(cat "$results/pytorch.json")"; }
  say "$SECONDS s in all; figures: $results/*.md"
}
trap report EXIT
trap 'kill $(jobs -p) 2>/dev/null; exit 143' TERM INT

# part NAME SECONDS COMMAND: what it says goes to logs/NAME.txt.
failed=0
part() {
  local name=$1 limit=$2 start=$SECONDS code=0
  shift 2
  # In the background, so that the script hears of its own end.
  timeout --kill-after=5 "$limit" bash -c "$*" >"$results/logs/$name.txt" 2>&1 </dev/null &
  wait $! || code=$?
  case $code in
    0) say "$(printf '%-12s %4d s' "$name" $((SECONDS - start)))" ;;
    124 | 137) say "$(printf '%-12s cut off after %d s' "$name" "$limit")"; failed=1 ;;
    *) say "$(printf '%-12s failed (%d): %s' "$name" "$code" "$(tail -n 1 "$results/logs/$name.txt")")"; failed=1 ;;
  esac
}

if [ "$small" ]; then
  model=reasoner; rows="1 64 256"; prompts=256; batches=1,8; context=128
else
  model=r1-1.5b; rows="1 64 8192"; prompts=8192; batches=1,8,64,256; context=1024
fi
# bench PARTS NAME SECONDS: the command that measures these parts, none of which may take longer.
bench() { printf 'pith bench %s --model %s --max-seconds %d --output %s/%s' "$1" "$model" "$3" "$results" "$2"; }

rm -f "$results/decides.md" "$results/pytorch.json"
pytorch() {
  "$python" -c 'import torch' 2>/dev/null || { say "pytorch      left out: $python has no torch"; return; }
  part pytorch 70 "'$python' bench/peers/pytorch-gpu.py $small"
  # A line after every measurement holds all so far.
  grep '^{' "$results/logs/pytorch.txt" | tail -n 1 >"$results/pytorch.json"
}
part decides 150 "node --import ./scripts/wgsl-hook.js bench/decides.ts $small > $results/decides.md"
pytorch
part tune 45 "pith tune $model"
part verify 40 'pith verify test/fixtures/transformers && pith verify test/fixtures/transformers --dtype bfloat16'
for count in $rows; do
  part "kernels-$count" 45 "$(bench kernels "kernels-$count" 10) --rows $count"
done
part decode 50 "$(bench 'prefill decode' decode 10) --rows $prompts --batch $batches --context $context"
part train 50 "$(bench train train 10) --rows $((prompts / 4))"
part rollout 55 "$(bench rollout rollout 20)"
# The slowest to start and the least likely to surprise: last, in what time is left.
left=$((475 - SECONDS))
[ "$left" -gt 20 ] && part tests "$left" 'vitest run --project node test/kernels'
exit "$failed"
