# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # jq has variables too; run sets stderr
#
# What the tests of policy share. Workloads are cgroups below the test's: "as NAME pod ..."
# runs a program as one of them. A program that is not in such a cgroup is nobody's.

load harness

# workloads NAME[:MORE]...: cgroups of these names, and what the file says of them. Label app
# is the name; MORE is added to the entry: "web:, ports: { http: 80 }".
workloads() {
	local item

	echo "workloads:"
	for item; do
		mkdir -p "$CG/${item%%:*}"
		echo "  - { name: ${item%%:*}, labels: { app: ${item%%:*} }," \
			"cgroup: $(path_of "${item%%:*}")$([[ $item != *:* ]] || echo "${item#*:}") }"
	done
}

# addresses_of NAMESPACE: for an entry of workloads()
addresses_of() {
	echo ", addresses: [ $(ip4 "$1"), \"$(ip6 "$1")\" ]"
}

# path_of NAME: as the file has it, below the cgroup2 root.
path_of() {
	echo "/${CG##*/}/$1"
}

# as NAME COMMAND...: what the command runs as a pod is this workload.
as() {
	local CG=$CG/$1

	"${@:2}"
}

# A workload's server, on both families, TCP; and UDP
serve_as() { # NAME NAMESPACE [PORT]
	as "$1" pod_bg "$2" "$TOOLS/echoserver" --name "$1" --greet \
		"$(ip4 "$2"):${3:-8080}" "[$(ip6 "$2")]:${3:-8080}"
	as "$1" pod_bg "$2" "$TOOLS/echoserver" --udp --name "$1" \
		"$(ip4 "$2"):${3:-8080}" "[$(ip6 "$2")]:${3:-8080}"
}

# one_node WORKLOAD...: all in namespace node, what the file says beside them from stdin
one_node() {
	ns_make node
	{ workloads "$@" && cat; } | load_config
}

# listen NAME [PORT...]: on loopback of namespace node, both families, TCP and UDP
listen() {
	local port addresses=()

	(($# > 1)) || set -- "$1" 8080
	for port in "${@:2}"; do
		addresses+=("127.0.0.1:$port" "[::1]:$port")
	done
	as "$1" pod_bg node "$TOOLS/echoserver" --name "$1" --greet "${addresses[@]}"
	as "$1" pod_bg node "$TOOLS/echoserver" --name "$1" --udp "${addresses[@]}"
}

# allowed NAME NAMESPACE ARGUMENTS...: of caller; every call must succeed.
allowed() {
	as "$1" call "${@:2}"
	check '.failed == 0 and .ok > 0'
}

# denied NAME NAMESPACE ARGUMENTS...: every call must fail with $DENIED, EPERM unless set.
denied() {
	as "$1" call "${@:2}"
	check --arg error "${DENIED:-EPERM}" '.ok == 0 and .errors == { ($error): .failed }'
}

# rules: the counters of all rules as JSON in $output.
rules() {
	try "$SIDESTEP" policy stats --pin "$PIN" -o json
	[[ $status == 0 ]] || fail "policy stats: exit code $status: $stderr"
}

# row POLICY[/RULE]: of the counters, in $output; a built-in rule has its direction for a name:
# "default/egress".
row() {
	rules
	output=$(value --arg policy "${1%%/*}" --arg rule "${1#*/}" '.[]
		| select(.policy == $policy and (.rule == $rule or .policy == $rule
			or (.rule == "" and .direction == $rule)))')
}

# rule POLICY[/RULE] FILTER: must hold for its row.
rule() {
	row "$1"
	check "$2"
}

# decided POLICY[/RULE]: so often
decided() {
	row "$1"
	value .decided
}

# In the workload's own words; explains its exit code: 0 allowed, 5 denied.
explain() {
	try sidestep explain "$@" -o json
	[[ $status == 0 || $status == 5 ]] || fail "explain $*: exit code $status: $stderr"
}
