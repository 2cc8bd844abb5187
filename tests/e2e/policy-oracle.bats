#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# Random clusters, with the answers of an evaluator that was written from the specification's
# text: the kernel must give the same to real connections.

load policy

CLUSTER=$REPO/build/tests/oracle/cluster
WORKLOADS=12

# cluster SEED PREFIX: writes $CONF and $QUESTIONS, makes cgroups; addresses PREFIX1, ...
cluster() {
	local i list=()

	QUESTIONS=$BATS_TEST_TMPDIR/questions
	for ((i = 1; i <= WORKLOADS; i++)); do
		list+=("$2$i")
		mkdir -p "$CG/w$((i - 1))"
	done
	"$CLUSTER" --seed "$1" --questions "${COUNT:-1000}" --cgroup "/${CG##*/}" \
		--addresses "$(IFS=, && echo "${list[*]}")" "$CONF" "$QUESTIONS"
}

# A namespace with all addresses, none of which is the node's
addresses() { # PREFIX LENGTH
	local i

	for ((i = 1; i <= WORKLOADS; i++)); do
		in_ns node ip address add "$1$i/$2" dev lo
	done
}

# All clusters have the same cgroups, and one set takes the place of another.
ask_about() { # PREFIX SEED...
	local seed asked=0 denied=0

	for seed in "${@:2}"; do
		cluster "$seed" "$1"
		if [[ $seed == "$2" ]]; then
			sidestep load -f "$CONF" >/dev/null
		else
			sidestep apply -f "$CONF" >/dev/null
		fi
		try in_ns node "$TOOLS/questions" "$CG" "$QUESTIONS"
		[[ $status == 0 ]] || fail "seed $seed: $output $stderr"$'\n'"$(cat "$CONF")"
		asked=$((asked + $(value .asked)))
		denied=$((denied + $(value .denied)))
	done
	echo "# $asked connections, of which $denied denied" >&3
	# both answers, in earnest
	((denied * 10 > asked && denied * 10 < asked * 9))
}

@test "the kernel decides real connections as the evaluator does, IPv4" {
	ns_make node
	addresses 10.90.0. 32
	ask_about 10.90.0. {1..8}
}

@test "the kernel decides real connections as the evaluator does, IPv6" {
	ns_make node
	addresses fd90:: 128
	ask_about fd90:: {9..16}
}
