#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# Events: what the agent could not do, where a cluster's operators look. The agent has the rights
# of the shipped manifests and no others.

load ../e2e/harness
load control-plane

# agent [SETTINGS OF THE NODE]: the daemon, in namespace node behind the relay.
agent() {
	ns_make node
	relay_start node
	agent_account
	config <<<"node: { $1 }"
	background nsenter --net="${NS}node" env POD_NAME=sidestep-x7k2p "$SIDESTEP" run --kubernetes \
		--kubeconfig "$ACCOUNT" --node-name here -f "$CONF" "${OPTIONS[@]}"
	DAEMON=$PID
	wait_until 20 daemon_answers || fail "no daemon: $(cat "${OUT[$DAEMON]}.err")"
}

# Of the agent, oldest first, in $output.
events() {
	api GET /apis/events.k8s.io/v1/events
	output=$(value '[.items[] | select(.reportingController == "sidestep")] | sort_by(.eventTime)')
}

has_event() { # REASON [NAME]
	events && check --arg reason "$1" --arg name "${2:-here}" \
		'any(.[]; .reason == $reason and .regarding.name == $name)' >/dev/null
}

clear_events() {
	local namespace

	for namespace in default shop; do
		api DELETE "/api/v1/namespaces/$namespace/events"
	done
}

# A policy that the API server takes and we do not.
large_policy() { # NAME [EXPRESSIONS]
	cat <<-END
		---
		apiVersion: networking.k8s.io/v1
		kind: NetworkPolicy
		metadata: { name: $1, namespace: shop }
		spec: { podSelector: { matchExpressions: [ $(seq -f '{ key: k%g, operator: Exists },' "${2:-300}") ] } }
	END
}

posted() { # RESULT NUMBER
	stats_fresh && (($(metric sidestep_kubernetes_posted_events_total result="$1") == $2))
}

setup() {
	harness_setup
	namespace shop
	clear_events
}

@test "a policy that is skipped is an event of it, told once" {
	large_policy db | apply
	large_policy web | apply
	agent "splice: off"
	wait_until 10 has_event PolicySkipped db
	wait_until 10 has_event PolicySkipped web
	events
	check 'length == 2'
	check '.[] | .type == "Warning" and .action == "Reading" and .series == null and
		.metadata.namespace == "shop" and .reportingInstance == "sidestep-x7k2p" and
		.note == "found 300 expressions, expected at most 256 (it is skipped)"'
	check '.[].regarding | .apiVersion == "networking.k8s.io/v1" and
		.kind == "NetworkPolicy" and .namespace == "shop" and .uid != null'
	check '.[].related | . == {apiVersion: "v1", kind: "Node", name: "here", uid: "here"}'

	# understood, and then not again
	large_policy db 3 | apply
	large_policy db 301 | apply
	wait_until 20 posted repeated 1
	posted posted 2
	events
	check 'length == 2'
}

@test "what the node cannot do is an event of it" {
	apply <<-END
		apiVersion: v1
		kind: Service
		metadata: { name: web, namespace: shop }
		spec: { type: NodePort, ports: [ { port: 80, nodePort: 30080 } ] }
	END
	agent "kube-proxy: replaced"
	wait_until 20 has_event NotServed
	check '.[] | select(.reason == "NotServed") | .regarding == {apiVersion: "v1",
		kind: "Node", name: "here", uid: "here"} and .metadata.namespace == "default" and
		(.note | startswith("nobody on this node serves callers from outside"))'
	show status
	if check '.features[] | select(.name == "splice-auto").enabled' >/dev/null; then
		! has_event SpliceOff
	else
		has_event SpliceOff
	fi
}

@test "without the right to tell: the log says so once, all else goes on" {
	sed '/events.k8s.io/,$d' "$REPO/deploy/kubernetes/rbac.yaml" | apply
	large_policy db | apply
	large_policy web | apply
	agent "splice: off"
	wait_until 20 posted failed 2
	(($(grep -c "does not allow us to create events" "${OUT[$DAEMON]}.err") == 1))
	events
	check 'length == 0'
	apply <"$REPO/deploy/kubernetes/rbac.yaml"
}

@test "an API server that is away is not asked for ever" {
	agent "splice: off"
	wait_until 10 posted posted 0
	part_stop kube-apiserver KILL
	config <<<"node: { splice: off, kube-proxy: beside }"
	wait_until 60 posted failed 1
	api_start
	events
	check 'length == 0'
}
