#!/usr/bin/env bash
# Runs a real Faktory and, on it, core with the configuration CONFIG, until Ctrl-C; for `make dev`.
set -euo pipefail
cd "$(dirname "$0")/../.."

# A session of its own: Ctrl-C is for core, which has to tell Faktory what has become of its jobs.
coproc SERVER { exec setsid build/faktory-serve -address "$FAKTORY" -web "$WEB"; }
faktory=$SERVER_PID
trap 'kill -TERM "$faktory" 2>/dev/null || true; wait "$faktory" 2>/dev/null || true' EXIT
# Core ends by itself; this script goes on then.
trap : INT TERM

read -r where <&"${SERVER[0]}"
echo "$where"
export FAKTORY_URL="tcp://$FAKTORY" RUNNER_EXECUTOR="$EXECUTOR"
echo "Push jobs with: make enqueue N=5"
echo "Ctrl-C lets running jobs finish; a second one ends them."
bin/core run -c "$CONFIG" &
core=$!
while kill -0 "$core" 2>/dev/null; do wait "$core" || true; done
