#!/bin/sh
# The original Optikon API (2018) as its set-up scripts and its page used it: register, list, install, upgrade, remove.
#
# Usage: v0-api.sh KUBECONFIG
#
# OPTIKON_V0 is the listener of `[v0]` with the role operator, without a path, and KUBECONFIG that of a cluster, with its
# certificates inside: `cargo xtask demo --tiller --v0 127.0.0.1:7701` prints both (edge-2 has Tiller).
set -eu

kubeconfig=${1:?"usage: v0-api.sh KUBECONFIG"}
url=${OPTIKON_V0:?"OPTIKON_V0 is the address of the listener of [v0]"}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chart=$folder/greeting.tgz
body=$folder/cluster.json
tar -czf "$chart" -C "$(dirname "$0")/../tiller" chart

ask() {
    echo "\$ curl $*" | sed "s#$url#\$OPTIKON_V0#; s#$folder/##"
    curl --silent --show-error --write-out '%{http_code}\n' "$@"
    echo
}

# The kubeconfig as a JSON text, as the scripts of then filled it in.
conf=$(sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' "$kubeconfig" | awk '{ printf "%s\\n", $0 }')
cat >"$body" <<JSON
{"metadata": {
  "name": "copenhagen-2",
  "labels": {"Region": "Europe", "Kubecon": "True"},
  "annotations": {"Lat": "55.675938", "Long": "12.587601", "APIServer": "", "Conf": "$conf"}
}}
JSON

ask --request POST --header "Content-Type: application/json" --data "@$body" "$url/v0/clusters"
ask "$url/v0/clusters/copenhagen-2"
ask --form "chartTar=@$chart" --form name=hello-v0 --form namespace=default "$url/v0/releases?labels=Region=Europe"
ask "$url/v0/releases/hello-v0?labels=Region=Europe"
ask --request PUT --form "chartTar=@$chart" "$url/v0/releases/hello-v0?labels=Region=Europe"
ask --request DELETE "$url/v0/releases/hello-v0?labels=Region=Europe"
ask --request DELETE "$url/v0/clusters/copenhagen-2"
