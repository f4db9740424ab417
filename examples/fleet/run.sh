#!/bin/sh
# A server, a trainer and three workers on one machine. All share the machine's adapter, so this shows how it is done and not how fast:
# on a machine with several GPUs each worker has its own (docs/fleet.md).
#
#   sh examples/fleet/run.sh [DIR [--section.key VALUE...]]
set -eu
cd "$(dirname "$0")/../.."
dir=${1:-runs/fleet-example}
[ $# -eq 0 ] || shift
mkdir -p "$dir"
pith="node_modules/.bin/node --import ./scripts/wgsl-hook.js src/cli/main.ts"

$pith fleet --dir "$dir/server" --listen 127.0.0.1:4333 > "$dir/server.log" &
processes=$!
trap 'kill $processes 2>/dev/null; wait' EXIT
until grep -q '^workers nats' "$dir/server.log"; do
  kill -0 $processes
  sleep 1
done
url=$(sed -n 's/^fleet //p' "$dir/server.log")
PITH_FLEET=$(sed -n 's/^workers //p' "$dir/server.log")
export PITH_FLEET

for worker in 1 2 3; do
  $pith worker 2> "$dir/worker-$worker.log" &
  processes="$processes $!"
done
$pith train configs/start.toml --rl.lag 1 --train.output_dir "$dir/run" --fleet "$url" "$@"
$pith fleet status
