#!/bin/sh
# The original Optikon API (2018) as its set-up scripts and its page used it: register, list, install, upgrade, remove.
#
# Usage: v0-api.sh V0-URL KUBECONFIG CHART.tgz
#
# V0-URL is the listener of `[v0]` (role operator), without a path; KUBECONFIG that of a cluster, with its certificates inside.
set -eu

url=${1:?"usage: v0-api.sh V0-URL KUBECONFIG CHART.tgz"}
kubeconfig=${2:?"usage: v0-api.sh V0-URL KUBECONFIG CHART.tgz"}
chart=${3:?"usage: v0-api.sh V0-URL KUBECONFIG CHART.tgz"}

ask() {
    echo "\$ curl $*"
    curl --silent --show-error --write-out '%{http_code}\n' "$@"
    echo
}

# The kubeconfig as a JSON text, as the scripts of then filled it in.
conf=$(sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' "$kubeconfig" | awk '{ printf "%s\\n", $0 }')
body=$(mktemp)
trap 'rm -f "$body"' EXIT
cat >"$body" <<JSON
{"metadata": {
  "name": "copenhagen-2",
  "labels": {"Region": "Europe", "Kubecon": "True"},
  "annotations": {"Lat": "55.675938", "Long": "12.587601", "APIServer": "", "Conf": "$conf"}
}}
JSON

json="Content-Type: application/json"
ask --request POST --header "$json" --data "@$body" "$url/v0/clusters"
ask "$url/v0/clusters/copenhagen-2"
ask --form "chartTar=@$chart" --form name=hello-v0 --form namespace=default "$url/v0/releases?labels=Region=Europe"
ask "$url/v0/releases?labels=Region=Europe"
ask --request PUT --form "chartTar=@$chart" "$url/v0/releases/hello-v0?labels=Region=Europe"
ask --request DELETE "$url/v0/releases/hello-v0?labels=Region=Europe"
ask --request DELETE "$url/v0/clusters/copenhagen-2"
