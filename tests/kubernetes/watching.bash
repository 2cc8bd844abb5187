# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # jq has variables too; run sets stderr
#
# apiwatch behind the relay, and whether what it was told is what the server has. To be loaded
# behind the control plane.

SERVICES=/api/v1/services
SLICES=/apis/discovery.k8s.io/v1/endpointslices
PODS=/api/v1/pods

# follow [OPTION...] PATH...: until it was told what is there.
follow() {
	[[ -e ${NS}node ]] || ns_make node
	relay_start node
	agent_account
	follow_again "$@"
	is_told_all
}

follow_again() {
	local word

	pod_start node "$TOOLS/apiwatch" --kubeconfig "$ACCOUNT" "$@"
	WATCHER=$PID
	wait_until 10 takes_usr1
	PATHS=()
	for word; do
		[[ $word != /* ]] || PATHS+=("$word")
	done
}

# It would end by the signal before that.
takes_usr1() {
	local caught

	caught=$(awk '$1 == "SigCgt:" { print $2 }' "/proc/$WATCHER/status")
	((0x$caught >> (10 - 1) & 1))
}

# told PATH: { "namespace/name": version, ... } as apiwatch's lines have it; what a list does not
# name has gone.
told() {
	jq -ncS --arg path "$1" 'reduce (inputs | select(.path == $path)) as $line ({now: {}};
		"\($line.namespace)/\($line.name)" as $name |
		if $line.call == "begin" then .list = {}
		elif $line.call == "end" then .now = .list | .list = null
		elif $line.call == "put" then
			if .list then .list[$name] = $line.version else .now[$name] = $line.version end
		elif $line.call == "gone" then del(.now[$name]) | if .list then del(.list[$name]) else . end
		else . end) | .now' "${OUT[$WATCHER]}" 2>/dev/null
}

# A kind that the server does not know has none.
listed() { # PATH
	curl_cp "$API$1" | jq -cS '[.items[].metadata |
		{"\(.namespace)/\(.name)": .resourceVersion}] | add // {}' 2>/dev/null || echo "{}"
}

is_same() {
	local path

	for path in "${PATHS[@]}"; do
		[[ $(told "$path") == $(listed "$path") ]] || return 1
	done
}

# What was told becomes what the server has, and nothing was told as new that was known: a put
# outside of a list with the version that we have.
is_told_all() {
	wait_until 45 is_same || {
		diff <(told "${PATHS[0]}" | jq .) <(listed "${PATHS[0]}" | jq .) | head -n 20 || :
		fail "not what the server has: $(figures "${PATHS[0]}")"
	}
	output=$(jq -n 'reduce inputs as $line ({known: {}, twice: []};
		"\($line.path) \($line.namespace)/\($line.name)" as $name |
		if $line.call == "begin" then .listing[$line.path] = true
		elif $line.call == "end" then .listing[$line.path] = false
		elif $line.call == "gone" then del(.known[$name])
		elif $line.call == "put" then
			if .known[$name] == $line.version and (.listing[$line.path] | not)
			then .twice += [$name] else . end
			| .known[$name] = $line.version
		else . end) | .twice' "${OUT[$WATCHER]}")
	[[ $(value length) == 0 ]] || fail "told twice as new: $output"
}

# figures PATH: of its watch, now; as JSON in $output, too.
figures() {
	local before

	before=$(grep -c '"figures"' "${OUT[$WATCHER]}") || :
	kill -USR1 "$WATCHER"
	wait_until 10 has_figures $((before + ${#PATHS[@]}))
	output=$(jq -n --arg path "$1" \
		'[inputs | select(.call == "figures" and .path == $path)] | last' "${OUT[$WATCHER]}")
	echo "$output"
}

has_figures() { # COUNT
	(($(grep -c '"figures"' "${OUT[$WATCHER]}") >= $1))
}

# figure PATH FILTER: must hold for its watch.
figure() {
	figures "$1" >/dev/null
	check "$2"
}

# becomes PATH FILTER: within half a minute.
becomes() {
	wait_until 30 eval_figure "$@" || fail "never $2: $output"
}

eval_figure() {
	figures "$1" >/dev/null && value "$2" | grep -qx true
}

# ---- what there is --------------------------------------------------------------------------

# service NAME [SPEC...]: in namespace shop
service() {
	cat <<-END
		---
		apiVersion: v1
		kind: Service
		metadata: { name: $1, namespace: shop }
		spec:
		  ports: [ { port: 80 } ]
		  $(printf '%s\n  ' "${@:2}")
	END
}

# slice NAME ADDRESS...: of service NAME
slice() {
	cat <<-END
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: { name: $1, namespace: shop, labels: { kubernetes.io/service-name: $1 } }
		addressType: IPv4
		ports: [ { name: "", port: 8080 } ]
		endpoints: [ $(printf '{ addresses: [ %s ] }, ' "${@:2}") ]
	END
}

# services COUNT [FROM]: for many
services() {
	jq -nc --argjson count "$1" --argjson from "${2:-0}" 'range($from; $from + $count) |
		{path: "/api/v1/namespaces/shop/services",
		object: {metadata: {name: "s\(.)"}, spec: {ports: [{port: 80}]}}}'
}
