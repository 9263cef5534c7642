#!/usr/bin/env bash
# Runs a command with KUBECONFIG set to a Kubernetes for tests: the one that KUBECONFIG names already; one of kind, where
# Docker and kind are; else the one of test/cluster, on a Debian machine, as root. Where none can be had it says so, and
# runs the command without: the tests of pods are left out then, unless CI is true.
set -euo pipefail
cd "$(dirname "$0")/../.."

kind_cluster=runner-e2e

if [ -n "${KUBECONFIG:-}" ]; then
	echo "the cluster is that of KUBECONFIG; it must have the images of bin/images and of test/cluster"
elif command -v kind >/dev/null && docker info >/dev/null 2>&1; then
	echo "the cluster is one of kind, called $kind_cluster"
	make --no-print-directory helper-image build/cluster/cluster
	make --no-print-directory runner-image ARCHS="$(go env GOARCH)"
	kind get clusters | grep -qx "$kind_cluster" || kind create cluster --name "$kind_cluster" --wait 2m
	build/cluster/cluster images build/cluster/images.tar
	kind load image-archive --name "$kind_cluster" bin/images/runner-helper.tar
	kind load image-archive --name "$kind_cluster" bin/images/runner.tar
	kind load image-archive --name "$kind_cluster" build/cluster/images.tar
	KUBECONFIG=$(mktemp)
	trap 'rm -f "$KUBECONFIG"' EXIT
	kind get kubeconfig --name "$kind_cluster" >"$KUBECONFIG"
	export KUBECONFIG
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "the cluster is that of test/cluster; \`make cluster-down\` ends it"
	make --no-print-directory cluster
	KUBECONFIG=$(build/cluster/cluster kubeconfig)
	export KUBECONFIG
else
	echo "*** there is no cluster to test with: no KUBECONFIG, no Docker with kind, and not root on Debian"
fi
"$@"
