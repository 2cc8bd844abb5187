#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2154 # jq has variables too; run sets stderr
#
# Beside kube-proxy and in its place. The node is namespace `node`: kube-proxy's rules are there,
# and the daemon. The rules are those that kube-proxy 1.36.3 wrote for the same service, without
# its counters (nfacct), and with endpoint b where Sidestep's is a: so the name that answers
# tells who has translated. Programs of the test's cgroup are the node's and its pods';
# `outside` calls from no cgroup of ours.

load harness

# ---- the service, as both have it --------------------------------------------------------

cluster() {
	ns_bridge node client a b outside
	serve a
	serve b
	# a call has to be under way before a rule can turn it round
	in_ns node ip route add 10.96.0.0/16 dev eth0
	in_ns node ip route add 203.0.113.0/24 dev eth0
}

# manifests [SETTINGS OF THE NODE]
manifests() {
	cat <<-END
		node: { $1 }
		---
		apiVersion: v1
		kind: Service
		metadata: { name: web, namespace: shop }
		spec:
		  type: NodePort
		  clusterIPs: [ 10.96.0.10 ]
		  externalIPs: [ 203.0.113.1 ]
		  ports: [ { port: 80, nodePort: 30080, targetPort: 8080 } ]
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: { name: web-4, namespace: shop, labels: { kubernetes.io/service-name: web } }
		addressType: IPv4
		ports: [ { name: "", port: 8080, protocol: TCP } ]
		endpoints: [ { addresses: [ $(ip4 a) ] } ]
	END
}

load_on_node() {
	config
	in_ns node "$SIDESTEP" load "${OPTIONS[@]}" -f "$CONF"
}

# ---- kube-proxy's rules --------------------------------------------------------------------

# As iptables-restore reads them, the older and the newer one.
iptables_rules() {
	cat <<-END
		*mangle
		:KUBE-PROXY-CANARY - [0:0]
		COMMIT
		*filter
		:INPUT ACCEPT [0:0]
		:FORWARD ACCEPT [0:0]
		:OUTPUT ACCEPT [0:0]
		:KUBE-EXTERNAL-SERVICES - [0:0]
		:KUBE-FIREWALL - [0:0]
		:KUBE-FORWARD - [0:0]
		:KUBE-NODEPORTS - [0:0]
		:KUBE-PROXY-CANARY - [0:0]
		:KUBE-PROXY-FIREWALL - [0:0]
		:KUBE-SERVICES - [0:0]
		-A INPUT -j KUBE-FIREWALL
		-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
		-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
		-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
		-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
		-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
		-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
		-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
		-A OUTPUT -j KUBE-FIREWALL
		-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
		-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
		-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
		-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
		-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
		-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
		COMMIT
		*nat
		:PREROUTING ACCEPT [0:0]
		:INPUT ACCEPT [0:0]
		:OUTPUT ACCEPT [0:0]
		:POSTROUTING ACCEPT [0:0]
		:KUBE-EXT-E3PXEPMWAWIUT6ZV - [0:0]
		:KUBE-MARK-MASQ - [0:0]
		:KUBE-NODEPORTS - [0:0]
		:KUBE-POSTROUTING - [0:0]
		:KUBE-PROXY-CANARY - [0:0]
		:KUBE-SEP-FKWMEPDLD3F6N6SH - [0:0]
		:KUBE-SERVICES - [0:0]
		:KUBE-SVC-E3PXEPMWAWIUT6ZV - [0:0]
		-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
		-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
		-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
		-A KUBE-EXT-E3PXEPMWAWIUT6ZV -m comment --comment "masquerade traffic for shop/web external destinations" -j KUBE-MARK-MASQ
		-A KUBE-EXT-E3PXEPMWAWIUT6ZV -j KUBE-SVC-E3PXEPMWAWIUT6ZV
		-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
		-A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web" -m tcp --dport 30080 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
		-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
		-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
		-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
		-A KUBE-SEP-FKWMEPDLD3F6N6SH -s $(ip4 b)/32 -m comment --comment "shop/web" -j KUBE-MARK-MASQ
		-A KUBE-SEP-FKWMEPDLD3F6N6SH -p tcp -m comment --comment "shop/web" -m tcp -j DNAT --to-destination $(ip4 b):8080
		-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment "shop/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-E3PXEPMWAWIUT6ZV
		-A KUBE-SERVICES -d 203.0.113.1/32 -p tcp -m comment --comment "shop/web external IP" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
		-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
		-A KUBE-SVC-E3PXEPMWAWIUT6ZV ! -s 10.77.0.0/24 -d 10.96.0.10/32 -p tcp -m comment --comment "shop/web cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
		-A KUBE-SVC-E3PXEPMWAWIUT6ZV -m comment --comment "shop/web -> $(ip4 b):8080" -j KUBE-SEP-FKWMEPDLD3F6N6SH
		COMMIT
	END
}

# Its table of IPv4, as nft reads it.
nft_rules() {
	cat <<-END
		table ip kube-proxy {
			set hairpin-connections {
				type ipv4_addr . ipv4_addr . inet_proto . inet_service
			}
			set cluster-ips {
				type ipv4_addr
				elements = { 10.96.0.1, 10.96.0.10 }
			}
			set nodeport-ips {
				type ipv4_addr
				elements = { $(ip4 node) }
			}
			map no-endpoint-services {
				type ipv4_addr . inet_proto . inet_service : verdict
			}
			map no-endpoint-nodeports {
				type inet_proto . inet_service : verdict
			}
			map firewall-ips {
				type ipv4_addr . inet_proto . inet_service : verdict
			}
			map service-ips {
				type ipv4_addr . inet_proto . inet_service : verdict
				elements = { 203.0.113.1 . tcp . 80 : goto external-452DNVGS-shop/web/tcp/,
					     10.96.0.10 . tcp . 80 : goto service-452DNVGS-shop/web/tcp/ }
			}
			map service-nodeports {
				type inet_proto . inet_service : verdict
				elements = { tcp . 30080 : goto external-452DNVGS-shop/web/tcp/ }
			}
			chain filter-prerouting-pre-dnat {
				type filter hook prerouting priority dstnat - 10; policy accept;
				ct state new jump firewall-check
			}
			chain filter-output-pre-dnat {
				type filter hook output priority -110; policy accept;
				ct state new jump firewall-check
			}
			chain filter-input {
				type filter hook input priority filter; policy accept;
				ct state new jump nodeport-endpoints-check
				ct state new jump service-endpoints-check
			}
			chain filter-forward {
				type filter hook forward priority filter; policy accept;
				ct state new jump service-endpoints-check
				ct state new jump cluster-ips-check
			}
			chain filter-output {
				type filter hook output priority filter; policy accept;
				ct state new jump service-endpoints-check
				ct state new jump cluster-ips-check
			}
			chain nat-prerouting {
				type nat hook prerouting priority dstnat; policy accept;
				jump services
			}
			chain nat-output {
				type nat hook output priority -100; policy accept;
				jump services
			}
			chain nat-postrouting {
				type nat hook postrouting priority srcnat; policy accept;
				jump masquerading
			}
			chain nodeport-endpoints-check {
				ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
			}
			chain service-endpoints-check {
				ip daddr . meta l4proto . th dport vmap @no-endpoint-services
			}
			chain firewall-check {
				ip daddr . meta l4proto . th dport vmap @firewall-ips
			}
			chain services {
				ip daddr @cluster-ips ip saddr != 10.77.0.0/24 meta mark set meta mark | 0x00004000
				ip daddr . meta l4proto . th dport vmap @service-ips
				ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
			}
			chain masquerading {
				meta mark & 0x00004000 != 0x00000000 meta mark set meta mark ^ 0x00004000 masquerade fully-random
				ct status dnat ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random
			}
			chain cluster-ips-check {
				ip daddr @cluster-ips reject
				ip daddr 10.96.0.0/12 drop
			}
			chain service-452DNVGS-shop/web/tcp/ {
				meta l4proto tcp dnat ip to numgen random mod 1 map { 0 : $(ip4 b) . 8080 }
			}
			chain external-452DNVGS-shop/web/tcp/ {
				meta mark set meta mark | 0x00004000
				goto service-452DNVGS-shop/web/tcp/
			}
		}
	END
}

# kube_proxy MODE: its rules are there; iptables by either of its two tables.
kube_proxy() {
	case $1 in
	iptables) iptables_rules | in_ns node iptables-nft-restore ;;
	legacy) iptables_rules | in_ns node iptables-legacy-restore ;;
	nftables) nft_rules | in_ns node nft -f - ;;
	esac
	in_ns node sysctl -qw net.ipv4.ip_forward=1
}

kube_proxy_cleanup() {
	in_ns node nft flush ruleset
	in_ns node iptables-legacy -t nat -F
	in_ns node iptables-legacy -t nat -X
}

# Translated by Sidestep, by kube-proxy?
by_sidestep() { # CALLER ADDRESS
	call "$1" --count 3 "$2"
	check --arg address "$2" '.names == {a: 3} and .peer == $address'
}

by_kube_proxy() { # COMMAND... that calls
	try "$@"
	check '.names == {b: 3}'
}

# ---- side by side ------------------------------------------------------------------------------

side_by_side() { # MODE
	cluster
	kube_proxy "$1"

	# what it does alone, and what of it Sidestep never sees
	by_kube_proxy pod node "$TOOLS/caller" --count 3 10.96.0.10:80
	by_kube_proxy pod node "$TOOLS/caller" --count 3 203.0.113.1:80
	by_kube_proxy in_ns outside "$TOOLS/caller" --count 3 "$(ip4 node):30080"

	manifests "kube-proxy: beside" | load_on_node
	by_sidestep node 10.96.0.10:80
	by_sidestep node 203.0.113.1:80
	by_sidestep node "$(ip4 node):30080"
	by_sidestep node 127.0.0.1:30080
	by_sidestep client 10.96.0.10:80
	by_sidestep client "$(ip4 node):30080"
	by_kube_proxy in_ns outside "$TOOLS/caller" --count 3 "$(ip4 node):30080"
	show services shop/web
	check '.[0].counters | .opened == 18 and .failed == 0'

	# what Sidestep leaves is kube-proxy's again
	sidestep unload
	by_kube_proxy pod node "$TOOLS/caller" --count 3 10.96.0.10:80
	by_kube_proxy pod client "$TOOLS/caller" --count 3 "$(ip4 node):30080"
}

@test "beside kube-proxy, mode iptables" {
	side_by_side iptables
}

@test "beside kube-proxy, mode iptables on the kernel's older tables" {
	side_by_side legacy
}

@test "beside kube-proxy, mode nftables" {
	side_by_side nftables
}

@test "a service without endpoints is refused here, whatever kube-proxy's rules say" {
	cluster
	kube_proxy iptables
	manifests | sed 's/endpoints: .*/endpoints: []/' | load_on_node

	call node 10.96.0.10:80
	check '.errors == {ECONNREFUSED: 1}'
	call node "$(ip4 node):30080"
	check '.errors == {ECONNREFUSED: 1}'
}

# ---- what is there, against what was said ----------------------------------------------------

# daemon_on_node [SETTINGS OF THE NODE]
daemon_on_node() {
	manifests "$1" >"$CONF"
	background nsenter --net="${NS}node" "$SIDESTEP" run "${OPTIONS[@]}" -f "$CONF"
	DAEMON=$PID
	wait_until 20 daemon_answers || fail "no daemon: $(cat "${OUT[$DAEMON]}.err")"
	stats_fresh
}

# and the look that follows it
reload() {
	kill -HUP "$DAEMON"
	stats_fresh
}

# warns REGEX [TIMES]: status and doctor do, and the log has it as often
warns() {
	show status
	check --arg regex "$1" '[.warnings[] | select(test($regex))] | length == 1'
	try sidestep doctor -o json
	check --arg regex "$1" '[.problems[] | select(test($regex))] | length == 1'
	(($(grep -cE "warning: .*$1" "${OUT[$DAEMON]}.err") == ${2:-1}))
}

is_content() {
	show status
	check '.warnings == []'
}

@test "kube-proxy is beside, or it is told" {
	cluster
	kube_proxy nftables
	daemon_on_node "kube-proxy: beside"
	is_content
	[[ $(metric sidestep_kube_proxy_rules mode=nftables) == 1 ]]
	[[ $(metric sidestep_kube_proxy_rules) == 1 ]]
	[[ $(metric sidestep_kube_proxy_mismatch) == 0 ]]
	try in_ns node "$SIDESTEP" doctor "${OPTIONS[@]}"
	[[ $output == *$'\nkube-proxy    nftables\n'* ]]

	kube_proxy_cleanup
	reload
	warns "node.kube-proxy is 'beside', and there are no rules .*: nobody .* of 1 service$"
	reload
	warns "node.kube-proxy is 'beside', and there are no rules"
	[[ $(metric sidestep_kube_proxy_mismatch) == 1 ]]
	[[ $(metric sidestep_services_unserved_outside) == 1 ]]

	# once more when it comes back and goes
	kube_proxy iptables
	reload
	is_content
	kube_proxy_cleanup
	reload
	warns "node.kube-proxy is 'beside', and there are no rules" 2
}

@test "kube-proxy is replaced, or it is told" {
	cluster
	daemon_on_node "kube-proxy: replaced"
	warns "nobody on this node serves callers from outside of it at the node ports .* of 1 service$"

	kube_proxy legacy
	reload
	warns "node.kube-proxy is 'replaced', and there are rules of kube-proxy .iptables."
	[[ $(metric sidestep_kube_proxy_rules mode=iptables) == 1 ]]
	[[ $(metric sidestep_services_unserved_outside) == 0 ]]

	# a service that only this cluster calls needs nobody else
	kube_proxy_cleanup
	manifests "kube-proxy: replaced" | sed '/externalIPs/d; s/nodePort: 30080, //' | config
	reload
	is_content
	[[ $(metric sidestep_kube_proxy_mismatch) == 0 ]]
}

# ---- sockets in the shadow of a service ----------------------------------------------------------

@test "a socket of the node where a service is reached: the service wins, and it is told" {
	cluster
	kube_proxy nftables
	pod_bg node "$TOOLS/echoserver" --name shadow --greet 0.0.0.0:30080
	daemon_on_node "kube-proxy: beside"

	warns "listens at 0.0.0.0:30080/TCP, where service 'shop/web' is reached: who connects to .*:30080 on this node gets the service"
	[[ $(metric sidestep_service_ports_shadowing) == 2 ]]
	by_sidestep node "$(ip4 node):30080"
	by_sidestep node 127.0.0.1:30080
	# from outside kube-proxy comes first, too; without it the socket is reached
	by_kube_proxy in_ns outside "$TOOLS/caller" --count 3 "$(ip4 node):30080"
	kube_proxy_cleanup
	try in_ns outside "$TOOLS/caller" --count 3 "$(ip4 node):30080"
	check '.names == {shadow: 3}'
}

@test "an external address that is the node's own, and a socket there" {
	cluster
	kube_proxy iptables
	in_ns node ip address add 203.0.113.1/32 dev lo
	pod_bg node "$TOOLS/echoserver" --name shadow --greet 203.0.113.1:80
	daemon_on_node "kube-proxy: beside"

	warns "listens at 203.0.113.1:80/TCP"
	[[ $(metric sidestep_service_ports_shadowing) == 1 ]]
	by_sidestep node 203.0.113.1:80
}

@test "sockets of other network namespaces, and at other ports, are in nobody's shadow" {
	cluster
	kube_proxy iptables
	pod_bg client "$TOOLS/echoserver" --name own --greet 127.0.0.1:30080 "$(ip4 client):30080" \
		0.0.0.0:30081
	pod_bg node "$TOOLS/echoserver" --name own --greet 0.0.0.0:80 "$(ip4 node):30081"
	daemon_on_node "kube-proxy: beside"

	is_content
	[[ $(metric sidestep_service_ports_shadowing) == 0 ]]
	call client --count 3 127.0.0.1:30080
	check '.names == {own: 3}'
	call client --count 3 "$(ip4 client):30080"
	check '.names == {own: 3}'
	by_sidestep client "$(ip4 node):30080"
}

@test "explain knows whose 127.0.0.1 a node port is at" {
	cluster
	{
		manifests
		cat <<-END
			---
			workloads:
			  - { name: agent, labels: { app: agent }, netns: ${NS}node }
			  - { name: pod, labels: { app: pod }, netns: ${NS}client, addresses: [ $(ip4 client) ] }
			  - { name: a, labels: { app: a }, netns: ${NS}a, addresses: [ $(ip4 a) ] }
			policies:
			  - { name: a, subject: { app: a }, isolate: [ ingress ] }
		END
	} | sed '1,2d' | load_on_node

	call node 127.0.0.1:30080
	check '.errors == {EPERM: 1}'
	try sidestep explain agent 127.0.0.1 30080
	[[ $status == 5 && $output == *"shop/web"* ]]
	call client 127.0.0.1:30080
	check '.errors == {ECONNREFUSED: 1}'
	try sidestep explain pod 127.0.0.1 30080
	[[ $status == 0 && $output == *"a workload reaches itself"* ]]
	[[ $stderr == "127.0.0.1: each network namespace has its own: taken for the caller's, while service 'shop/web' is at the node's" ]]
	# at the node's other addresses it is the service for both
	call client "$(ip4 node):30080"
	check '.errors == {EPERM: 1}'
	try sidestep explain pod "$(ip4 node)" 30080
	[[ $status == 5 && -z $stderr ]]
}
