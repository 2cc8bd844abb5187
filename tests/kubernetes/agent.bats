#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # jq has variables too; run sets stderr
#
# The agent and its API server: what it may do there, what it does without it, and how it
# gets there by the server's own service.

load ../e2e/harness
load control-plane
load agent

WEB="clusterIP: 10.96.0.10"
PORT="ports: [ { port: 80 } ]"
IN_FORCE="web 80/TCP 10.96.0.10:80 -> 10.77.0.4:8080"

# An agent, and a service that pod a serves
cluster() {
	namespace shop
	namespace marks
	{
		node n1 z1
		service web "$WEB" "$PORT"
		slice web-1 web "$(endpoint 10.77.0.4)"
	} | apply
	agent_start
	serve a
	comes_to <<<"$IN_FORCE"
}

serves() { # NAME
	call client --count 5 10.96.0.10:80
	check --arg name "$1" '.names == {($name): 5}'
}

# ---- what it may --------------------------------------------------------------------------------

@test "what it may at the server is what it does there" {
	local role asked

	cluster_policies
	cluster
	# once more from a server whose lists come by pages
	api_restart --feature-gates=WatchList=false
	finish "$DAEMON"
	agent_start
	service web "$WEB" "$PORT" "externalIPs: [ 203.0.113.1 ]" | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 203.0.113.1:80 -> 10.77.0.4:8080"

	api GET /apis/rbac.authorization.k8s.io/v1/clusterroles/sidestep
	role=$(value '.rules[] | .apiGroups[] as $group | .resources[] as $resource | .verbs[] |
		"\(.) \($resource) \($group)"' | sort)
	asked=$(jq -r 'select(.user.username == "system:serviceaccount:sidestep:sidestep") |
		"\(.verb) \(.objectRef.resource) \(.objectRef.apiGroup // "")"' "$CP/audit.log" | sort -u)
	# nothing but that
	[[ ! $(comm -13 <(echo "$role") <(echo "$asked")) ]] || fail "asked: $asked"
	# and all of it, but for lists of kinds that this server has not, and Events
	output=$(comm -23 <(echo "$role") <(echo "$asked") |
		grep -vE '^list (baseline)?adminnetworkpolicies |events' || :)
	[[ ! $output ]] || fail "never asked: $output"
	api_restart
}

@test "it may nothing else" {
	local path

	agent_account
	for path in /api/v1/secrets /api/v1/configmaps /api/v1/namespaces/default/services/kubernetes \
		/api/v1/namespaces/sidestep/secrets /apis/apps/v1/daemonsets; do
		[[ $(nsenter --net="$CP_NETNS" curl -s -o /dev/null -w '%{http_code}' \
			--cacert "$CP/ca.crt" -H "Authorization: Bearer $(<"$TOKEN")" "$API$path") == 403 ]] ||
			fail "may read $path"
	done
}

# ---- without it ---------------------------------------------------------------------------------

@test "the server is away: what is in force stays, and how old it is is told" {
	cluster
	meddle refuse
	reaches sidestep_kubernetes_watching 0 resource=services
	wait_until 30 eval '(($(now sidestep_kubernetes_state_age_seconds) >= 5))'
	(($(now sidestep_kubernetes_failures_total reason=unreachable) > 0))
	slice web-1 web "$(endpoint 10.77.0.5)" | apply
	serves a

	serve b
	meddle pass
	comes_to <<<"web 80/TCP 10.96.0.10:80 -> 10.77.0.5:8080"
	serves b
	reaches sidestep_kubernetes_watching 1 resource=services
	(($(now sidestep_kubernetes_lists_total resource=services) == 1))
}

@test "another agent without a server: what the one before has left stays, until all is known" {
	local i

	cluster
	meddle refuse
	finish "$DAEMON" KILL
	serves a
	agent_again
	serves a
	sleep 2
	is_in_force
	reaches sidestep_kubernetes_synced 0
	finish "$DAEMON"
	serves a

	# meanwhile
	{
		service more "clusterIP: 10.96.0.11" "$PORT"
		slice web-1 web "$(endpoint 10.77.0.5)"
	} | apply
	meddle pass
	serve b
	agent_start
	comes_to <<-END
		more 80/TCP 10.96.0.11:80 ->
		web 80/TCP 10.96.0.10:80 -> 10.77.0.5:8080
	END
	serves b
}

@test "a list that is cut off in the middle changes nothing" {
	cluster
	finish "$DAEMON"
	services_of_others 300 | many
	delete EndpointSlice shop/web-1
	meddle truncate 20000
	agent_again
	sleep 3
	is_in_force
	reaches sidestep_kubernetes_synced 0
	serves a
	meddle pass
	wait_until 30 is_synced
	wait_until 30 eval '(($(in_force | wc -l) == 301))'
	call client 10.96.0.10:80
	check '.errors == {ECONNREFUSED: 1}'
}

services_of_others() { # COUNT
	jq -nc --argjson count "$1" 'range($count) | {path: "/api/v1/namespaces/shop/services",
		object: {metadata: {name: "s\(.)"}, spec: {ports: [{port: 80}]}}}'
}

@test "nobody there when the first one starts" {
	namespace shop
	namespace marks
	ns_bridge node client a b
	relay_start node
	agent_account
	meddle refuse
	agent_again
	sleep 2
	[[ ! $(in_force) ]]
	meddle pass
	wait_until 40 is_synced
	{
		node n1 z1
		service web "$WEB" "$PORT"
	} | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 ->"
}

@test "the server restarts while services change" {
	local i

	cluster
	for ((i = 1; i <= 3; i++)); do
		api_restart
		service "web$i" "clusterIP: 10.96.0.2$i" "$PORT" | apply
	done
	delete Service shop/web2
	comes_to <<-END
		$IN_FORCE
		web1 80/TCP 10.96.0.21:80 ->
		web3 80/TCP 10.96.0.23:80 ->
	END
	serves a
	[[ $(said) != *"- service shop/web "* ]]
}

@test "all is listed anew (410): what differs is applied, and nothing else" {
	cluster
	service gone "clusterIP: 10.96.0.11" "$PORT" | apply
	comes_to <<-END
		gone 80/TCP 10.96.0.11:80 ->
		$IN_FORCE
	END
	meddle refuse
	delete Service shop/gone
	service more "clusterIP: 10.96.0.12" "$PORT" | apply
	compact
	api_restart
	meddle pass
	comes_to <<-END
		more 80/TCP 10.96.0.12:80 ->
		$IN_FORCE
	END
	reaches sidestep_kubernetes_lists_total 2 resource=services
	(($(now sidestep_kubernetes_failures_total reason=expired) > 0))
	serves a
	[[ $(said | grep -c "shop/web") == 1 ]] || fail "$(said)"
}

# ---- by its own service ---------------------------------------------------------------------------

@test "the API server's own service leads there: pods, and the next agent" {
	namespace shop
	namespace marks
	ns_bridge node client a b
	relay_start node 10.77.0.2:6443
	agent_account https://10.77.0.2:6443
	apply <<-END
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: { name: kubernetes, namespace: default, labels: { kubernetes.io/service-name: kubernetes } }
		addressType: IPv4
		ports: [ { name: https, port: 6443 } ]
		endpoints: [ { addresses: [ 10.77.0.2 ] } ]
	END
	agent_start
	wait_until 15 reaches_server || fail "not reached: $output"

	# one that knows nothing but the service's address, and whose own calls are translated
	finish "$DAEMON"
	agent_account https://10.96.0.1
	pod_start node "$SIDESTEP" run "${OPTIONS[@]}" --kubernetes --kubeconfig "$ACCOUNT" --node-name n1 \
		--metrics 127.0.0.1:9471
	DAEMON=$PID
	wait_until 30 is_synced
	service web "$WEB" "$PORT" | apply
	comes_to <<<"web 80/TCP 10.96.0.10:80 ->"
	reaches_server
}

reaches_server() {
	try pod client curl -sS --max-time 5 --cacert "$CP/ca.crt" -H "Authorization: Bearer $(<"$TOKEN")" \
		https://10.96.0.1/version
	[[ $status == 0 ]] && check '.gitVersion | startswith("v1.")'
}
