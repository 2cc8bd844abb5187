// SPDX-License-Identifier: Apache-2.0
/*
 * The services of the benchmark (vips.h) as kube-proxy writes them for iptables and for nftables, as
 * Sidestep's file, and as the API server's objects. tests/kubernetes/kube-proxy.bats holds the first
 * two against what the real kube-proxy puts into the kernel for the last.
 *
 * Service I is called s<I>, the one of UDP dns; it stands in the middle. A change moves one endpoint
 * of one service: what kube-proxy writes then is a part of it all. See usage().
 */
#include <arpa/inet.h>
#include <inttypes.h>

#include "../tools/tool.h"
#include "vips.h"

#define ENDPOINTS     VIP_ENDPOINTS
#define NAME_SIZE     96
#define NAMESPACE     "bench"
#define NAME_AT       (int)sizeof(NAMESPACE) /* of a service in namespace/service:port */
#define LARGE_CLUSTER 1000                   /* endpoints; above, kube-proxy leaves comments away */
#define CLUSTER_CIDR  "10.128.0.0/9"

struct port {
	uint32_t index;
	const char *protocol;
	unsigned port;
	char address[INET_ADDRSTRLEN];
	char name[NAME_SIZE]; /* namespace/service:port */
	char endpoints[ENDPOINTS][INET_ADDRSTRLEN];
};

static uint32_t n_services;
static bool comments;       /* of endpoints */
static uint32_t version;    /* how often the first service's last endpoint has moved */
static uint32_t first, end; /* numbers of services that are new; others are known already */

/* ---- what there is ------------------------------------------------------------------------ */

static void print_address(char *text, uint32_t address)
{
	struct in_addr in = { .s_addr = htonl(address) };

	inet_ntop(AF_INET, &in, text, INET_ADDRSTRLEN);
}

/* The last endpoint moves with each version. */
static void place_endpoints(struct port *port, bool moved)
{
	for (uint32_t i = 0; i < ENDPOINTS; i++) {
		uint32_t by = moved && i == ENDPOINTS - 1 ? version % 3 : 0;

		print_address(port->endpoints[i], vip_endpoint(port->index, i) + by);
	}
}

static struct port service_of(uint32_t index)
{
	struct port port = { .index = index, .protocol = "tcp", .port = VIP_PORT };

	snprintf(port.name, sizeof(port.name), NAMESPACE "/s%" PRIu32 ":p", index);
	print_address(port.address, vip(index));
	place_endpoints(&port, index == 0);
	return port;
}

static struct port dns(void)
{
	struct port port = { .index = VIP_DNS_INDEX, .protocol = "udp", .port = VIP_DNS_PORT };

	snprintf(port.name, sizeof(port.name), NAMESPACE "/dns:p");
	print_address(port.address, VIP_DNS);
	place_endpoints(&port, false);
	return port;
}

static void for_each(void (*write)(const struct port *port))
{
	for (uint32_t i = 0; i < n_services; i++) {
		struct port port = service_of(i);

		if (i == n_services / 2) {
			struct port middle = dns();

			write(&middle);
		}
		write(&port);
	}
}

/* ---- names of chains ------------------------------------------------------------------------
 *
 * They begin with SHA-256 in base32 (FIPS 180-4, RFC 4648). */

static uint32_t rotate(uint32_t word, unsigned bits)
{
	return word >> bits | word << (32 - bits);
}

static void mix(uint32_t state[8], const uint8_t block[64])
{
	static const uint32_t k[64] = {
		0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
		0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
		0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
		0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
		0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
		0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
		0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
		0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
		0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
		0xc67178f2,
	};
	uint32_t w[64], s[8];

	for (unsigned i = 0; i < 16; i++)
		w[i] = (uint32_t)block[i * 4] << 24 | block[i * 4 + 1] << 16 |
		       block[i * 4 + 2] << 8 | block[i * 4 + 3];
	for (unsigned i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		       (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(s, state, sizeof(s));
	for (unsigned i = 0; i < 64; i++) {
		uint32_t a = s[7] + k[i] + w[i] + ((s[4] & s[5]) ^ (~s[4] & s[6])) +
			     (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25));
		uint32_t b = ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2])) +
			     (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22));

		memmove(s + 1, s, sizeof(s) - sizeof(*s));
		s[4] += a;
		s[0] = a + b;
	}
	for (unsigned i = 0; i < 8; i++)
		state[i] += s[i];
}

/* The first n letters, at most 16, of the hash in base32. */
static void hash_text(const char *text, unsigned n, char *letters)
{
	uint32_t state[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	size_t len = strlen(text), size = (len + 9 + 63) / 64 * 64;
	uint8_t data[256] = {};

	if (size > sizeof(data))
		tool_exit(EXIT_FAILURE, "'%s' is too long", text);
	memcpy(data, text, len);
	data[len] = 0x80;
	data[size - 2] = (uint8_t)(len * 8 >> 8);
	data[size - 1] = (uint8_t)(len * 8);
	for (size_t i = 0; i < size; i += 64)
		mix(state, data + i);
	for (unsigned i = 0; i < n; i++) {
		unsigned bit = i * 5, word = bit / 32;
		uint64_t two = (uint64_t)state[word] << 32 | state[word + 1];

		letters[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[two >> (59 - bit % 32) & 31];
	}
	letters[n] = '\0';
}

/* KUBE-SVC-..., of iptables; for an endpoint KUBE-SEP-... */
static const char *chain_of(char *chain, const struct port *port, const char *endpoint)
{
	char text[2 * NAME_SIZE];

	snprintf(text, sizeof(text), "%s%s%s%s", port->name, port->protocol,
		 endpoint ? endpoint : "", endpoint ? ":8080" : "");
	memcpy(chain, endpoint ? "KUBE-SEP-" : "KUBE-SVC-", 9);
	hash_text(text, 16, chain + 9);
	return chain;
}

/* HASH-namespace/service/protocol/port, of nftables. */
static const char *nft_name(char *name, const struct port *port)
{
	int len = (int)strcspn(port->name, ":");
	char text[NAME_SIZE - 9];

	snprintf(text, sizeof(text), "%.*s/%s/%s", len, port->name, port->protocol,
		 port->name + len + 1);
	hash_text(text, 8, name);
	snprintf(name + 8, NAME_SIZE - 8, "-%s", text);
	return name;
}

/* ---- iptables ------------------------------------------------------------------------------- */

/* What leads to kube-proxy's chains, by one command each in the order in which it comes to lie. */
static const char filter_jumps[] =
	":KUBE-EXTERNAL-SERVICES - [0:0]\n:KUBE-FIREWALL - [0:0]\n:KUBE-FORWARD - [0:0]\n"
	":KUBE-NODEPORTS - [0:0]\n:KUBE-PROXY-CANARY - [0:0]\n:KUBE-PROXY-FIREWALL - [0:0]\n"
	":KUBE-SERVICES - [0:0]\n"
	"-A INPUT -j KUBE-FIREWALL\n"
	"-A INPUT -m conntrack --ctstate NEW -m comment --comment "
	"\"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL\n"
	"-A INPUT -m comment --comment \"kubernetes health check service ports\" -j KUBE-NODEPORTS\n"
	"-A INPUT -m conntrack --ctstate NEW -m comment --comment "
	"\"kubernetes externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES\n"
	"-A FORWARD -m conntrack --ctstate NEW -m comment --comment "
	"\"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL\n"
	"-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD\n"
	"-A FORWARD -m conntrack --ctstate NEW -m comment --comment "
	"\"kubernetes service portals\" -j KUBE-SERVICES\n"
	"-A FORWARD -m conntrack --ctstate NEW -m comment --comment "
	"\"kubernetes externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES\n"
	"-A OUTPUT -j KUBE-FIREWALL\n"
	"-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "
	"\"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL\n"
	"-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "
	"\"kubernetes service portals\" -j KUBE-SERVICES\n"
	"-A KUBE-FIREWALL -m comment --comment \"block incoming localnet connections\" -d 127.0.0.0/8 "
	"! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\n";

static const char nat_jumps[] =
	":KUBE-PROXY-CANARY - [0:0]\n"
	":KUBE-SERVICES - [0:0]\n:KUBE-POSTROUTING - [0:0]\n"
	"-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
	"-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
	"-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n";

/* These are in each restore. Without what counts dropped packets (nfacct), which kube-proxy leaves
 * away where the kernel lacks it. */
static const char filter_chains[] =
	":KUBE-SERVICES - [0:0]\n:KUBE-EXTERNAL-SERVICES - [0:0]\n:KUBE-FORWARD - [0:0]\n"
	":KUBE-NODEPORTS - [0:0]\n:KUBE-PROXY-FIREWALL - [0:0]\n";

static const char filter_rules[] =
	"-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n"
	"-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" "
	"-m mark --mark 0x00004000/0x00004000 -j ACCEPT\n"
	"-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding conntrack rule\" "
	"-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n";

static const char nat_chains[] = ":KUBE-SERVICES - [0:0]\n:KUBE-NODEPORTS - [0:0]\n"
				 ":KUBE-POSTROUTING - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n";

static const char nat_rules[] =
	"-A KUBE-POSTROUTING -m mark ! --mark 0x00004000/0x00004000 -j RETURN\n"
	"-A KUBE-POSTROUTING -j MARK --xor-mark 0x00004000\n"
	"-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" "
	"-j MASQUERADE --random-fully\n"
	"-A KUBE-MARK-MASQ -j MARK --or-mark 0x00004000\n";

static const char nat_end[] =
	"-A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports; NOTE: this must be the "
	"last rule in this chain\" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n";

static bool is_new(const struct port *port)
{
	return port->index >= first && port->index < end;
}

static void write_chains(const struct port *port)
{
	char chain[NAME_SIZE];

	if (!is_new(port))
		return;
	printf(":%s - [0:0]\n", chain_of(chain, port, NULL));
	for (unsigned i = 0; i < ENDPOINTS; i++)
		printf(":%s - [0:0]\n", chain_of(chain, port, port->endpoints[i]));
}

static void write_jump(const struct port *port)
{
	char chain[NAME_SIZE];

	printf("-A KUBE-SERVICES -m comment --comment \"%s cluster IP\" -m %s -p %s -d %s --dport %u "
	       "-j %s\n",
	       port->name, port->protocol, port->protocol, port->address, port->port,
	       chain_of(chain, port, NULL));
}

static void write_choice(const struct port *port, const char *chain)
{
	char to[NAME_SIZE];

	printf("-A %s -m comment --comment \"%s cluster IP\" -m %s -p %s -d %s --dport %u "
	       "! -s " CLUSTER_CIDR " -j KUBE-MARK-MASQ\n",
	       chain, port->name, port->protocol, port->protocol, port->address, port->port);
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		printf("-A %s", chain);
		if (comments)
			printf(" -m comment --comment \"%s -> %s:8080\"", port->name,
			       port->endpoints[i]);
		if (i + 1 < ENDPOINTS)
			printf(" -m statistic --mode random --probability %.10f",
			       1.0 / (ENDPOINTS - i));
		printf(" -j %s\n", chain_of(to, port, port->endpoints[i]));
	}
}

static void write_endpoint(const struct port *port, const char *endpoint)
{
	char chain[NAME_SIZE], head[3 * NAME_SIZE];

	snprintf(head, sizeof(head), "-A %s%s%s", chain_of(chain, port, endpoint),
		 comments ? " -m comment --comment " : "", comments ? port->name : "");
	printf("%s -s %s -j KUBE-MARK-MASQ\n", head, endpoint);
	printf("%s -m %s -p %s -j DNAT --to-destination %s:8080\n", head, port->protocol,
	       port->protocol, endpoint);
}

static void write_rules(const struct port *port)
{
	char chain[NAME_SIZE];

	write_choice(port, chain_of(chain, port, NULL));
	for (unsigned i = 0; i < ENDPOINTS; i++)
		write_endpoint(port, port->endpoints[i]);
}

static void write_jump_and_rules(const struct port *port)
{
	write_jump(port);
	if (is_new(port))
		write_rules(port);
}

/* All jumps, and the chains of what is new. */
static void write_restore(void)
{
	printf("*filter\n%s%sCOMMIT\n*nat\n%s", filter_chains, filter_rules, nat_chains);
	for_each(write_chains);
	fputs(nat_rules, stdout);
	for_each(write_jump_and_rules);
	printf("%sCOMMIT\n", nat_end);
}

static void write_iptables(uint32_t known)
{
	first = known;
	end = known ? n_services : VIP_DNS_INDEX + 1;
	if (!known)
		printf("*mangle\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n*filter\n%sCOMMIT\n"
		       "*nat\n%sCOMMIT\n",
		       filter_jumps, nat_jumps);
	write_restore();
}

static void write_iptables_change(uint32_t moved)
{
	version = moved;
	end = 1;
	write_restore();
}

/* ---- nftables ------------------------------------------------------------------------------- */

#define TABLE "ip kube-proxy"

/* What does not depend on services. % stands for the table. */
static const char nft_head[] =
	"add table % { comment \"rules for kube-proxy\" ; }\n"
	"add chain % filter-prerouting-pre-dnat { type filter hook prerouting priority "
	"-110 ; }\n"
	"flush chain % filter-prerouting-pre-dnat\n"
	"add chain % filter-output-pre-dnat { type filter hook output priority -110 ; }\n"
	"flush chain % filter-output-pre-dnat\n"
	"add chain % filter-input { type filter hook input priority 0 ; }\n"
	"flush chain % filter-input\n"
	"add chain % filter-forward { type filter hook forward priority 0 ; }\n"
	"flush chain % filter-forward\n"
	"add chain % filter-output { type filter hook output priority 0 ; }\n"
	"flush chain % filter-output\n"
	"add chain % nat-prerouting { type nat hook prerouting priority -100 ; }\n"
	"flush chain % nat-prerouting\n"
	"add chain % nat-output { type nat hook output priority -100 ; }\n"
	"flush chain % nat-output\n"
	"add chain % nat-postrouting { type nat hook postrouting priority 100 ; }\n"
	"flush chain % nat-postrouting\n"
	"add chain % nodeport-endpoints-check\n"
	"flush chain % nodeport-endpoints-check\n"
	"add rule % filter-input ct state new jump nodeport-endpoints-check\n"
	"add chain % service-endpoints-check\n"
	"flush chain % service-endpoints-check\n"
	"add rule % filter-input ct state new jump service-endpoints-check\n"
	"add rule % filter-forward ct state new jump service-endpoints-check\n"
	"add rule % filter-output ct state new jump service-endpoints-check\n"
	"add chain % firewall-check\n"
	"flush chain % firewall-check\n"
	"add rule % filter-prerouting-pre-dnat ct state new jump firewall-check\n"
	"add rule % filter-output-pre-dnat ct state new jump firewall-check\n"
	"add chain % services\n"
	"flush chain % services\n"
	"add rule % nat-output jump services\n"
	"add rule % nat-prerouting jump services\n"
	"add chain % masquerading\n"
	"flush chain % masquerading\n"
	"add rule % nat-postrouting jump masquerading\n"
	"add chain % cluster-ips-check\n"
	"flush chain % cluster-ips-check\n"
	"add rule % filter-forward ct state new jump cluster-ips-check\n"
	"add rule % filter-output ct state new jump cluster-ips-check\n"
	"add set % hairpin-connections { type ipv4_addr . ipv4_addr . inet_proto . "
	"inet_service ; comment \"service hairpin connections\" ; }\n"
	"add rule % masquerading mark and 0x00004000 != 0 mark set mark xor 0x00004000 "
	"masquerade fully-random\n"
	"add rule % masquerading ct status dnat ip saddr . ip daddr . meta l4proto . th "
	"dport @hairpin-connections masquerade fully-random\n"
	"add set % cluster-ips { type ipv4_addr ; comment \"Active ClusterIPs\" ; }\n"
	"add rule % cluster-ips-check ip daddr @cluster-ips reject comment \"Reject "
	"traffic to invalid ports of ClusterIPs\"\n"
	"add rule % cluster-ips-check ip daddr { 10.96.0.0/16 } drop comment \"Drop "
	"traffic to unallocated ClusterIPs\"\n"
	"add set % nodeport-ips { type ipv4_addr ; comment \"IPs that accept NodePort "
	"traffic\" ; }\n"
	"flush set % nodeport-ips\n"
	"add map % no-endpoint-services { type ipv4_addr . inet_proto . inet_service : "
	"verdict ; comment \"vmap to drop or reject packets to services with no "
	"endpoints\" ; }\n"
	"add map % no-endpoint-nodeports { type inet_proto . inet_service : verdict ; "
	"comment \"vmap to drop or reject packets to service nodeports with no "
	"endpoints\" ; }\n"
	"add chain % reject-chain { comment \"helper for @no-endpoint-services / "
	"@no-endpoint-nodeports\" ; }\n"
	"flush chain % reject-chain\n"
	"add rule % reject-chain reject\n"
	"add rule % service-endpoints-check ip daddr . meta l4proto . th dport vmap "
	"@no-endpoint-services\n"
	"add rule % nodeport-endpoints-check ip daddr @nodeport-ips meta l4proto . th "
	"dport vmap @no-endpoint-nodeports\n"
	"add map % firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict ; "
	"comment \"destinations that are subject to LoadBalancerSourceRanges\" ; }\n"
	"add rule % firewall-check ip daddr . meta l4proto . th dport vmap @firewall-ips\n"
	"add map % service-ips { type ipv4_addr . inet_proto . inet_service : verdict ; "
	"comment \"ClusterIP, ExternalIP and LoadBalancer IP traffic\" ; }\n"
	"add map % service-nodeports { type inet_proto . inet_service : verdict ; "
	"comment \"NodePort traffic\" ; }\n"
	"add rule % services ip daddr @cluster-ips ip saddr != 10.128.0.0/9 mark set "
	"mark or 0x00004000 comment \"masquerade clusterIP traffic from outside cluster\"\n"
	"add rule % services ip daddr . meta l4proto . th dport vmap @service-ips\n"
	"add rule % services ip daddr @nodeport-ips meta l4proto . th dport vmap "
	"@service-nodeports\n";

static void write_nft_head(void)
{
	for (const char *c = nft_head; *c; c++) {
		if (*c == '%')
			fputs(TABLE, stdout);
		else
			putchar(*c);
	}
}

static void write_nft_chain(const struct port *port)
{
	char name[NAME_SIZE];

	nft_name(name, port);
	printf("add chain " TABLE " service-%s\nflush chain " TABLE " service-%s\n", name, name);
}

static void write_nft_rule(const struct port *port)
{
	char name[NAME_SIZE];

	printf("add rule " TABLE " service-%s meta l4proto %s dnat ip addr . port to "
	       "numgen random mod %d map {",
	       nft_name(name, port), port->protocol, ENDPOINTS);
	for (unsigned i = 0; i < ENDPOINTS; i++)
		printf("%s %u : %s . 8080", i ? " ," : "", i, port->endpoints[i]);
	printf(" }\n");
}

static void write_nft_service(const struct port *port)
{
	char name[NAME_SIZE];

	write_nft_chain(port);
	printf("add element " TABLE " cluster-ips { %s }\n", port->address);
	printf("add element " TABLE " service-ips { %s . %s . %u : goto service-%s }\n",
	       port->address, port->protocol, port->port, nft_name(name, port));
	write_nft_rule(port);
}

static void write_nftables(uint32_t unused)
{
	(void)unused;
	write_nft_head();
	for_each(write_nft_service);
}

static void write_nftables_change(uint32_t moved)
{
	struct port port;

	version = moved;
	port = service_of(0);
	write_nft_chain(&port);
	write_nft_rule(&port);
}

/* ---- Sidestep ------------------------------------------------------------------------------- */

static void write_entry(const struct port *port)
{
	int len = (int)strcspn(port->name, ":");

	printf("  - { name: %.*s, address: %s, port: %u, protocol: %s, target: 8080, "
	       "endpoints: [",
	       len - NAME_AT, port->name + NAME_AT, port->address, port->port,
	       strcmp(port->protocol, "tcp") ? "UDP" : "TCP");
	for (unsigned i = 0; i < ENDPOINTS; i++)
		printf("%s { address: %s }", i ? "," : "", port->endpoints[i]);
	printf(" ] }\n");
}

static void write_sidestep(uint32_t moved)
{
	version = moved;
	printf("services:\n");
	for_each(write_entry);
}

static void write_sidestep_change(uint32_t moved)
{
	struct port port;

	version = moved;
	port = service_of(0);
	printf("services:\n");
	write_entry(&port);
}

/* ---- the API server's objects --------------------------------------------------------------- */

/* One a line, with the path to create it at. */
static void write_objects_of(const struct port *port)
{
	const char *protocol = strcmp(port->protocol, "tcp") ? "UDP" : "TCP";
	int len = (int)strcspn(port->name, ":") - NAME_AT;
	const char *name = port->name + NAME_AT;

	printf("{\"path\":\"/api/v1/namespaces/" NAMESPACE
	       "/services\",\"object\":{\"apiVersion\":\"v1\","
	       "\"kind\":\"Service\",\"metadata\":{\"name\":\"%.*s\"},\"spec\":{\"clusterIP\":\"%s\","
	       "\"ports\":[{\"name\":\"p\",\"port\":%u,\"protocol\":\"%s\"}]}}}\n",
	       len, name, port->address, port->port, protocol);
	printf("{\"path\":\"/apis/discovery.k8s.io/v1/namespaces/" NAMESPACE
	       "/endpointslices\",\"object\":{"
	       "\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{"
	       "\"name\":\"%.*s\",\"labels\":{\"kubernetes.io/service-name\":\"%.*s\"}},"
	       "\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"p\",\"port\":8080,\"protocol\":\"%s\"}],"
	       "\"endpoints\":[",
	       len, name, len, name, protocol);
	for (unsigned i = 0; i < ENDPOINTS; i++)
		printf("%s{\"addresses\":[\"%s\"]}", i ? "," : "", port->endpoints[i]);
	printf("]}}\n");
}

static void write_objects(uint32_t moved)
{
	version = moved;
	for_each(write_objects_of);
}

/* ---- options -------------------------------------------------------------------------------- */

static const struct form {
	const char *name;
	void (*write)(uint32_t number);
} forms[] = {
	{ "iptables", write_iptables }, { "iptables-change", write_iptables_change },
	{ "nftables", write_nftables }, { "nftables-change", write_nftables_change },
	{ "sidestep", write_sidestep }, { "sidestep-change", write_sidestep_change },
	{ "objects", write_objects },
};

__attribute__((noreturn)) static void usage(void)
{
	tool_exit(
		EXIT_USAGE,
		"usage: ruleset FORM N [NUMBER]\n"
		"  iptables           for iptables-restore --noflush --counters; NUMBER: services\n"
		"                     that it has already, with dns\n"
		"  nftables           for nft -f\n"
		"  sidestep           a file\n"
		"  objects            of the API server, one a line\n"
		"  iptables-change, nftables-change, sidestep-change\n"
		"                     a moved endpoint; the last has that service only\n"
		"NUMBER: of changes, sidestep and objects how often it has moved, 0 to 2.");
}

int main(int argc, char **argv)
{
	uint32_t number;

	if (argc < 3 || argc > 4)
		usage();
	n_services = (uint32_t)tool_number("N", argv[2]);
	number = argc > 3 ? (uint32_t)tool_number("NUMBER", argv[3]) : 0;
	if (!n_services || n_services > VIPS_MAX)
		usage();
	comments = (n_services + 1) * ENDPOINTS <= LARGE_CLUSTER;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (strcmp(forms[i].name, argv[1]))
			continue;
		forms[i].write(number);
		return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	usage();
}
