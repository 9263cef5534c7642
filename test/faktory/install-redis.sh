#!/usr/bin/env bash
# Installs Debian's redis-server, which the Faktory server of the tests brings up by itself. No service is started.
set -euo pipefail

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "redis-server is missing, and only root on Debian can have it installed from here: install it, so that it is on PATH" >&2
	exit 1
fi
# Nothing of Debian's starts a service while policy-rc.d says no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-cache show --quiet redis-server >/dev/null 2>&1 || apt-get -q update
apt-get -q install -y --no-install-recommends redis-server || {
	apt-get -q update
	apt-get -q install -y --no-install-recommends redis-server
}
