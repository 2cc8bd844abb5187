#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# The rules that the benchmark of services loads (tests/bench/ruleset.c) are those that the real
# kube-proxy makes of the same objects: what lies in the kernel is compared rule by rule. Only the
# order of services is kube-proxy's own each time, and what it says of the API server's own service
# is left away, with the counter of dropped packets, which some kernels lack.

load ../e2e/harness
load control-plane

RULESET=$REPO/build/tests/bench/ruleset

# proxy MODE: kube-proxy for as long as the test
proxy() {
	local program

	program=$("$REPO/scripts/kubernetes-tools" kube-proxy 2>"$BATS_TEST_TMPDIR/tools")/kube-proxy ||
		skip_for kubernetes "$(tail -n 1 "$BATS_TEST_TMPDIR/tools")"
	apply <<-END
		apiVersion: v1
		kind: Node
		metadata: { name: n1 }
		status: { addresses: [ { type: InternalIP, address: 10.77.0.2 } ] }
	END
	cat >"$BATS_TEST_TMPDIR/kubeconfig" <<-END
		apiVersion: v1
		kind: Config
		clusters: [ { name: c, cluster: { server: "$API", certificate-authority: $CP/ca.crt } } ]
		users: [ { name: u, user: { token: admin-token } } ]
		contexts: [ { name: x, context: { cluster: c, user: u } } ]
		current-context: x
	END
	background nsenter --net="$CP_NETNS" "$program" --kubeconfig "$BATS_TEST_TMPDIR/kubeconfig" \
		--hostname-override n1 --proxy-mode "$1" --cluster-cidr 10.128.0.0/9 -v 2 \
		--conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 \
		--conntrack-tcp-timeout-close-wait 0
	PROXY=$PID
}

# What the test before has left: kube-proxy would delete its chains.
setup() {
	local table

	harness_setup
	for table in filter nat mangle; do
		nsenter --net="$CP_NETNS" iptables -t "$table" -F
		nsenter --net="$CP_NETNS" iptables -t "$table" -X
	done
}

# objects N [MOVED]: written, or written over
objects() {
	local path name

	"$RULESET" objects "$@" >"$BATS_TEST_TMPDIR/objects"
	if [[ ${2:-} ]]; then
		jq -c 'select(.object.kind == "EndpointSlice" and .object.metadata.name == "s0")' \
			"$BATS_TEST_TMPDIR/objects" >"$BATS_TEST_TMPDIR/moved"
		path=$(jq -r .path "$BATS_TEST_TMPDIR/moved")
		name=$(jq -r .object.metadata.name "$BATS_TEST_TMPDIR/moved")
		api PUT "$path/$name" -H "Content-Type: application/json" \
			--data-binary "$(jq -c .object "$BATS_TEST_TMPDIR/moved")"
	else
		namespace bench
		many <"$BATS_TEST_TMPDIR/objects"
	fi
}

# ---- what is in the kernel -------------------------------------------------------------------

# A line for each rule with its place in its chain; endpoints' chains that nothing leads to
# wait to be deleted.
iptables_rules() { # NETNS
	nsenter --net="$1" iptables-save | sed -E 's/ -m nfacct --nfacct-name +[^ ]+//; s/ \[.*//' |
		awk '/^\*/ { table = $1 }
			/^#|default\/kubernetes:/ { next }
			/^:/ { name = substr($1, 2); chains[table " " name] }
			/^-A/ {
				for (i = 3; i < NF; i++) if ($i == "-j") wanted[$(i + 1)]
				place = $2 == "KUBE-SERVICES" && / cluster IP"/ ? "any" : ++places[table, $2]
				rules[++n] = table " " $2 " " place " " $0
				of[n] = $2
			}
			END {
				for (c in chains) {
					split(c, word, " ")
					if (word[2] !~ /^KUBE-SEP-/ || word[2] in wanted) print c
				}
				for (i = 1; i <= n; i++)
					if (of[i] !~ /^KUBE-SEP-/ || of[i] in wanted) print rules[i]
			}' | LC_ALL=C sort
}

nft_rules() { # NETNS
	nsenter --net="$1" nft -j list table ip kube-proxy | jq '
		def own: map(select(tojson | contains("\"10.96.0.1\"") | not));
		[.nftables[] | del(.[].handle?)] | walk(if type == "object" and (.set | type) == "array"
			then .set |= sort else . end)
		| [ (map(.chain // empty) | sort_by(.name)),
			(map(.set // .map // empty | .elem |= ((. // []) | own | sort)) | sort_by(.name)),
			(map(.rule // empty) | group_by(.chain)) ]'
}

are_same() { # iptables|nft
	"$1_rules" "$CP_NETNS" >"$BATS_TEST_TMPDIR/real" 2>/dev/null || return
	cmp -s "$BATS_TEST_TMPDIR/real" "$BATS_TEST_TMPDIR/ours"
}

# same iptables|nft: kube-proxy comes to what ours is.
same() {
	"$1_rules" "${NS}ours" >"$BATS_TEST_TMPDIR/ours"
	wait_until 20 are_same "$1" ||
		fail "$(diff "$BATS_TEST_TMPDIR/real" "$BATS_TEST_TMPDIR/ours" | head -n 20)"
}

restore() { # FORM N [MOVED]
	"$RULESET" "$@" >"$BATS_TEST_TMPDIR/restore"
	in_ns ours iptables-restore -w 5 --noflush --counters <"$BATS_TEST_TMPDIR/restore"
}

# wrote_as_much: kube-proxy has at some time written as many chains and rules of table nat as we.
wrote_as_much() {
	local ours

	ours=$(awk '/^\*/ { nat = $1 == "*nat"; if (nat) chains = rules = 0 }
		nat && /^:/ { chains++ }
		nat && /^-A/ { rules++ }
		END { print "numNATChains=" chains " numNATRules=" rules }' "$BATS_TEST_TMPDIR/restore")
	grep -q "Reloading service iptables data.* $ours$" "${OUT[$PROXY]}.err" ||
		fail "not $ours: $(grep "Reloading service iptables data" "${OUT[$PROXY]}.err")"
}

# ---- the tests -------------------------------------------------------------------------------

@test "iptables: a few services" {
	ns_make ours
	objects 3
	proxy iptables
	restore iptables 3
	same iptables
	objects 3 1
	restore iptables-change 3 1
	same iptables
}

@test "iptables: more than a thousand endpoints" {
	ns_make ours
	objects 101
	proxy iptables
	restore iptables 101
	same iptables
	wrote_as_much
	objects 101 1
	restore iptables-change 101 1
	same iptables
	wrote_as_much
}

@test "nftables" {
	ns_make ours
	objects 3
	proxy nftables
	"$RULESET" nftables 3 | in_ns ours nft -f -
	same nft
	objects 3 1
	"$RULESET" nftables-change 3 1 | in_ns ours nft -f -
	same nft
}
