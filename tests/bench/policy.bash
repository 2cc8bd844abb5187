#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What policies cost by number of rules: calls, programs, changes, the compiler.
#
# connect() and round trips as their callers see them, the programs by the kernel's own clock, the
# end of flows that a change denies, and the compiler and its set. Each set of policies is an
# instance on a cgroup of its own, so that sets are measured in turn without a change in between.
set -euo pipefail
shopt -s inherit_errexit
# shellcheck source=tests/bench/common.bash
source "${BASH_SOURCE[0]%/*}/common.bash"

SERVER=10.78.0.2
CLIENT=10.78.0.3
PORT=9000        # of the first set
DENIED_PORT=9900 # nobody may call it
IDENTITIES=10000

RULES=(10 100 1000 10000)
BASES=(none hooks edges identities) # have no rules
ROWS=(shared own)
CALLS=2000 # of a measurement
FLOWS=10000
LONG_ROUNDS=3 # of changes and the compiler
if [[ $QUICK ]]; then
	RULES=(10 1000)
	CALLS=300
	FLOWS=1000
fi

# A block each: connect() and close() or a byte there and back.
declare -A TITLES=([allowed]="connect() and close()" [tcp]="TCP round trip" [udp]="UDP round trip"
	[connected-udp]="connected UDP round trip" [denied]="denied connect()")
CALLED=(allowed tcp udp connected-udp)
# What the kernel's clock is asked of: a call, and a program that it runs.
TIMED=(denied:connect4 allowed:connect4 allowed:sockops allowed:ingress allowed:egress
	tcp:ingress tcp:egress udp:sendmsg4 udp:ingress udp:egress)

SETS=() # instances, and "none"
FIRST=(chrt -f 10)
PINNED=("${FIRST[@]}" taskset -c "$CLIENT_CPU") # both ends of a call are on one processor

# ---- sets of policies --------------------------------------------------------------------------

write_file() { # SET [deny]
	case $1 in
	hooks) printf 'node: { telemetry: { edges: 0 } }\nservices: []\n' ;;
	edges) echo "services: []" ;;
	*)
		awk -v rows="${1%%-*}" -v rules="${1#*-}" -v identities="$IDENTITIES" -v group="/$ID/$1" \
			-v client="$CLIENT" -v server="$SERVER" -v ports="$(port_of "$1" "${SETS[@]}")" \
			-v deny="${2:-}" -f "$REPO/tests/bench/policies.awk"
		;;
	esac >"$TMP/$1.yaml"
}

# start SET ROLE COMMAND...: becomes the command, as this workload.
start() {
	enter "$1/$2" "$2" "${@:3}"
}

make_set() { # SET
	local kind

	make_cgroup "$1/client"
	make_cgroup "$1/server"
	if [[ $1 != none ]]; then
		write_file "$1"
		load_instance "$1" "$TMP/$1.yaml"
	fi
	for kind in "" --udp; do
		(start "$1" server "${PINNED[@]}" "$BUILD/tests/tools/echoserver" $kind \
			"$SERVER:$(port_of "$1" "${SETS[@]}")") >"$TMP/$1$kind.out" &
		PIDS+=($!)
		wait_until 5 grep -qs ready "$TMP/$1$kind.out" || die "no server for $1"
	done
}

make_sets() {
	local rows n set

	SETS=("${BASES[@]}")
	for rows in "${ROWS[@]}"; do
		SETS+=("${RULES[@]/#/$rows-}")
	done
	for set in "${SETS[@]}"; do
		make_set "$set"
	done
}

# ---- calls -------------------------------------------------------------------------------------

# call SET CALL: the median in us.
call() {
	local test=$2 port

	port=$(port_of "$1" "${SETS[@]}")
	[[ $2 != denied ]] || port=$DENIED_PORT
	[[ $2 != denied && $2 != allowed ]] || test=connect
	(start "$1" client "${PINNED[@]}" "$BUILD/tests/bench/calls" "$test" "$CALLS" "$SERVER:$port") \
		>"$TMP/call" || die "$1: $2 has failed"
	[[ $test != connect || $(<"$TMP/call") == "$2 "* ]] || die "$1: $2 expected, but $(<"$TMP/call")"
	awk '{ print $2 / 1000 }' "$TMP/call"
}

# The set of a variant in a column.
set_of() { # VARIANT RULES
	[[ " ${ROWS[*]} " == *" $1 "* ]] && echo "$1-$2" || echo "$1"
}

measure_calls() { # ROUND
	local n call variant

	for n in "${RULES[@]}"; do
		for call in "${CALLED[@]}"; do
			for variant in $(shuf -e "${BASES[@]}" "${ROWS[@]}"); do
				sample policy-calls "${TITLES[$call]}" "$n rules" "$variant" "$1" \
					"$(call "$(set_of "$variant" "$n")" "$call")"
			done
		done
		for variant in $(shuf -e "${ROWS[@]}"); do
			sample policy-denied "${TITLES[denied]}" "$n rules" "$variant" "$1" \
				"$(call "$variant-$n" denied)"
		done
	done
}

# ---- what the kernel's clock says ----------------------------------------------------------------

measure_clocks() { # ROUND
	local set call timed ns

	clock_on
	for set in $(shuf -e "${SETS[@]:${#BASES[@]}}"); do
		for call in denied allowed tcp udp; do
			clocks "$set" >"$TMP/before"
			call "$set" "$call" >/dev/null
			clocks_since "$set" "$TMP/before" |
				awk -v n="$CALLS" '{ print $1, $2 / n }' >"$TMP/clocks"
			while read -r timed ns; do
				[[ " ${TIMED[*]} " == *" $call:$timed "* ]] || continue
				sample policy-programs "${TITLES[$call]}: $timed" "${set#*-} rules" \
					"${set%%-*}" "$1" "$ns"
			done <"$TMP/clocks"
		done
	done
	clock_off
}

# ---- changes -------------------------------------------------------------------------------------

# The pair's flows are denied, all at once; then the old set comes back.
measure_change() { # ROUND SET
	local pid first last seconds kilobytes

	write_file "$2" deny
	(start "$2" client "${FIRST[@]}" "$BUILD/tests/bench/calls" revoke "$FLOWS" \
		"$SERVER:$(port_of "$2" "${SETS[@]}")") >"$TMP/ends" &
	pid=$!
	wait_until 60 grep -qs ready "$TMP/ends" || die "$2: no flows"
	words_of "$2" apply -f "$TMP/$2.yaml"
	"${FIRST[@]}" env time -f "%e %M" -o "$TMP/time" "${WORDS[@]}" >"$TMP/log" 2>&1 ||
		die "$2: $(<"$TMP/log")"
	wait "$pid" || die "$2: flows go on"
	read -r _ first last < <(grep ended "$TMP/ends")
	read -r seconds kilobytes <"$TMP/time"
	rm "$TMP/ends"
	tell_change "$1" "$2" "first flow ended" "$(awk "BEGIN { print $first / 1e6 }")"
	tell_change "$1" "$2" "last flow ended" "$(awk "BEGIN { print $last / 1e6 }")"
	tell_change "$1" "$2" "all of apply" "$(awk "BEGIN { print $seconds * 1000 }")"
	sample policy-memory "apply" "${2#*-} rules" "${2%%-*}" "$1" "$(awk "BEGIN { print $kilobytes / 1000 }")"
	write_file "$2"
	of "$2" apply -f "$TMP/$2.yaml" >"$TMP/log" 2>&1 || die "$2: $(<"$TMP/log")"
}

tell_change() { # ROUND SET BLOCK MS
	sample policy-change "$3" "${2#*-} rules" "${2%%-*}" "$1" "$4"
}

# ---- the compiler ----------------------------------------------------------------------------------

measure_compiler() { # ROUND
	local n rows first again megabytes decision address cgroup

	for n in "${RULES[@]}"; do
		for rows in $(shuf -e "${ROWS[@]}"); do
			taskset -c "$CLIENT_CPU" "$BUILD/tests/bench/policy" "$rows" "$IDENTITIES" "$n" \
				>"$TMP/compiled" || die "cannot compile $n rules"
			read -r first again megabytes decision address cgroup <"$TMP/compiled"
			sample policy-compiler "first set" "$n rules" "$rows" "$1" "$first"
			sample policy-compiler "after one like it" "$n rules" "$rows" "$1" "$again"
			sample policy-set "size of a set" "$n rules" "$rows" "$1" "$megabytes"
			sample policy-questions "decision" "$n rules" "$rows" "$1" "$decision"
			sample policy-questions "address" "$n rules" "$rows" "$1" "$address"
			sample policy-questions "cgroup" "$n rules" "$rows" "$1" "$cgroup"
		done
	done
}

# ---- what is told ------------------------------------------------------------------------------

declare_rows() { # TEST UNIT TITLE BLOCKS
	declare_test "$1" 3 "$2" less "$3" "$(list "${ROWS[@]}")" "$4" "$COLUMNS" "$SIZES"
}

declare_tests() {
	local blocks=() call timed
	local SIZES COLUMNS

	COLUMNS=$(list "${RULES[@]/%/ rules}")
	SIZES=$(jq -nc '{ sizes: [$ARGS.positional[] | tonumber] }' --args "${RULES[@]}")
	for call in "${CALLED[@]}"; do
		blocks+=("${TITLES[$call]}")
	done
	declare_test policy-calls 3 us less "Calls under policy" "$(list "${BASES[@]}" "${ROWS[@]}")" \
		"$(list "${blocks[@]}")" "$COLUMNS" "$SIZES"
	SIZES=${SIZES%\}},\"ratios\":false\}
	declare_rows policy-denied us "Calls that policy denies" "$(list "${TITLES[denied]}")"
	blocks=()
	for timed in "${TIMED[@]}"; do
		blocks+=("${TITLES[${timed%:*}]}: ${timed#*:}")
	done
	declare_rows policy-programs "ns" "Programs of a call, both ends" "$(list "${blocks[@]}")"
	declare_rows policy-change ms "$FLOWS flows denied by a change" \
		"$(list "first flow ended" "last flow ended" "all of apply")"
	declare_rows policy-memory MB "Memory of that change" "$(list apply)"
	declare_rows policy-compiler ms "To compile a set" "$(list "first set" "after one like it")"
	declare_rows policy-set MB "Size of a set" "$(list "size of a set")"
	declare_rows policy-questions ns "A question to a set" "$(list decision address cgroup)"
}

tell_notes() {
	note policy-calls "$IDENTITIES workloads. none: no Sidestep; hooks: nothing configured, edges off; edges: \
counted; identities: workloads without rules. shared: rules know a hundred apps; own: each workload is an app. \
Median of $CALLS calls, both ends on CPU $CLIENT_CPU before all others (SCHED_FIFO), over veth."
	note policy-programs "By the kernel's clock, which costs some 50 ns a run itself."
	note policy-change "Since the last connect() that was allowed; the change is read, compiled and applied. \
With the least and the most rules only, $LONG_ROUNDS rounds."
	note policy-compiler "$LONG_ROUNDS rounds, CPU time of the process."
}

# What takes seconds and differs little is not measured in every round.
measure_round() { # ROUND
	measure_calls "$1"
	measure_clocks "$1"
	if (($1 < LONG_ROUNDS)); then
		measure_change "$1" "shared-${RULES[0]}"
		measure_change "$1" "own-${RULES[-1]}"
		measure_compiler "$1"
	fi
	progress "round $(($1 + 1)) of $ROUNDS"
}

need_root
need_commands jq ip nsenter chrt taskset bpftool time
[[ -x $SIDESTEP && -x $BUILD/tests/bench/calls ]] || die "not built yet: make all tools"
bench_begin
make_pods "client=$CLIENT/24" "server=$SERVER/24"
make_sets
declare_tests
tell_notes
for ((round = 0; round < ROUNDS; round++)); do
	measure_round "$round"
done
