# SPDX-License-Identifier: Apache-2.0
#
# Workloads and policies of a configuration: a pair that is measured, and identities and rules that
# are not, for awk with
#
#   rows        shared: all rules know a hundred apps; own: each identity is an app of its own, so
#               that it has rows of its own
#   identities  how many, beside the pair
#   rules       how many; 0: no policies
#   group       the cgroup that has "client" and "server"
#   client, server  their addresses
#   ports       the server's, that the client may call, with commas
#   deny        not empty: it may not
#
# Each tenth rule is of the admin tier, the others each isolate a direction. What lets the pair
# talk comes last of all rules, what denies it after that.

function below(m) { return int(rand() * m) }

function app() { return "a" below(rows == "own" ? identities : 100) }

function policy(i,   egress) {
	egress = i % 2
	if (i % 10 == 9)
		printf "  - { name: p%d, tier: admin, priority: 9", i
	else
		printf "  - { name: p%d, namespace: n%d", i, below(100)
	printf ", subject: { app: %s }, %s: [ { %s: [ { namespaces: {}, labels: { app: %s } }",
		app(), egress ? "egress" : "ingress", egress ? "to" : "from", app()
	if (i % 10 == 0)
		printf ", { network: 192.%d.%d.0/24 }", below(16), below(256)
	printf " ], ports: [ %d ] } ] }\n", 1 + below(1000)
}

function pair(name, subject, direction, peers, peer,   n, i, port, list) {
	printf "  - { name: %s, namespace: zz, subject: { app: %s }, isolate: [ %s ]", name, subject,
		direction
	n = split(ports, port, ",")
	for (i = 1; i <= n; i++)
		list = list (i > 1 ? ", " : "") port[i] ", { port: " port[i] ", protocol: UDP }"
	if (!deny)
		printf ", %s: [ { %s: [ { labels: { app: %s } } ], ports: [ %s ] } ]", direction, peers,
			peer, list
	print " }"
}

function member(name, role, address) {
	printf "  - { name: %s, namespace: zz, labels: { app: %s }, cgroup: %s/%s, " \
		"addresses: [ %s ] }\n", name, name, group, role, address
}

BEGIN {
	srand(1)
	print "workloads:"
	for (i = 0; i < identities; i++)
		printf "  - { name: w%d, namespace: n%d, labels: { app: a%d, pod: p%d }, " \
			"cgroup: /pods/w%d, addresses: [ 10.%d.%d.%d ] }\n", i, i % 100,
			rows == "own" ? i : i % 100, i, i, 112 + i / 65536, i / 256 % 256, i % 256
	member("caller", "client", client)
	member("called", "server", server)
	if (!rules)
		exit
	print "policies:"
	for (i = 0; i < rules - 2; i++)
		policy(i)
	pair("zz-out", "caller", "egress", "to", "called")
	pair("zz-in", "called", "ingress", "from", "caller")
}
