#!/bin/sh
# A cluster's way through the gateway: listed, looked at, labelled, forgotten, registered again; then a release on all
# clusters: installed, upgraded one cluster first, looked at, removed.
#
# Usage: quickstart.sh KUBECONFIG
#
# `optikon` is on the path, OPTIKON_SERVER and OPTIKON_TOKEN_FILE say where the gateway is, and KUBECONFIG is that of
# edge-1: `cargo xtask demo` prints all of them.
set -eu

kubeconfig=${1:?"usage: quickstart.sh KUBECONFIG"}

show() {
    echo "\$ $*"
    "$@"
    echo
}

show optikon cluster list
show optikon cluster get edge-1
show optikon cluster label edge-1 team=shop
show optikon cluster list --selector team=shop -o name
show optikon cluster delete edge-1
show optikon cluster add edge-1 --kubeconfig "$kubeconfig" --label env=demo
show optikon cluster get edge-1 --probe live -o yaml

chart=$(dirname "$0")/hello
show optikon chart install hello "$chart" --all --wait
show optikon chart list
show optikon chart upgrade hello "$chart" --all --set replicas=3 --wave 1 --wait
show optikon chart history hello --clusters edge-1
show optikon chart get hello notes --clusters edge-2
show optikon chart delete hello --all --yes
