#!/usr/bin/env bash
# Runs a server, given as a command line, and on it core with the arguments CORE, until Ctrl-C; for `make dev` and
# `make dev-opslevel`. The server's first line on stdout says where it is; HINT says how it gets jobs.
set -euo pipefail
cd "$(dirname "$0")/.."

# A session of its own: Ctrl-C is for core, which has to tell the server what has become of its jobs.
coproc SERVER { exec setsid "$@"; }
server=$SERVER_PID
trap 'kill -TERM "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT

# It says where it is once it is up, or else on stderr why it is not.
read -r where <&"${SERVER[0]}" || exit 1
echo "$where"
echo "$HINT"
echo "Ctrl-C lets running jobs finish; a second one ends them."

# Core hears of Ctrl-C by itself, and of all else that may end this script from here. It ends in order, and then this does.
# shellcheck disable=SC2086 # they are several arguments
(trap '' HUP; exec bin/core run $CORE) &
core=$!
trap : INT
trap 'kill -TERM "$core" 2>/dev/null || true' TERM HUP
code=0
while kill -0 "$core" 2>/dev/null; do wait "$core" && code=0 || code=$?; done
exit "$code"
