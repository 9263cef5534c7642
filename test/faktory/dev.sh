#!/usr/bin/env bash
# Runs a real Faktory and, on it, core with the configuration CONFIG, until Ctrl-C; for `make dev`.
set -euo pipefail
cd "$(dirname "$0")/../.."

# A session of its own: Ctrl-C is for core, which has to tell Faktory what has become of its jobs.
coproc SERVER { exec setsid build/faktory-serve -address "$FAKTORY" -web "$WEB"; }
faktory=$SERVER_PID
trap 'kill -TERM "$faktory" 2>/dev/null || true; wait "$faktory" 2>/dev/null || true' EXIT

# It says where it is once it is up, or else on stderr why it is not.
read -r where <&"${SERVER[0]}" || exit 1
echo "$where"
export FAKTORY_URL="tcp://$FAKTORY" RUNNER_EXECUTOR="$EXECUTOR"
# The queues of the example job as well, and next to nothing for each job: at a desk there is little room.
export OPSLEVEL_QUEUES="${OPSLEVEL_QUEUES:-runner default}" OPSLEVEL_JOB_CONCURRENCY="${OPSLEVEL_JOB_CONCURRENCY:-5}"
export OPSLEVEL_JOB_POD_REQUESTS_CPU="${OPSLEVEL_JOB_POD_REQUESTS_CPU:-50}" OPSLEVEL_JOB_POD_REQUESTS_MEMORY="${OPSLEVEL_JOB_POD_REQUESTS_MEMORY:-32}"
echo "Push jobs with: make enqueue N=5"
echo "Ctrl-C lets running jobs finish; a second one ends them."

# Core hears of Ctrl-C by itself, and of all else that may end this script from here. It ends in order, and then this does.
(trap '' HUP; exec bin/core run -c "$CONFIG") &
core=$!
trap : INT
trap 'kill -TERM "$core" 2>/dev/null || true' TERM HUP
code=0
while kill -0 "$core" 2>/dev/null; do wait "$core" && code=0 || code=$?; done
exit "$code"
