#!/bin/sh
# One release on a fleet, rolled out in waves: what happens when a cluster of a later wave fails, with each of the answers
# that a rollout can have to it.
#
# Usage: fleet-rollout.sh KUBECONFIG
#
# `optikon` and `kubectl` are on the path, OPTIKON_SERVER and OPTIKON_TOKEN_FILE say where the gateway is, and KUBECONFIG
# is that of edge-2, the cluster that will fail: `cargo xtask demo` prints all of them.
set -eu

kubeconfig=${1:?"usage: fleet-rollout.sh KUBECONFIG"}
chart=$(dirname "$0")/shop

show() {
    echo "\$ $*" | sed "s|$kubeconfig|KUBECONFIG|"
    code=0
    "$@" 2>&1 || code=$?
    [ "$code" = 0 ] || echo "(exit code $code)"
    echo
}

show optikon chart install shop "$chart" --selector env=demo -n fleet --create-namespace --wait

# Room for two pods on edge-2, whatever a release asks for: its second wave will fail.
show kubectl --kubeconfig "$kubeconfig" create quota small --hard=pods=2 -n fleet

show optikon chart preview shop "$chart" --selector env=demo -n fleet --set replicas=3
show optikon chart upgrade shop "$chart" --selector env=demo -n fleet --set replicas=3 --wave region=a --wait --timeout 10s
show optikon chart list -n fleet

# Back to what everybody had, then again: this time a failure undoes the whole rollout.
show optikon chart rollback shop 1 --selector env=demo -n fleet --wait
show optikon chart upgrade shop "$chart" --selector env=demo -n fleet --set replicas=3 --wave region=a --wait --timeout 10s --on-failure rollback-all
show optikon chart list -n fleet

# The cause is gone. The first wave waits for somebody who looks at it.
show kubectl --kubeconfig "$kubeconfig" delete quota small -n fleet
show optikon chart upgrade shop "$chart" --selector env=demo -n fleet --set replicas=3 --wave region=a:manual --wait --detach
operation=$(optikon operation list --release shop --limit 1 -o name)
while [ "$(optikon operation list --state paused -o name)" != "$operation" ]; do :; done
show optikon operation get "$operation"
show optikon operation resume "$operation"
show optikon operation follow "$operation"
show optikon chart list -n fleet

show optikon chart delete shop --selector env=demo -n fleet --yes
