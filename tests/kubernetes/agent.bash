# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # jq has variables too; run sets stderr
#
# The agent of node n1, which is network namespace node, behind the relay; client, a and b are
# pods. To be loaded behind the control plane.

# agent_start [OPTIONS]: until all that there is is in force.
agent_start() {
	[[ -e ${NS}node ]] || ns_bridge node client a b
	[[ ${RELAY:-} ]] || relay_start node
	[[ ${ACCOUNT:-} ]] || agent_account
	agent_again "$@"
	wait_until 30 is_synced || fail "not synced: $(cat "${OUT[$DAEMON]}.err")"
}

# agent_again [OPTIONS]: until it answers.
agent_again() {
	# where kubelet would put pods
	mkdir -p "$CG/kubepods"
	background nsenter --net="${NS}node" "$SIDESTEP" run "${OPTIONS[@]}" --kubernetes \
		--kubeconfig "$ACCOUNT" --node-name n1 --metrics 127.0.0.1:9471 "$@"
	DAEMON=$PID
	wait_until 30 daemon_answers || fail "no agent: $(cat "${OUT[$DAEMON]}.err")"
}

is_synced() {
	in_ns node curl -sf -o /dev/null http://127.0.0.1:9471/readyz
}

# now NAME [LABEL=VALUE...]: a metric as it is now, not as the stats file has it.
now() {
	local STATS=$BATS_TEST_TMPDIR/metrics

	in_ns node curl -sf -o "$STATS" http://127.0.0.1:9471/metrics && metric "$@"
}

# What it has said until now
said() {
	cat "${OUT[$DAEMON]}.err"
}

is_said() {
	grep -qF -- "$1" "${OUT[$DAEMON]}.err"
}

# saying TEXT: within 10 seconds.
saying() {
	wait_until 10 is_said "$1" || fail "did not say '$1': $(said)"
}

# reaches NAME VALUE [LABEL=VALUE...]: a metric does, within half a minute.
reaches() {
	wait_until 30 metric_is "$@" || fail "$1 ${*:3} is $(now "$1" "${@:3}"), not $2"
}

metric_is() {
	[[ $(now "$1" "${@:3}" 2>/dev/null) == "$2" ]]
}

# ---- what is in force ------------------------------------------------------------------------

# A line for each port of each service, but the API server's own, as
#
#   web http/TCP 10.96.0.10:80 10.77.0.2:30080 -> 10.1.0.1:8080 10.1.0.2:8080
#
# with the namespace before the name where it is not shop.
in_force() {
	sidestep services -o json | jq -r '.[] | select(.service != "default/kubernetes") |
		def at: if .address | contains(":") then "[\(.address)]:\(.port)"
			else "\(.address):\(.port)" end;
		(.service | ltrimstr("shop/")) + " \(.service_port)/\(.protocol) " +
		([.addresses[] | at] | sort | join(" ")) +
		" -> " + ([.endpoints[] | select(.state == "ready") | .endpoint | at] | sort | join(" ")) +
		(if .affinity_seconds > 0 then " for \(.affinity_seconds) s" else "" end)' |
		sed 's/ *$//' | LC_ALL=C sort
}

# comes_to <<EOF: these lines are in force within 15 seconds.
comes_to() {
	WANTED=$(sed 's/^[[:space:]]*//; s/ *$//; /^$/d' | LC_ALL=C sort)
	wait_until 15 is_in_force ||
		fail "not in force: $(diff <(echo "$WANTED") <(in_force))"$'\n'"$(said | tail -n 5)"
}

is_in_force() {
	[[ $(in_force) == "$WANTED" ]]
}

# stays: what has come is still there after a while in which something else would have been told.
stays() {
	mark
	is_in_force || fail "not in force: $(diff <(echo "$WANTED") <(in_force))"
}

# mark: waits until the agent has done all that was asked before.
mark() {
	((++MARKS))
	apply <<-END
		apiVersion: v1
		kind: Service
		metadata: { name: mark$MARKS, namespace: marks }
		spec: { ports: [ { port: 1 } ] }
	END
	wait_until 15 is_marked || fail "the agent does not follow: $(said | tail -n 5)"
	delete Service "marks/mark$MARKS"
	wait_until 15 is_unmarked || fail "the agent does not follow: $(said | tail -n 5)"
}

is_marked() {
	sidestep services -o json | jq -e --arg name "marks/mark$MARKS" \
		'any(.[]; .service == $name)' >/dev/null
}

is_unmarked() {
	! is_marked
}

# ---- objects -----------------------------------------------------------------------------------

# service NAME [SPEC...]: in namespace shop; the lines of its spec. $LABELS are its labels.
service() {
	cat <<-END
		---
		apiVersion: v1
		kind: Service
		metadata: { name: $1, namespace: shop, labels: { ${LABELS:-} } }
		spec:
		  $(printf '%s\n  ' "${@:2}")
	END
}

# slice NAME SERVICE ENDPOINT...: port "" is 8080, unless $PORTS are others; $TYPE its family
slice() {
	cat <<-END
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: { name: $1, namespace: shop, labels: { kubernetes.io/service-name: $2${LABELS:+, $LABELS} } }
		addressType: ${TYPE:-IPv4}
		ports: [ ${PORTS:-{ name: "", port: 8080 \}} ]
		endpoints: [ $(printf '%s, ' "${@:3}") ]
	END
}

# endpoint ADDRESS [KEYS]
endpoint() {
	echo "{ addresses: [ \"$1\" ]${2:+, $2} }"
}

# node NAME ZONE
node() {
	cat <<-END
		---
		apiVersion: v1
		kind: Node
		metadata: { name: $1, labels: { topology.kubernetes.io/zone: $2 } }
	END
}
