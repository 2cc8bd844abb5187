#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# List and watch against a real API server, whatever happens to it or on the way: what is known
# at the end is what the server has, nothing is told twice as new, and the server is not asked
# more often than it takes. The server's audit log counts that.

load ../e2e/harness
load control-plane
load watching

teardown() {
	harness_teardown
	cluster_clear
	unthrottle
	# as it is without options
	[[ ! ${CHANGED:-} ]] || api_restart
}

STREAMED='(.requestURI | contains("sendInitialEvents=true"))'
PAGED='.verb == "list"'

@test "a list is streamed once, and then changes come one by one" {
	namespace shop
	{ service a && service b; } | apply
	follow "$SERVICES" "$SLICES"

	{ service a "type: NodePort" && service c && slice a 10.1.0.1; } | apply
	delete Service shop/b
	is_told_all
	slice a 10.1.0.2 | apply
	delete EndpointSlice shop/a
	is_told_all

	figure "$SERVICES" '.lists == 1 and .events == 3 and .current and .problem == ""'
	figure "$SLICES" '.lists == 1 and .events == 3 and .current'
	[[ $(asked) == 2 && $(asked "$STREAMED") == 2 ]]
}

@test "what could not be taken, of a list and of a change, is listed anew" {
	namespace shop
	{ service a && service b; } | apply
	follow --untaken 1 "$SERVICES"
	figure "$SERVICES" '.lists == 1 and .failures.untaken == 1 and .problem == ""'

	kill "$WATCHER"
	follow_again --untaken 3 "$SERVICES" # what is there, and the server's own
	is_told_all
	service c | apply
	is_told_all
	delete Service shop/a
	is_told_all
	figure "$SERVICES" '.lists == 2 and .failures.untaken == 1 and .current'
}

# ---- the server -----------------------------------------------------------------------------

@test "the API server restarts: watches go on where they were" {
	namespace shop
	service a | apply
	follow "$SERVICES" "$SLICES"

	part_stop kube-apiserver
	api_start
	{ service b && slice b 10.1.0.1; } | apply
	is_told_all
	api_restart
	delete Service shop/a
	is_told_all

	becomes "$SERVICES" '.current and .problem == ""'
	check '.failures.unreachable > 0 and .failures.garbled == 0 and .lists <= 3'
	# twice away for 3 s each, two watches
	(($(asked) <= 20)) || fail "asked $(asked) times"
}

@test "etcd dies and comes back" {
	namespace shop
	service a | apply
	follow "$SERVICES" "$SLICES"

	part_stop etcd KILL
	sleep 3
	etcd_start
	wait_until 30 eval 'service b | apply'
	slice b 10.1.0.1 | apply
	is_told_all
	becomes "$SERVICES" '.current and .problem == ""'
	check '.lists <= 2'
	(($(asked) <= 20)) || fail "asked $(asked) times"
}

@test "what is known is too old for the server (410): a list says what has changed" {
	namespace shop
	{ service a && service b && service c; } | apply
	follow "$SERVICES" "$SLICES"

	meddle refuse
	delete Service shop/a
	service b "type: NodePort" | apply
	service d | apply
	# what etcd has forgotten, and the server does not remember after its restart
	compact
	api_restart
	slice d 10.1.0.1 | apply
	: >"$CP/audit.log"
	meddle pass
	is_told_all

	becomes "$SERVICES" '.current and .problem == ""'
	check '.failures.expired == 1 and .lists == 2'
	told "$SERVICES" | grep -v '"shop/a"' | grep '"shop/d"'
	[[ $(asked '.objectRef.resource == "services"') == 2 ]]
}

@test "410 inside the stream of a server without a cache" {
	namespace shop
	service a | apply
	CHANGED=1
	api_restart --watch-cache=false
	follow "$SERVICES"

	meddle refuse
	service b | apply
	delete Service shop/a
	compact
	meddle pass
	is_told_all
	figure "$SERVICES" '.failures.expired == 1 and .lists == 2'
}

@test "a server that does not stream lists: by pages" {
	namespace shop
	services 1100 | many
	CHANGED=1
	api_restart --feature-gates=WatchList=false
	follow "$SERVICES" "$SLICES"

	# 1,101 services, 500 a page
	[[ $(asked "$PAGED and .objectRef.resource == \"services\"") == 3 ]]
	[[ $(asked "$STREAMED and .objectRef.resource == \"services\"") == 1 ]]
	service a | apply
	delete Service shop/s7
	is_told_all
	figure "$SERVICES" '.lists == 1 and .events == 2 and .problem == ""'

	# it is not asked to stream again, and knows where it was
	meddle cut
	service b | apply
	is_told_all
	[[ $(asked "$STREAMED and .objectRef.resource == \"services\"") == 1 ]]
	figure "$SERVICES" '.lists == 1'
}

@test "a page that has expired: the list begins anew" {
	namespace shop
	services 1100 | many
	CHANGED=1
	api_restart --feature-gates=WatchList=false --watch-cache=false
	[[ -e ${NS}node ]] || ns_make node
	relay_start node
	agent_account
	meddle delay 150
	follow_again "$SERVICES"

	wait_until 30 eval '(($(asked "$PAGED") >= 1))'
	service z | apply
	compact
	meddle pass
	is_told_all
	figure "$SERVICES" '.failures.expired == 1 and .lists == 1'
}

@test "too many requests at once (429): those refused come again when the server says" {
	local busy

	namespace shop
	service a | apply
	follow "$SERVICES" "$SLICES" "$PODS" "${MORE[@]}"
	throttle
	: >"$CP/audit.log"
	# somebody else with our account, who has the one seat most of the time
	background nsenter --net="$CP_NETNS" curl -s -o /dev/null --parallel --parallel-max 4 \
		--cacert "$CP/ca.crt" -H "Authorization: Bearer $(<"$TOKEN")" "$API$SERVICES?try=[1-99999]"
	busy=$PID
	meddle cut
	wait_until 20 eval '(($(throttled) >= 3))' || fail "nothing was refused"
	service b | apply
	finish "$busy"
	is_told_all
	wait_until 45 all_current
	figure "$SERVICES" '.lists == 1 and .problem == ""'
	(($(asked "$OURS") <= 2 * ${#PATHS[@]} + $(throttled))) || fail "asked $(asked "$OURS") times"
}

OURS='(.userAgent // "" | startswith("curl") | not)'
MORE=(/api/v1/nodes /api/v1/namespaces /apis/networking.k8s.io/v1/networkpolicies)

# throttled: how many of our requests were refused so
throttled() {
	asked "$OURS and .responseStatus.code == 429"
}

all_current() {
	figures "$SERVICES" >/dev/null
	jq -ne --argjson count "${#PATHS[@]}" '[inputs | select(.call == "figures")] |
		.[-$count:] | all(.current)' "${OUT[$WATCHER]}" >/dev/null
}

# The agent's requests are let in one at a time, the others are refused.
throttle() {
	apply <<-END
		apiVersion: flowcontrol.apiserver.k8s.io/v1
		kind: PriorityLevelConfiguration
		metadata: { name: none }
		spec:
		  type: Limited
		  limited: { nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse: { type: Reject } }
		---
		apiVersion: flowcontrol.apiserver.k8s.io/v1
		kind: FlowSchema
		metadata: { name: agent }
		spec:
		  priorityLevelConfiguration: { name: none }
		  matchingPrecedence: 10
		  rules:
		    - subjects:
		        - { kind: ServiceAccount, serviceAccount: { name: sidestep, namespace: sidestep } }
		      resourceRules:
		        - { verbs: [ "*" ], apiGroups: [ "*" ], resources: [ "*" ], namespaces: [ "*" ], clusterScope: true }
	END
	wait_until 20 is_throttling >/dev/null
}

# The server has taken notice: its condition "Dangling" is False.
is_throttling() {
	api GET /apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/agent
	check 'any(.status.conditions[]?; .status == "False")'
}

unthrottle() {
	delete FlowSchema agent || :
	delete PriorityLevelConfiguration none || :
} >/dev/null

# ---- who we are -----------------------------------------------------------------------------

@test "a token that is not valid any more (401): the new one is read" {
	namespace shop
	service a | apply
	follow "$SERVICES" "$SLICES"
	bound_token old >"$TOKEN"
	meddle cut
	is_told_all

	# it lives as long as what it is bound to
	api DELETE /api/v1/namespaces/sidestep/secrets/old
	wait_until 30 is_invalid "$(<"$TOKEN")"
	meddle cut
	becomes "$SERVICES" '.failures.refused > 0'
	check '.problem | contains("401")'
	bound_token new >"$TOKEN.new"
	mv "$TOKEN.new" "$TOKEN"
	service b | apply
	is_told_all
	becomes "$SERVICES" '.current and .problem == ""'
	check '.lists == 1'
	(($(asked '.responseStatus.code == 401') == 0)) # nobody's, so not counted as ours
	(($(jq -n '[inputs | select(.responseStatus.code == 401)] | length' "$CP/audit.log") <= 20))
}

# bound_token NAME: for as long as secret NAME is there
bound_token() {
	apply <<-END
		apiVersion: v1
		kind: Secret
		metadata: { name: $1, namespace: sidestep }
	END
	agent_token "{\"kind\": \"Secret\", \"apiVersion\": \"v1\", \"name\": \"$1\"}"
}

is_invalid() { # TOKEN
	[[ $(in_ns node curl -s -o /dev/null -w '%{http_code}' --cacert "$CP/ca.crt" \
		-H "Authorization: Bearer $1" "$API$SERVICES") == 401 ]]
}

# ---- the way --------------------------------------------------------------------------------

@test "connections that are cut again and again: no list, nothing missed" {
	local i

	namespace shop
	service a | apply
	follow "$SERVICES" "$SLICES" "$PODS"
	for ((i = 0; i < 15; i++)); do
		meddle cut
		slice a "10.1.0.$((i + 1))" | apply
		((i % 3)) || service "b$i" | apply
	done
	is_told_all
	becomes "$SERVICES" '.current'
	check '.lists == 1'
	figure "$SLICES" '.lists == 1 and .failures.garbled == 0'
	(($(asked) <= 3 * 16 + 6)) || fail "asked $(asked) times"
}

@test "answers that end in the middle, wherever" {
	local bytes

	namespace shop
	services 100 | many
	follow "$SERVICES" "$SLICES"
	for bytes in 0 1 100 1500 2500 4000 8000 12000 20000 40000; do
		meddle truncate "$bytes"
		meddle cut
		service "b$bytes" | apply
		sleep 0.3
		meddle pass
		meddle cut
	done
	is_told_all
	becomes "$SERVICES" '.current and .problem == ""'

	# and a list
	finish "$WATCHER"
	for bytes in 3000 10000 30000 60000; do
		meddle truncate "$bytes"
		follow_again "$SERVICES"
		wait_until 10 eval '[[ -s ${OUT[$WATCHER]} ]]' || :
		meddle pass
		is_told_all
		figure "$SERVICES" '.lists == 1'
		finish "$WATCHER"
	done
}

@test "a slow way: late, and all of it" {
	namespace shop
	services 300 | many
	[[ -e ${NS}node ]] || ns_make node
	relay_start node
	agent_account
	meddle delay 200
	follow_again "$SERVICES" "$SLICES"
	{ service a && slice a 10.1.0.1; } | apply
	is_told_all
	figure "$SERVICES" '.lists == 1 and .problem == "" and (.failures | add) == 0'
}

@test "a way that takes everything and brings nothing: noticed, told, and left" {
	namespace shop
	service a | apply
	follow "$SERVICES" "$SLICES"
	meddle silent
	service b | apply
	wait_until 60 eval_figure "$SERVICES" '.failures.silent > 0' ||
		fail "not noticed: $(figures "$SERVICES")"
	check '.current == false and .heard > 20'
	meddle pass
	is_told_all
	becomes "$SERVICES" '.current and .problem == ""'
	check '.lists == 1'
	figure "$SLICES" '.lists == 1'
}

@test "nobody there at first, nobody there for a while" {
	namespace shop
	service a | apply
	ns_make node
	relay_start node
	agent_account
	meddle refuse
	follow_again "$SERVICES" "$SLICES"
	becomes "$SERVICES" '.failures.unreachable >= 2 and (.synced | not)'
	check '.heard == null and .problem != ""'
	meddle pass
	is_told_all

	meddle refuse
	sleep 5
	service b | apply
	meddle pass
	is_told_all
	becomes "$SERVICES" '.current'
	check '.lists == 1 and .failures.unreachable <= 20'
}

# ---- what the server does not know -----------------------------------------------------------

@test "a kind that is installed later" {
	local path=/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies

	follow --optional "$path"
	figure "$path" '.absent and .synced and .current and .lists == 1'
	cluster_policies
	wait_until 30 eval 'cluster_policy first | apply'
	wait_until 75 is_same || fail "not told: $(figures "$path")"
	figure "$path" '.absent == false and .problem == ""'
	cluster_policy second | apply
	is_told_all
	(($(asked) <= 8)) || fail "asked $(asked) times"

	# and taken away again
	delete CustomResourceDefinition clusternetworkpolicies.policy.networking.k8s.io
	becomes "$path" '.absent'
	[[ $(told "$path") == {} ]]
}

cluster_policy() { # NAME
	cat <<-END
		apiVersion: policy.networking.k8s.io/v1alpha2
		kind: ClusterNetworkPolicy
		metadata: { name: $1 }
		spec: { tier: Admin, priority: 10, subject: { namespaces: {} } }
	END
}
