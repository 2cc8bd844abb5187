#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Control: services and policies until they are in force, a change, memory and CPU of the daemon
#
# Services have ten endpoints each. Each size has an instance of its own; no traffic flows.
# Figures are absolute: there is nothing to compare them with.
set -euo pipefail
# shellcheck source=tests/bench/common.bash
source "${BASH_SOURCE[0]%/*}/common.bash"

SPENT=$BUILD/tests/bench/spent
CHANGES=$BUILD/tests/bench/changes
PER_SERVICE=10
WORKLOADS=1000
REST_S=5 # the daemon reads all statistics once in so many seconds

sizes=(100 1000 10000 100000) # endpoints
rules=(10 100 1000 10000)
[[ ! $QUICK ]] || sizes=(100 10000) rules=(10 1000)

# declare_sizes TEST UNIT TITLE BLOCK... -- SIZE...
declare_sizes() {
	local test=$1 unit=$2 title=$3 blocks=() columns=() size

	shift 3
	for (( ; $#; )); do
		[[ $1 == -- ]] && shift && break
		blocks+=("$1")
		shift
	done
	for size; do
		columns+=("$(with_commas "$size")")
	done
	declare_test "$test" 7 "$unit" less "$title" "$(list sidestep)" "$(list "${blocks[@]}")" \
		"$(list "${columns[@]}")" \
		"$(jq -nc '{sizes: $ARGS.positional, ratios: false}' --jsonargs "$@")"
}

# take TEST BLOCK SIZE ROUND VALUE
take() {
	sample "$1" "$2" "$(with_commas "$3")" sidestep "$4" "$5"
}

# spent_by INSTANCE COMMAND...: what it takes, in MS and MB.
spent_by() {
	local status=0 line

	line=$(SIDESTEP=$TMP/spent of "$@" 2>"$TMP/log") || status=$?
	# an explanation may be that it is denied
	[[ $status == 0 || $2$status == explain5 ]] || die "$*: $(<"$TMP/log")"
	read -r MS _ MB <<<"$line"
}

seconds_of() { # MILLISECONDS
	awk -v ms="$1" 'BEGIN { printf "%.4f", ms / 1000 }'
}

# ---- files -------------------------------------------------------------------------------------

write_services() { # ENDPOINTS
	awk -v n="$(($1 / PER_SERVICE))" -v per="$PER_SERVICE" '
		function octets(net, i) { return sprintf("10.%d.%d.%d", net + i / 65536, i / 256 % 256, i % 256) }
		BEGIN {
			print "services:"
			for (i = 0; i < n; i++) {
				printf "- name: shop-%d/service-%d\n  address: %s\n  port: 80\n  target: 8080\n  endpoints:\n",
					i % 50, i, octets(96, i)
				for (j = 0; j < per; j++)
					printf "  - address: %s\n", octets(128, i * per + j)
			}
		}' >"$TMP/services-$1.yaml"
}

# Each tenth rule is of the admin tier, the others isolate a direction; all know a hundred apps.
write_policies() { # RULES
	awk -v rules="$1" -v n="$WORKLOADS" '
		function below(m) { return int(rand() * m) }
		function policy(i, egress) {
			egress = i % 2
			if (i % 10 == 9)
				printf "- { name: p%d, tier: admin, priority: 9", i
			else
				printf "- { name: p%d, namespace: n%d", i, below(10)
			printf ", subject: { app: a%d }, %s: [ { %s: [ { namespaces: {}, labels: { app: a%d } } ]",
				below(100), egress ? "egress" : "ingress", egress ? "to" : "from", below(100)
			printf ", ports: [ %d ] } ] }\n", 1 + below(1000)
		}
		BEGIN {
			srand(1)
			print "workloads:"
			for (i = 0; i < n; i++)
				printf "- { name: w%d, namespace: n%d, labels: { app: a%d, pod: p%d }, cgroup: /pods/w%d, " \
					"addresses: [ 10.100.%d.%d ] }\n", i, i % 10, i % 100, i, i, i / 256, i % 256
			print "policies:"
			for (i = 0; i < rules; i++) policy(i)
		}' >"$TMP/policies-$1.yaml"
}

write_files() {
	local n

	echo "services: []" >"$TMP/empty.yaml"
	for n in "${sizes[@]}"; do
		write_services "$n"
	done
	for n in "${rules[@]}"; do
		write_policies "$n"
	done
	printf '#!/bin/sh\nexec %q %q "$@"\n' "$SPENT" "$SIDESTEP" >"$TMP/spent"
	chmod +x "$TMP/spent"
}

# ---- from nothing to the kernel ------------------------------------------------------------------

declare_from_nothing() {
	declare_sizes control-load s "From nothing to the kernel, by endpoints" \
		"a file, until it is in force" "of it, the file read and checked" \
		"before, the programs loaded and tried" -- "${sizes[@]}"
	declare_sizes control-load-memory MB "Memory of what puts it in force, by endpoints" \
		"at most" -- "${sizes[@]}"
	note control-load "'sidestep apply -f FILE' where programs and empty maps are in the kernel; \
'sidestep load -f FILE' takes that and the last block"
}

from_nothing() { # ENDPOINTS ROUND
	local file=$TMP/services-$1.yaml

	spent_by nothing load -f "$TMP/empty.yaml"
	take control-load "before, the programs loaded and tried" "$1" "$2" "$(seconds_of "$MS")"
	spent_by nothing check -f "$file"
	take control-load "of it, the file read and checked" "$1" "$2" "$(seconds_of "$MS")"
	spent_by nothing apply -f "$file"
	take control-load "a file, until it is in force" "$1" "$2" "$(seconds_of "$MS")"
	take control-load-memory "at most" "$1" "$2" "$MB"
	(($(of nothing status -o json | jq .endpoints) == $1)) || die "$1 endpoints are not in force"
	of nothing unload >/dev/null
}

measure_from_nothing() {
	local round size

	declare_from_nothing
	make_cgroup nothing
	INSTANCES+=(nothing)
	load_instance warm "$TMP/empty.yaml" # what the self-test finds is kept
	for ((round = 0; round < ROUNDS; round++)); do
		for size in $(shuf -e "${sizes[@]}"); do
			from_nothing "$size" "$round"
		done
		progress "from nothing: round $((round + 1)) of $ROUNDS"
	done
}

# ---- changes -------------------------------------------------------------------------------------

declare_changes() {
	declare_sizes control-change ms "A change of one endpoint until it is in force, by endpoints" \
		p50 p99 "up to 1,000 at once" "one after another process's" -- "${sizes[@]}"
	declare_sizes control-read ms "All statistics read from the kernel, by endpoints" \
		"all of it" -- "${sizes[@]}"
	declare_sizes control-cpu ms/s "CPU of the control plane, by endpoints" \
		"daemon at rest" "100 changes a second" -- "${sizes[@]}"
	note control-change "100 changes a second, by the functions that the daemon calls"
}

measure_changes() {
	local size

	for size in "${sizes[@]}"; do
		load_instance "changes-$size" "$TMP/empty.yaml"
		"$CHANGES" "/sys/fs/bpf/$ID-changes-$size" $((size / PER_SERVICE)) "$ROUNDS" \
			"$(with_commas "$size")" >>"$BENCH_SAMPLES"
		of "changes-$size" unload >/dev/null
		progress "changes: $size endpoints"
	done
}

# ---- the daemon at rest ----------------------------------------------------------------------------

declare_memory() {
	declare_sizes control-memory MB "Memory of the daemon, by endpoints" "at rest" "at rest, PSS" \
		"at most" -- "${sizes[@]}"
	note control-memory "RSS; PSS: of pages that other processes have, too, its share; \
at most: while the file is read and put in force"
}

# All at once: what they take is counted, not how long.
measure_rest() {
	local daemons=() round size cpu now share most

	declare_memory
	for size in "${sizes[@]}"; do
		run_instance "rest-$size" -f "$TMP/services-$size.yaml"
		daemons+=("$DAEMON")
	done
	for ((round = 0; round < ROUNDS; round++)); do
		"$SPENT" --running "$REST_S" "${daemons[@]}" >"$TMP/rest"
		for size in "${sizes[@]}"; do
			read -r cpu now share most
			take control-cpu "daemon at rest" "$size" "$round" "$cpu"
			take control-memory "at rest" "$size" "$round" "$now"
			take control-memory "at rest, PSS" "$size" "$round" "$share"
			take control-memory "at most" "$size" "$round" "$most"
		done <"$TMP/rest"
	done
	progress "the daemon at rest"
}

# ---- policies ------------------------------------------------------------------------------------

declare_policies() {
	declare_sizes control-policies ms "Policies and explanations, by rules" \
		"policies, until they are in force" "of it, the file read and checked" explain \
		-- "${rules[@]}"
	declare_sizes control-policies-memory MB "Memory of policies and explanations, by rules" \
		"policies, until they are in force" explain -- "${rules[@]}"
	note control-policies "one rule a policy, beside $WORKLOADS workloads"
}

policies() { # RULES ROUND
	local file=$TMP/policies-$1.yaml

	of policies apply -f "$TMP/empty.yaml" >/dev/null
	spent_by policies check -f "$file"
	take control-policies "of it, the file read and checked" "$1" "$2" "$MS"
	spent_by policies apply -f "$file"
	take control-policies "policies, until they are in force" "$1" "$2" "$MS"
	take control-policies-memory "policies, until they are in force" "$1" "$2" "$MB"
	spent_by policies explain n1/w1 n2/w2 80
	take control-policies explain "$1" "$2" "$MS"
	take control-policies-memory explain "$1" "$2" "$MB"
}

measure_policies() {
	local round n

	declare_policies
	load_instance policies "$TMP/empty.yaml"
	for ((round = 0; round < ROUNDS; round++)); do
		for n in $(shuf -e "${rules[@]}"); do
			policies "$n" "$round"
		done
	done
	progress "policies"
}

main() {
	need_root
	need_commands jq
	[[ -x $SPENT && -x $CHANGES ]] || die "not built yet: make all tools"
	bench_begin
	write_files
	measure_from_nothing
	declare_changes
	measure_changes
	measure_rest
	measure_policies
}

main
