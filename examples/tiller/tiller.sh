#!/bin/sh
# One operation over a cluster of Helm's and one of Tiller's: each keeps its own, and the client of each sees it. Then the
# second leaves Tiller behind.
#
# Usage: tiller.sh KUBECONFIG-1 KUBECONFIG-2
#
# `optikon`, `helm` and `helm2` are on the path, OPTIKON_SERVER and OPTIKON_TOKEN_FILE say where the gateway is, and the
# kubeconfigs are those of edge-1 and edge-2: `cargo xtask demo --tiller` prints all of them.
set -eu

first=${1:?"usage: tiller.sh KUBECONFIG-1 KUBECONFIG-2"}
second=${2:?"usage: tiller.sh KUBECONFIG-1 KUBECONFIG-2"}
chart=$(dirname "$0")/chart

show() {
    echo "\$ $*" | sed "s#$first#KUBECONFIG-1#; s#$second#KUBECONFIG-2#; s#$chart#examples/tiller/chart#"
    "$@"
    echo
}

show optikon chart list
show optikon chart install hello "$chart" --selector env=demo --backend auto --set word=hi
show helm --kubeconfig "$first" list --short
show helm2 --kubeconfig "$second" list --short
show optikon chart list

show optikon chart adopt hello --clusters edge-2 --dry-run
show optikon chart adopt hello --clusters edge-2
show helm2 --kubeconfig "$second" list --short
show helm --kubeconfig "$second" upgrade hello "$chart" --set word=bye
show optikon chart history hello
show optikon chart delete hello --selector env=demo --yes
