/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/cluster.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"

#define POLICY_GROUP "policy.networking.k8s.io"

/*
 * Only what is used is asked for. Services and slices of other proxies, and headless ones, are
 * none of ours; pods that have ended have no address any more.
 */
#define NOT_OTHERS                                                       \
	"labelSelector=%21service.kubernetes.io%2Fservice-proxy-name%2C" \
	"%21service.kubernetes.io%2Fheadless"
#define RUNNING "fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed"

static const struct {
	const char *name;
	const char *api_version, *kind; /* as an object of it calls itself */
	struct watch_resource resource;
} kinds[STORE_KINDS] = {
	[STORE_SERVICES] = { "services", "v1", "Service", { "/api/v1/services", NOT_OTHERS } },
	[STORE_SLICES] = { "endpointslices",
			   "discovery.k8s.io/v1",
			   "EndpointSlice",
			   { "/apis/discovery.k8s.io/v1/endpointslices", NOT_OTHERS } },
	[STORE_PODS] = { "pods", "v1", "Pod", { "/api/v1/pods", RUNNING } },
	[STORE_NAMESPACES] = { "namespaces", "v1", "Namespace", { "/api/v1/namespaces" } },
	[STORE_NODES] = { "nodes", "v1", "Node", { "/api/v1/nodes" } },
	[STORE_NETWORK_POLICIES] = { "networkpolicies",
				     "networking.k8s.io/v1",
				     "NetworkPolicy",
				     { "/apis/networking.k8s.io/v1/networkpolicies" } },
	[STORE_CLUSTER_POLICIES] = { "clusternetworkpolicies",
				     POLICY_GROUP "/v1alpha2",
				     "ClusterNetworkPolicy",
				     { "/apis/" POLICY_GROUP "/v1alpha2/clusternetworkpolicies",
				       NULL, true } },
	[STORE_ADMIN_POLICIES] = { "adminnetworkpolicies",
				   POLICY_GROUP "/v1alpha1",
				   "AdminNetworkPolicy",
				   { "/apis/" POLICY_GROUP "/v1alpha1/adminnetworkpolicies", NULL,
				     true } },
	[STORE_BASELINE_POLICIES] = { "baselineadminnetworkpolicies",
				      POLICY_GROUP "/v1alpha1",
				      "BaselineAdminNetworkPolicy",
				      { "/apis/" POLICY_GROUP
					"/v1alpha1/baselineadminnetworkpolicies",
					NULL, true } },
};

/* One resource's way from its watch into the store. */
struct inlet {
	struct cluster *cluster;
	enum store_kind kind;
	struct watch *watch;
	bool synced; /* it was listed once */
};

struct cluster {
	struct client *client;
	struct store *store;
	struct cluster_calls calls;
	struct inlet inlets[STORE_KINDS];
};

const char *cluster_kind_name(enum store_kind kind)
{
	return kinds[kind].name;
}

/* ---- what the watches tell ------------------------------------------------------------- */

static const char *text_of(const json_t *metadata, const char *key)
{
	return json_string_value(json_object_get(metadata, key)) ?: "";
}

/* Items of a list do not say of what kind they are. */
static void tell(struct cluster *cluster, enum store_kind kind, const json_t *object,
		 const struct problems *problems)
{
	const json_t *metadata = json_object_get(object, "metadata");
	const struct event_object about = {
		.api_version = kinds[kind].api_version,
		.kind = kinds[kind].kind,
		.name_space = text_of(metadata, "namespace"),
		.name = text_of(metadata, "name"),
		.uid = text_of(metadata, "uid"),
	};

	if (problems->count)
		cluster->calls.skipped(kind, &about, problems, cluster->calls.arg);
}

static void look_for_changes(struct cluster *cluster)
{
	if (cluster_is_synced(cluster) && store_has_changes(cluster->store))
		cluster->calls.changed(cluster->calls.arg);
}

/* That there is nothing of all is news, too. */
static void has_synced(struct inlet *inlet)
{
	struct cluster *cluster = inlet->cluster;
	bool first = !inlet->synced;

	inlet->synced = true;
	if (first && cluster_is_synced(cluster))
		cluster->calls.changed(cluster->calls.arg);
	else
		look_for_changes(cluster);
}

static void on_begin(void *arg)
{
	struct inlet *inlet = arg;

	store_begin(inlet->cluster->store, inlet->kind);
}

static int on_put(json_t *object, void *arg)
{
	_cleanup_problems_ struct problems problems = {};
	struct inlet *inlet = arg;
	struct cluster *cluster = inlet->cluster;
	int err = store_put(cluster->store, inlet->kind, object, &problems);

	tell(cluster, inlet->kind, object, &problems);
	look_for_changes(cluster);
	return err;
}

static int on_gone(json_t *object, void *arg)
{
	struct inlet *inlet = arg;
	int err = store_gone(inlet->cluster->store, inlet->kind, object);

	look_for_changes(inlet->cluster);
	return err;
}

static int on_end(void *arg)
{
	struct inlet *inlet = arg;
	int err = store_end(inlet->cluster->store, inlet->kind);

	if (!err)
		has_synced(inlet);
	return err;
}

/* ---- begin and end ------------------------------------------------------------------------ */

static int open_inlet(struct cluster *cluster, uv_loop_t *loop, enum store_kind kind)
{
	struct inlet *inlet = &cluster->inlets[kind];
	const struct watch_calls calls = { on_begin, on_put, on_gone, on_end, inlet };

	*inlet = (struct inlet){ .cluster = cluster, .kind = kind };
	return watch_open(loop, cluster->client, &kinds[kind].resource, &calls, &inlet->watch);
}

int cluster_open(uv_loop_t *loop, const struct access *access, const struct store_options *options,
		 const struct cluster_calls *calls, struct cluster **ret)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));
	int err;

	if (!cluster)
		return -ENOMEM;
	cluster->calls = *calls;
	err = store_open(options, &cluster->store);
	if (!err)
		err = client_open(loop, access, &cluster->client);
	for (int i = 0; !err && i < STORE_KINDS; i++)
		err = open_inlet(cluster, loop, i);
	if (err)
		cluster_close(cluster);
	else
		*ret = cluster;
	return err;
}

struct store *cluster_store(struct cluster *cluster)
{
	return cluster->store;
}

struct client *cluster_client(struct cluster *cluster)
{
	return cluster->client;
}

bool cluster_is_synced(const struct cluster *cluster)
{
	for (int i = 0; i < STORE_KINDS; i++)
		if (!cluster->inlets[i].synced)
			return false;
	return true;
}

void cluster_figures(const struct cluster *cluster, struct cluster_figures *ret)
{
	*ret = (struct cluster_figures){ .heard_ns = UINT64_MAX };
	store_figures(cluster->store, &ret->store);
	for (int i = 0; i < STORE_KINDS; i++) {
		watch_figures(cluster->inlets[i].watch, &ret->watch[i]);
		if (ret->heard_ns > ret->watch[i].heard_ns)
			ret->heard_ns = ret->watch[i].heard_ns;
	}
}

void cluster_close(struct cluster *cluster)
{
	if (!cluster)
		return;
	for (int i = 0; i < STORE_KINDS; i++)
		if (cluster->inlets[i].watch)
			watch_close(cluster->inlets[i].watch);
	if (cluster->client)
		client_close(cluster->client);
	if (cluster->store)
		store_close(cluster->store);
	free(cluster);
}
