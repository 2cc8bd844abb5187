/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services, EndpointSlices and Nodes as manifests, and what they come to. Each row names whose
 * rule it is: a function of kube-proxy (pkg/proxy), or a KEP.
 */
#include "yaml_fixture.h"

#include <arpa/inet.h>

/* ---- a model as a text ------------------------------------------------------------- */

static void tell_fronts(struct text *text, const struct model_service *service,
			const struct model_port *port)
{
	char buf[ADDRESS_TEXT_MAX];
	struct model_front front;

	for (size_t i = 0; i < model_fronts(service); i++) {
		if (!model_front(service, port, i, &front))
			continue;
		text_add(text, " %s", address_port_format(&front.address, htons(front.port), buf));
		if (front.netns)
			text_add(text, "@%u", (unsigned)front.netns);
	}
}

/* "-" gets no connections, "~" neither, as it ends. */
static void tell_port(struct text *text, const struct model_service *service,
		      const struct model_port *port)
{
	char buf[ADDRESS_TEXT_MAX];

	text_add(text, " %s%s%s at", port->name, *port->name ? "/" : "",
		 protocol_name(port->protocol));
	tell_fronts(text, service, port);
	text_add(text, ":");
	for (size_t i = 0; i < port->n_endpoints; i++) {
		const struct model_endpoint *endpoint = &port->endpoints[i];

		text_add(text, " %s%s",
			 address_port_format(&endpoint->address, htons(endpoint->port), buf),
			 endpoint->draining ? "~"
			 : endpoint->ready  ? ""
					    : "-");
	}
	text_add(text, "\n");
}

static void tell_service(struct text *text, const struct model_service *service)
{
	text_add(text, "%s", service->name);
	if (service->affinity_s)
		text_add(text, " affinity %u", service->affinity_s);
	if (service->exposed)
		text_add(text, " exposed");
	text_add(text, "\n");
	for (size_t i = 0; i < service->n_ports; i++)
		tell_port(text, service, &service->ports[i]);
}

/* The node's name is "here", its namespace has cookie 77. */
static int load_here(const char *yaml, struct problems *problems, struct model **ret)
{
	struct sst_addr own[2];
	const struct model_host host = {
		.name = (char *)"here",
		.addresses = own,
		.n_addresses = 2,
		.netns = 77,
	};

	assert_int_equal(address_parse("192.0.2.1", &own[0]), 0);
	assert_int_equal(address_parse("2001:db8::1", &own[1]), 0);
	return yaml_load_text("t.yaml", yaml, strlen(yaml), &host, problems, ret);
}

struct row {
	const char *rule;
	const char *yaml;
	const char *expected;
};

static void check_row(const struct row *row)
{
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_model_ struct model *model = NULL;
	_cleanup_text_ struct text text = { 0 };
	int r = load_here(row->yaml, &problems, &model);

	for (size_t i = 0; model && i < model->n_services; i++)
		tell_service(&text, &model->services[i]);
	if (r || problems.count || strcmp(text_string(&text), row->expected))
		print_error("%s\n%s\n%s\n", row->rule, row->yaml,
			    problems.count ? problems.text[0] : "");
	assert_string_equal(text_string(&text), row->expected);
	assert_int_equal(problems.count, 0);
	assert_int_equal(r, 0);
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_row(&rows[i]);
}
#define CHECK_ROWS(rows) check_rows(rows, ARRAY_SIZE(rows))

/* ---- manifests --------------------------------------------------------------------- */

#define OBJECT_NAMED(version, kind, metadata, more)                                       \
	"{ apiVersion: " version ", kind: " kind ",\n  metadata: { " metadata " }, " more \
	" }\n---\n"

#define META          "name: web, namespace: shop"
#define SERVICE(spec) OBJECT_NAMED("v1", "Service", META, "spec: { " spec " }")
#define LABELLED(l, spec) \
	OBJECT_NAMED("v1", "Service", META ", labels: { " l " }", "spec: { " spec " }")
#define SERVICE_STATUS(spec, status) \
	OBJECT_NAMED("v1", "Service", META, "spec: { " spec " }, status: { " status " }")

#define SLICE_OF(namespace, labels, type, ports, endpoints)                                       \
	OBJECT_NAMED("discovery.k8s.io/v1", "EndpointSlice",                                      \
		     "name: web-x, namespace: " namespace ", labels: { " labels " }",             \
		     "addressType: " type ",\n  ports: [ " ports " ],\n  endpoints: [ " endpoints \
		     " ]")

#define WEB                      "kubernetes.io/service-name: web"
#define SLICE(ports, endpoints)  SLICE_OF("shop", WEB, "IPv4", ports, endpoints)
#define SLICE6(ports, endpoints) SLICE_OF("shop", WEB, "IPv6", ports, endpoints)

#define NODE(name, labels, addresses)                                        \
	OBJECT_NAMED("v1", "Node", "name: " name ", labels: { " labels " }", \
		     "status: { addresses: [ " addresses " ] }")
#define IN_ZONE_A NODE("here", "topology.kubernetes.io/zone: a", "")

/* With one port, which needs no name. */
#define CLUSTER_IP "clusterIP: 10.96.0.1, clusterIPs: [ 10.96.0.1 ], "
#define PORT       "ports: [ { port: 80, targetPort: 8080 } ]"
#define NODE_PORT  "type: NodePort, ports: [ { port: 80, nodePort: 30080 } ]"
#define TO         "{ name: '', port: 8080, protocol: TCP }"

#define EP(n)       "{ addresses: [ 10.1.0." n " ] }"
#define EP_IS(n, x) "{ addresses: [ 10.1.0." n " ], " x " }"
#define IS(r, s, t) "conditions: { ready: " r ", serving: " s ", terminating: " t " }"
#define READY       IS("true", "true", "false")
#define UNREADY     IS("false", "false", "false")
#define ENDING      IS("false", "true", "true")
#define ENDED       IS("false", "false", "true")
#define AT(node)    "nodeName: " node
#define ZONES(z)    "hints: { forZones: [ " z " ] }"
#define NODES(n, z) "hints: { forNodes: [ " n " ], forZones: [ " z " ] }"

#define WEB_AT " TCP at 10.96.0.1:80:"

/* ---- addresses --------------------------------------------------------------------- */

static void test_addresses(void **unused UNUSED)
{
	static const struct row rows[] = {
		{ "one cluster IP: GetClusterIPByFamily()",
		  SERVICE(CLUSTER_IP PORT) SLICE(TO, EP("2") ", " EP("3")),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080 10.1.0.3:8080\n" },
		{ "clusterIP alone, as before dual stack: GetClusterIPByFamily()",
		  SERVICE("clusterIP: 10.96.0.1, " PORT) SLICE(TO, EP("2")),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n" },
		{ "IPv6: GetClusterIPByFamily()",
		  SERVICE("clusterIP: 'fd96::1', " PORT) SLICE6(TO, "{ addresses: [ 'fd77::2' ] }"),
		  "shop/web\n TCP at [fd96::1]:80: [fd77::2]:8080\n" },
		{ "dual stack: KEP-563",
		  SERVICE("clusterIPs: [ 10.96.0.1, 'fd96::1' ], " PORT) SLICE(TO, EP("2"))
			  SLICE6(TO, "{ addresses: [ 'fd77::2' ] }"),
		  "shop/web\n TCP at 10.96.0.1:80 [fd96::1]:80: 10.1.0.2:8080 [fd77::2]:8080\n" },
		{ "endpoints of a family that the service has not: addEndpoints()",
		  SERVICE(CLUSTER_IP PORT) SLICE6(TO, "{ addresses: [ 'fd77::2' ] }"),
		  "shop/web\n" WEB_AT "\n" },
		{ "headless: ShouldSkipService()",
		  SERVICE("clusterIP: None, clusterIPs: [ None ], " PORT) SLICE(TO, EP("2")), "" },
		{ "no cluster IP: ShouldSkipService()", SERVICE("clusterIP: '', " PORT), "" },
		{ "ExternalName: ShouldSkipService()",
		  SERVICE("type: ExternalName, externalName: example.org"), "" },
		{ "external IPs of the service's families: newBaseServiceInfo()",
		  SERVICE(CLUSTER_IP PORT ", externalIPs: [ 203.0.113.1, '2001:db8::5' ]")
			  SLICE(TO, EP("2")),
		  "shop/web exposed\n TCP at 10.96.0.1:80 203.0.113.1:80: 10.1.0.2:8080\n" },
		{ "a load balancer's addresses, but where it is a proxy: KEP-1860",
		  SERVICE_STATUS(
			  CLUSTER_IP PORT ", type: LoadBalancer",
			  "loadBalancer: { ingress: [ { ip: 203.0.113.1 },\n"
			  "  { ip: 203.0.113.2, ipMode: VIP }, { hostname: x.example.org },\n"
			  "  { ip: 203.0.113.3, ipMode: Proxy } ] }") SLICE(TO, EP("2")),
		  "shop/web exposed\n TCP at 10.96.0.1:80 203.0.113.1:80 203.0.113.2:80: 10.1.0.2:8080\n" },
		{ "an address that is named twice: newBaseServiceInfo()",
		  SERVICE_STATUS(CLUSTER_IP PORT ", externalIPs: [ 203.0.113.1 ]",
				 "loadBalancer: { ingress: [ { ip: 203.0.113.1 } ] }"),
		  "shop/web exposed\n TCP at 10.96.0.1:80 203.0.113.1:80:\n" },
		{ "who may use a load balancer is left to who sees the source: KUBE-FW chains",
		  SERVICE_STATUS(CLUSTER_IP PORT ", loadBalancerSourceRanges: [ 198.51.100.0/24 ]",
				 "loadBalancer: { ingress: [ { ip: 203.0.113.1 } ] }"),
		  "shop/web\n" WEB_AT "\n" },
		{ "node ports at the node's addresses and its 127.0.0.1, not ::1: syncProxyRules()",
		  SERVICE("clusterIPs: [ 10.96.0.1, 'fd96::1' ], " NODE_PORT) SLICE(TO, EP("2")),
		  "shop/web exposed\n TCP at 10.96.0.1:80 [fd96::1]:80 192.0.2.1:30080 "
		  "[2001:db8::1]:30080 127.0.0.1:30080@77: 10.1.0.2:8080\n" },
		{ "node ports in the service's families only: newBaseServiceInfo()",
		  SERVICE("clusterIP: 'fd96::1', " NODE_PORT),
		  "shop/web exposed\n TCP at [fd96::1]:80 [2001:db8::1]:30080:\n" },
		{ "node ports at the addresses that the node's object tells",
		  NODE("here", "",
		       "{ type: Hostname, address: here },\n"
		       "  { type: InternalIP, address: 192.0.2.7 },\n"
		       "  { type: ExternalIP, address: 203.0.113.7 }")
			  NODE("there", "", "{ type: InternalIP, address: 192.0.2.8 }")
				  SERVICE(CLUSTER_IP NODE_PORT),
		  "shop/web exposed\n TCP at 10.96.0.1:80 192.0.2.7:30080 127.0.0.1:30080@77:\n" },
		{ "another proxy's: service.kubernetes.io/service-proxy-name",
		  LABELLED("service.kubernetes.io/service-proxy-name: other", CLUSTER_IP PORT),
		  "" },
		{ "service.kubernetes.io/headless on a service",
		  LABELLED("service.kubernetes.io/headless: ''", CLUSTER_IP PORT), "" },
	};

	CHECK_ROWS(rows);
}

/* ---- ports ------------------------------------------------------------------------- */

#define TWO_PORTS                                                                     \
	"ports: [ { name: http, port: 80, targetPort: web }, { name: dns, port: 53, " \
	"protocol: UDP } ]"

static void test_ports(void **unused UNUSED)
{
	static const struct row rows[] = {
		{ "several, with named targets that the slices resolve: ServicePortName",
		  SERVICE(CLUSTER_IP TWO_PORTS) SLICE("{ name: http, port: 8080 }, "
						      "{ name: dns, port: 5353, protocol: UDP }",
						      EP("2"))
			  SLICE("{ name: http, port: 8081 }", EP("3")),
		  "shop/web\n http/TCP at 10.96.0.1:80: 10.1.0.2:8080 10.1.0.3:8081\n"
		  " dns/UDP at 10.96.0.1:53: 10.1.0.2:5353\n" },
		{ "targets by the port's name, not by its number: ServicePortName",
		  SERVICE(CLUSTER_IP "ports: [ { name: a, port: 80 }, { name: b, port: 8080 } ]")
			  SLICE("{ name: b, port: 80 }, { name: a, port: 8080 }", EP("2")),
		  "shop/web\n a/TCP at 10.96.0.1:80: 10.1.0.2:8080\n"
		  " b/TCP at 10.96.0.1:8080: 10.1.0.2:80\n" },
		{ "one name in two protocols is two ports: ServicePortName",
		  SERVICE(CLUSTER_IP "ports: [ { name: dns, port: 53, protocol: UDP } ]")
			  SLICE("{ name: dns, port: 5353, protocol: TCP }", EP("2")),
		  "shop/web\n dns/UDP at 10.96.0.1:53:\n" },
		{ "one name and two ports: addEndpoints()",
		  SERVICE(CLUSTER_IP PORT)
			  SLICE("{ port: 8080 }, { name: '', port: 8081 }", EP("2")),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080 10.1.0.2:8081\n" },
		{ "a slice's port without number: endpointInfoByServicePort()",
		  SERVICE(CLUSTER_IP PORT) SLICE("{ name: '' }", EP("2")),
		  "shop/web\n" WEB_AT "\n" },
		{ "a slice's port that is SCTP's",
		  SERVICE(CLUSTER_IP PORT)
			  SLICE("{ port: 9, protocol: SCTP }, { port: 8080 }", EP("2")),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n" },
		{ "a node port each: newBaseServiceInfo()",
		  SERVICE(CLUSTER_IP "ports: [ { name: a, port: 80, nodePort: 30080 },\n"
				     "  { name: b, port: 81 } ]"),
		  "shop/web exposed\n a/TCP at 10.96.0.1:80 192.0.2.1:30080 127.0.0.1:30080@77:\n"
		  " b/TCP at 10.96.0.1:81:\n" },
	};

	CHECK_ROWS(rows);
}

static void test_sctp(void **unused UNUSED)
{
	static const char yaml[] = SERVICE(CLUSTER_IP "ports: [ { name: a, port: 80 },\n"
						      "  { name: b, port: 81, protocol: SCTP } ]")
		SLICE("{ name: b, port: 81, protocol: SCTP }", EP("2"));
	static const struct row only = { "nothing but SCTP", SERVICE(CLUSTER_IP "ports: []"), "" };
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_model_ struct model *model = NULL;

	assert_int_equal(load_here(yaml, &problems, &model), 0);
	assert_int_equal(model->services->n_ports, 1);
	assert_int_equal(problems.count, 1);
	assert_int_equal(problems_errors(&problems), 0);
	assert_string_equal(problems.text[0],
			    "t.yaml:1:1: warning: SCTP is not translated by Sidestep: 1 port of "
			    "Services is skipped, the first of shop/web");
	check_row(&only);
}

/* ---- endpoints --------------------------------------------------------------------- */

static void test_slices(void **unused UNUSED)
{
	static const struct row rows[] = {
		{ "many slices: endpointInfoByServicePort()",
		  SLICE(TO, EP("4")) SERVICE(CLUSTER_IP PORT) SLICE(TO, EP("3")) SLICE(TO, EP("2")),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080 10.1.0.3:8080 10.1.0.4:8080\n" },
		{ "one endpoint in two slices, while it moves: addEndpoints()",
		  SERVICE(CLUSTER_IP PORT) SLICE(TO, EP_IS("2", UNREADY) ", " EP("3"))
			  SLICE(TO, EP("2")),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080 10.1.0.3:8080\n" },
		{ "only the first address: addEndpoints()",
		  SERVICE(CLUSTER_IP PORT) SLICE(TO, "{ addresses: [ 10.1.0.2, 10.1.0.3 ] }"),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n" },
		{ "addressType FQDN: NewEndpointSliceCache() is for a family",
		  SERVICE(CLUSTER_IP PORT)
			  SLICE_OF("shop", WEB, "FQDN", TO, "{ addresses: [ web.example.org ] }"),
		  "shop/web\n" WEB_AT "\n" },
		{ "without a service's name: endpointSliceCacheKeys()",
		  SERVICE(CLUSTER_IP PORT) SLICE_OF("shop", "app: web", "IPv4", TO, EP("2")),
		  "shop/web\n" WEB_AT "\n" },
		{ "of a service that is not there", SLICE(TO, EP("2")), "" },
		{ "of a service of this name in another namespace: endpointSliceCacheKeys()",
		  SERVICE(CLUSTER_IP PORT) SLICE_OF("bank", WEB, "IPv4", TO, EP("2")),
		  "shop/web\n" WEB_AT "\n" },
		{ "managed by others: KEP-752",
		  SERVICE(CLUSTER_IP PORT)
			  SLICE_OF("shop", WEB ", endpointslice.kubernetes.io/managed-by: me",
				   "IPv4", TO, EP("2")),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n" },
		{ "service.kubernetes.io/headless on a slice",
		  SERVICE(CLUSTER_IP PORT) SLICE_OF(
			  "shop", WEB ", service.kubernetes.io/headless: ''", "IPv4", TO, EP("2")),
		  "shop/web\n" WEB_AT "\n" },
	};

	CHECK_ROWS(rows);
}

static void test_conditions(void **unused UNUSED)
{
	static const struct row rows[] = {
		{ "absent or null conditions are ready: newEndpointSliceInfo()",
		  SERVICE(CLUSTER_IP PORT) SLICE(
			  TO, EP("2") ", " EP_IS("3", "conditions: { ready: null }") ", " EP_IS(
				      "4", IS("false", "null", "null"))),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080 10.1.0.3:8080 10.1.0.4:8080-\n" },
		{ "no endpoint is ready, and none ends: CategorizeEndpoints()",
		  SERVICE(CLUSTER_IP PORT) SLICE(TO, EP_IS("2", UNREADY)),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080-\n" },
		{ "those that end are left alone while others are ready: KEP-1669",
		  SERVICE(CLUSTER_IP PORT) SLICE(TO, EP_IS("2", ENDING) ", " EP_IS("3", READY)),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080~ 10.1.0.3:8080\n" },
		{ "those that end and serve, when nothing else is left: KEP-1669",
		  SERVICE(CLUSTER_IP PORT) SLICE(
			  TO, EP_IS("2", ENDING) ", " EP_IS("3", ENDED) ", " EP_IS("4", UNREADY)),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080 10.1.0.3:8080~ 10.1.0.4:8080-\n" },
		{ "one that ends and does not tell whether it serves does: newEndpointSliceInfo()",
		  SERVICE(CLUSTER_IP PORT)
			  SLICE(TO, EP_IS("2", "conditions: { ready: false, terminating: true }")),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n" },
		{ "one that serves, is not ready and does not end: CategorizeEndpoints()",
		  SERVICE(CLUSTER_IP PORT) SLICE(
			  TO, EP_IS("2", IS("false", "true", "false")) ", " EP_IS("3", ENDING)),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080- 10.1.0.3:8080\n" },
		{ "each port and family by itself: CategorizeEndpoints()",
		  SERVICE("clusterIPs: [ 10.96.0.1, 'fd96::1' ], " PORT)
			  SLICE(TO, EP_IS("2", ENDING)) SLICE6(TO, "{ addresses: [ 'fd77::2' ] }"),
		  "shop/web\n TCP at 10.96.0.1:80 [fd96::1]:80: 10.1.0.2:8080 [fd77::2]:8080\n" },
		{ "publishNotReadyAddresses: the controller says ready, and that counts",
		  SERVICE(CLUSTER_IP PORT ", publishNotReadyAddresses: true")
			  SLICE(TO, EP_IS("2", IS("true", "false", "true"))),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n" },
		{ "publishNotReadyAddresses is not for the proxy: newBaseServiceInfo()",
		  SERVICE(CLUSTER_IP PORT ", publishNotReadyAddresses: true")
			  SLICE(TO, EP_IS("2", UNREADY)),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080-\n" },
	};

	CHECK_ROWS(rows);
}

/* ---- where ------------------------------------------------------------------------- */

#define LOCAL "internalTrafficPolicy: Local"

static void test_local(void **unused UNUSED)
{
	static const struct row rows[] = {
		{ "internalTrafficPolicy Local: KEP-2086",
		  SERVICE(CLUSTER_IP PORT ", " LOCAL) SLICE(
			  TO, EP_IS("2", AT("here")) ", " EP_IS("3", AT("there")) ", " EP("4")),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n" },
		{ "none here, and no other will do: KEP-2086",
		  SERVICE(CLUSTER_IP PORT ", " LOCAL) SLICE(TO, EP_IS("3", AT("there"))),
		  "shop/web\n" WEB_AT "\n" },
		{ "those of here that end: KEP-1669",
		  SERVICE(CLUSTER_IP PORT ", " LOCAL) SLICE(
			  TO, EP_IS("2", AT("here") ", " ENDING) ", " EP_IS("3", AT("there"))),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n" },
		{ "hints say nothing to it: CategorizeEndpoints()",
		  IN_ZONE_A SERVICE(CLUSTER_IP PORT ", " LOCAL)
			  SLICE(TO, EP_IS("2", AT("here") ", " ZONES("{ name: b }")) ", " EP_IS(
					    "3", AT("there") ", " ZONES("{ name: a }"))),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n" },
		{ "the name that the configuration gives the node",
		  "node: { name: there }\n---\n" SERVICE(CLUSTER_IP PORT ", " LOCAL)
			  SLICE(TO, EP_IS("2", AT("here")) ", " EP_IS("3", AT("there"))),
		  "shop/web\n" WEB_AT " 10.1.0.3:8080\n" },
		{ "other addresses are not internal: UsesClusterEndpoints()",
		  SERVICE(CLUSTER_IP NODE_PORT ", externalIPs: [ 203.0.113.1 ], " LOCAL)
			  SLICE(TO, EP_IS("2", AT("here")) ", " EP_IS("3", AT("there"))),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n"
		  "shop/web/external exposed\n TCP at 203.0.113.1:80 192.0.2.1:30080 127.0.0.1:30080@77: "
		  "10.1.0.2:8080 10.1.0.3:8080\n" },
		{ "externalTrafficPolicy Local is not for who is on a node: UsesClusterEndpoints()",
		  SERVICE(CLUSTER_IP NODE_PORT ", externalTrafficPolicy: Local")
			  SLICE(TO, EP_IS("2", AT("here")) ", " EP_IS("3", AT("there"))),
		  "shop/web exposed\n TCP at 10.96.0.1:80 192.0.2.1:30080 127.0.0.1:30080@77: "
		  "10.1.0.2:8080 10.1.0.3:8080\n" },
	};

	CHECK_ROWS(rows);
}

#define A "{ name: a }"
#define B "{ name: b }"
#define H "{ name: here }"
#define T "{ name: there }"

static void test_hints(void **unused UNUSED)
{
	static const struct row rows[] = {
		{ "hints for our zone: KEP-2433, KEP-4444 (PreferClose, PreferSameZone)",
		  IN_ZONE_A SERVICE(CLUSTER_IP PORT ", trafficDistribution: PreferClose")
			  SLICE(TO, EP_IS("2", ZONES(A)) ", " EP_IS("3", ZONES(B)) ", " EP_IS(
					    "4", ZONES(B ", " A))),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080 10.1.0.4:8080\n" },
		{ "one that is ready has none, so none count: topologyModeFromHints()",
		  IN_ZONE_A SERVICE(CLUSTER_IP PORT)
			  SLICE(TO, EP_IS("2", ZONES(A)) ", " EP_IS("3", ZONES(B)) ", " EP("4")),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080 10.1.0.3:8080 10.1.0.4:8080\n" },
		{ "one that is not ready has none, which does not matter: topologyModeFromHints()",
		  IN_ZONE_A SERVICE(CLUSTER_IP PORT)
			  SLICE(TO, EP_IS("2", ZONES(A)) ", " EP_IS("3", ZONES(B)) ", " EP_IS(
					    "4", UNREADY)),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n" },
		{ "none for our zone: topologyModeFromHints()",
		  IN_ZONE_A SERVICE(CLUSTER_IP PORT)
			  SLICE(TO, EP_IS("2", ZONES(B)) ", " EP_IS("3", ZONES("{ name: c }"))),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080 10.1.0.3:8080\n" },
		{ "the only one for our zone is not ready: topologyModeFromHints()",
		  IN_ZONE_A SERVICE(CLUSTER_IP PORT)
			  SLICE(TO, EP_IS("2", ZONES(A) ", " UNREADY) ", " EP_IS("3", ZONES(B))),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080- 10.1.0.3:8080\n" },
		{ "our zone is not known: topologyModeFromHints()",
		  SERVICE(CLUSTER_IP PORT)
			  SLICE(TO, EP_IS("2", ZONES(A)) ", " EP_IS("3", ZONES(B))),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080 10.1.0.3:8080\n" },
		{ "nobody is ready, so hints do not bind: CategorizeEndpoints()",
		  IN_ZONE_A SERVICE(CLUSTER_IP PORT)
			  SLICE(TO, EP_IS("2", ZONES(B) ", " ENDING) ", " EP_IS(
					    "3", ZONES(A) ", " ENDED)),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080 10.1.0.3:8080~\n" },
		{ "trafficDistribution without hints: KEP-4444 leaves it to the controller",
		  IN_ZONE_A SERVICE(CLUSTER_IP PORT ", trafficDistribution: PreferSameZone")
			  SLICE(TO, EP_IS("2", "zone: a") ", " EP_IS("3", "zone: b")),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080 10.1.0.3:8080\n" },
		{ "hints for our node come first: KEP-3015 (PreferSameNode)",
		  IN_ZONE_A SERVICE(CLUSTER_IP PORT ", trafficDistribution: PreferSameNode")
			  SLICE(TO, EP_IS("2", NODES(H, A)) ", " EP_IS("3", NODES(T, A))),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n" },
		{ "none for our node, so those for our zone: KEP-3015",
		  IN_ZONE_A SERVICE(CLUSTER_IP PORT)
			  SLICE(TO, EP_IS("2", NODES(T, A)) ", " EP_IS("3", NODES(T, B))),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n" },
		{ "one has no hint for a node, so those for our zone: KEP-3015",
		  IN_ZONE_A SERVICE(CLUSTER_IP PORT)
			  SLICE(TO, EP_IS("2", NODES(H, B)) ", " EP_IS("3", ZONES(A))),
		  "shop/web\n" WEB_AT " 10.1.0.3:8080\n" },
		{ "node ports by hints, too: CategorizeEndpoints()",
		  IN_ZONE_A SERVICE(CLUSTER_IP NODE_PORT ", " LOCAL)
			  SLICE(TO, EP_IS("2", ZONES(B) ", " AT("here")) ", " EP_IS("3", ZONES(A))),
		  "shop/web\n" WEB_AT " 10.1.0.2:8080\n"
		  "shop/web/external exposed\n TCP at 192.0.2.1:30080 127.0.0.1:30080@77: 10.1.0.3:8080\n" },
	};

	CHECK_ROWS(rows);
}

static void test_affinity(void **unused UNUSED)
{
	static const struct row rows[] = {
		{ "sessionAffinity ClientIP: newBaseServiceInfo()",
		  SERVICE(CLUSTER_IP PORT
			  ", sessionAffinity: ClientIP,\n"
			  "  sessionAffinityConfig: { clientIP: { timeoutSeconds: 90 } }"),
		  "shop/web affinity 90\n" WEB_AT "\n" },
		{ "its default is three hours: DefaultClientIPServiceAffinitySeconds",
		  SERVICE(CLUSTER_IP PORT ", sessionAffinity: ClientIP"),
		  "shop/web affinity 10800\n" WEB_AT "\n" },
		{ "None", SERVICE(CLUSTER_IP PORT ", sessionAffinity: None"),
		  "shop/web\n" WEB_AT "\n" },
	};

	CHECK_ROWS(rows);
}

/* ---- refused ----------------------------------------------------------------------- */

#define LONG SIXTY "bbb"

static void test_refused(void **unused UNUSED)
{
	static const struct refusal refusals[] = {
		{ "{ apiVersion: v1, kind: Service, metadata: { name: web } }\n",
		  "1:1: found a Service without 'spec', expected that key" },
		{ "{ apiVersion: apps/v1, kind: Service }\n",
		  "1:15: found 'apps/v1', expected v1 for kind Service" },
		{ "{ apiVersion: discovery.k8s.io/v1beta1, kind: EndpointSlice }\n",
		  "1:15: found 'discovery.k8s.io/v1beta1', expected discovery.k8s.io/v1 for kind "
		  "EndpointSlice" },
		{ SERVICE(PORT), "2:51: found the spec of a Service without 'clusterIP', expected "
				 "the address that the API server has given it, or None" },
		{ SERVICE("clusterIP: 10.96.0.0/24, " PORT),
		  "2:64: found '10.96.0.0/24', expected an IPv4 or IPv6 address" },
		{ SERVICE("type: Balancer, " CLUSTER_IP PORT),
		  "2:59: found 'Balancer', expected ClusterIP, NodePort, LoadBalancer or "
		  "ExternalName" },
		{ OBJECT_NAMED("v1", "Service", "name: Web", "spec: { " CLUSTER_IP PORT " }"),
		  "2:21: found 'Web', expected a service's name (1 to 63 characters of a-z 0-9 -, "
		  "no hyphen at its ends)" },
		{ SERVICE(CLUSTER_IP "ports: [ { port: 0 } ]"),
		  "2:119: found '0', expected a port from 1 to 65535" },
		{ SERVICE(CLUSTER_IP "ports: [ { port: 1, nodePort: 65536 } ]"),
		  "2:132: found '65536', expected a port from 0 to 65535" },
		{ SERVICE(CLUSTER_IP "ports: [ { port: 1, protocol: ICMP } ]"),
		  "2:132: found 'ICMP', expected TCP, UDP or SCTP" },
		{ SERVICE(CLUSTER_IP PORT ", sessionAffinity: ClientIP, sessionAffinityConfig: { "
					  "clientIP: { timeoutSeconds: 86401 } }"),
		  "2:225: found '86401', expected a number of seconds from 1 to 86400" },
		{ SERVICE(CLUSTER_IP PORT ", internalTrafficPolicy: Node"),
		  "2:168: found 'Node', expected Cluster or Local" },
		{ SERVICE_STATUS(CLUSTER_IP PORT,
				 "loadBalancer: { ingress: [ { ip: x, ipMode: vip } ] }"),
		  "2:201: found 'vip', expected VIP or Proxy\n"
		  "2:190: found 'x', expected an IPv4 or IPv6 address" },
		{ SLICE_OF("shop", WEB, "ipv4", TO, EP("2")),
		  "2:105: found 'ipv4', expected IPv4, IPv6 or FQDN" },
		{ SLICE(TO, "{ addresses: [ 'fd77::2' ] }"),
		  "4:31: found 'fd77::2', expected an address of the slice's addressType, IPv4" },
		{ SLICE(TO, "{ addresses: [] }, {}, x"),
		  "4:29: found 0 addresses, expected 1 to 256\n"
		  "4:35: found an endpoint without 'addresses', expected that key\n"
		  "4:39: found 'x', expected a mapping (an endpoint)" },
		{ SLICE(TO, EP_IS("2", "conditions: { ready: maybe }, hints: { forZones: [ a ] }")),
		  "4:64: found 'maybe', expected true or false\n"
		  "4:94: found a hint without 'name', expected that key" },
		{ "node: { name: 'a b' }\n",
		  "1:15: found 'a b', " NAME_EXPECTED("a node's name", "1", "253") },
		{ "{ apiVersion: v1, kind: Node, metadata: {} }\n",
		  "1:41: found metadata without 'name', expected that key" },
		/* of all of them */
		{ SERVICE(CLUSTER_IP PORT) SERVICE(CLUSTER_IP PORT),
		  "4:1: service name 'shop/web' is used twice, first at line 1\n"
		  "5:89: 10.96.0.1:80/TCP of service 'shop/web' is already served by service "
		  "'shop/web' at line 1" },
		{ "services: [ { name: web, address: 10.96.0.1, port: 80,\n"
		  "  endpoints: [ { address: 10.1.0.1 } ] } ]\n---\n" SERVICE(CLUSTER_IP PORT),
		  "5:89: 10.96.0.1:80/TCP of service 'shop/web' is already served by service 'web' "
		  "at line 1" },
		{ "services: [ { name: shop/web, address: 10.96.0.2, port: 80,\n"
		  "  endpoints: [ { address: 10.1.0.1 } ] } ]\n---\n" SERVICE(CLUSTER_IP PORT),
		  "4:1: service name 'shop/web' is used twice, first at line 1" },
		{ OBJECT_NAMED("v1", "Service", "name: " LONG ", namespace: " LONG,
			       "spec: { " CLUSTER_IP PORT ", externalIPs: [ 203.0.113.1 ], " LOCAL
			       " }"),
		  "1:1: found '" LONG "/" LONG "/external', as the service is called whose "
		  "addresses lead elsewhere than its cluster IPs, expected at most 127 "
		  "characters" },
	};

	CHECK_REFUSALS(refusals);
}

/* ---- sizes ------------------------------------------------------------------------- */

static void test_longest_names(void **unused UNUSED)
{
	static const char yaml[] = OBJECT_NAMED("v1", "Service", "name: " LONG ", namespace: " LONG,
						"spec: { " CLUSTER_IP PORT " }");
	_cleanup_model_ struct model *model = load_valid(yaml);

	assert_string_equal(model->services->name, LONG "/" LONG);
	assert_int_equal(strlen(model->services->name), SST_NAME_MAX - 1);
}

/* 1001 endpoints of a slice, in 1000 slices. */
static void test_too_many_endpoints(void **unused UNUSED)
{
	_cleanup_text_ struct text yaml = { 0 }, told = { 0 };

	text_add(&yaml, "apiVersion: v1\nkind: List\nitems:\n");
	text_add(&yaml, "- { apiVersion: v1, kind: Service, metadata: { name: web },\n"
			"    spec: { clusterIP: 10.96.0.1, ports: [ { port: 80 } ] } }\n");
	for (int i = 0; i < 1000; i++) {
		text_add(&yaml, "- { apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, "
				"addressType: IPv4, ports: [ { port: 80 } ],\n"
				"    metadata: { labels: { " WEB " } }, endpoints: ");
		text_add(&yaml, i ? "*e }\n" : "&e [");
		for (int j = 0; !i && j < 1001; j++)
			text_add(&yaml, "{ addresses: [ 10.1.0.1 ] },");
		text_add(&yaml, i ? "" : "] }\n");
	}
	told = load_refused(text_string(&yaml));
	assert_string_equal(text_string(&told),
			    " found more than 1000000 endpoints of Services (counted for each "
			    "port), expected at most that many");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_sctp),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_hints),
		cmocka_unit_test(test_affinity),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_longest_names),
		cmocka_unit_test(test_too_many_endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
