#!/bin/sh
# From the embedded registry to a central cluster, and back, while the gateway serves.
#
# Usage: swap-registry.sh KUBECONFIG
#
# `optikon` and `kubectl` are on the path, OPTIKON_SERVER and OPTIKON_TOKEN_FILE say where the gateway is, and KUBECONFIG is
# that of the cluster which is to hold the registry: `cargo xtask demo` prints all of them (its edge-1 will do).
set -eu

kubeconfig=${1:?"usage: swap-registry.sh KUBECONFIG"}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
account=$folder/gateway.kubeconfig

show() {
    echo "\$ $*" | sed "s#$kubeconfig#KUBECONFIG#; s#$account#gateway.kubeconfig#"
    "$@" | sed "s#$account#gateway.kubeconfig#"
    echo
}

show optikon registry setup --kubeconfig "$kubeconfig" --write-kubeconfig "$account"
show optikon plugin swap registry registry-crd --central-kubeconfig "$account" --migrate copy --grant all
show kubectl --kubeconfig "$kubeconfig" get clusters --namespace optikon
show optikon cluster list -o name
show optikon plugin rollback registry
show optikon plugin list
show optikon registry remove --kubeconfig "$kubeconfig" --delete-clusters
