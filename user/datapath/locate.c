/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/locate.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/address.h"
#include "datapath/host.h"
#include "datapath/internal.h"
#include "datapath/netns.h"

/* ---- inside a namespace ------------------------------------------------------------- */

/* What is seen there. */
struct sight {
	uint64_t cookie;
	struct sst_addr *addresses; /* sorted, each once, without loopback */
	size_t n;
};

static void sight_release(struct sight *sight)
{
	free(sight->addresses);
}
#define _cleanup_sight_ __attribute__((cleanup(sight_release)))

static bool take_address(const struct sockaddr *from, struct sst_addr *ret)
{
	if (from && from->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)from;

		*ret = (struct sst_addr){ { 0, 0, htonl(0xffff), v4->sin_addr.s_addr } };
		return ntohl(v4->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET;
	}
	if (from && from->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const void *)from;

		memcpy(ret, &v6->sin6_addr, sizeof(*ret));
		return !IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	}
	return false;
}

static int compare_addresses(const void *a, const void *b)
{
	return address_compare(a, b);
}

/* Of a sorted array; returns how many are left. */
static size_t drop_doubles(void *array, size_t n, size_t size)
{
	char *items = array;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!i || memcmp(items + i * size, items + (kept - 1) * size, size))
			memmove(items + kept++ * size, items + i * size, size);
	return kept;
}

static int keep_addresses(const struct ifaddrs *list, struct sight *sight)
{
	size_t room = 1;

	for (const struct ifaddrs *i = list; i; i = i->ifa_next)
		room++;
	sight->addresses = calloc(room, sizeof(*sight->addresses));
	if (!sight->addresses)
		return -ENOMEM;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next)
		sight->n += take_address(i->ifa_addr, &sight->addresses[sight->n]);
	qsort(sight->addresses, sight->n, sizeof(*sight->addresses), compare_addresses);
	sight->n = drop_doubles(sight->addresses, sight->n, sizeof(*sight->addresses));
	return 0;
}

static int look_around(void *arg)
{
	struct sight *sight = arg;
	struct ifaddrs *list;
	int err;

	sight->cookie = netns_cookie();
	if (getifaddrs(&list))
		return -errno;
	err = keep_addresses(list, sight);
	freeifaddrs(list);
	return err;
}

static int look_for_cookie(void *arg)
{
	uint64_t *cookie = arg;

	*cookie = netns_cookie();
	return 0;
}

/* ---- the search ------------------------------------------------------------------------ */

/* A prefix of a workload that is known by nothing but addresses. */
struct wanted {
	const struct model_cidr *cidr;
	size_t workload;
};

struct search {
	const struct model *model;
	struct problems *problems;
	struct located found;
	struct wanted *wanted; /* single addresses, sorted, before longest prefixes */
	size_t n_wanted;
	size_t n_single;
	bool shut_out; /* told of once */
};

/* Namespaces are ours, or whose they were said to be, whatever addresses are in them. */
static bool is_taken(const struct search *search, ino_t inode)
{
	for (size_t i = 0; i < search->found.n_netns; i++)
		if (search->found.netns[i] == inode)
			return true;
	return false;
}

static int add_netns(struct search *search, ino_t inode)
{
	struct located *found = &search->found;
	void *grown = reallocarray(found->netns, found->n_netns + 1, sizeof(*found->netns));

	if (!grown)
		return -ENOMEM;
	found->netns = grown;
	found->netns[found->n_netns++] = inode;
	return 0;
}

static int add_home(struct search *search, size_t workload, uint64_t cookie)
{
	struct policy_host *host = &search->found.host;
	void *grown =
		reallocarray(host->workloads, host->n_workloads + 1, sizeof(*host->workloads));

	if (!grown)
		return -ENOMEM;
	host->workloads = grown;
	host->workloads[host->n_workloads++] = (struct policy_netns){ workload, cookie };
	return 0;
}

static void tell_shut_out(struct search *search)
{
	if (!search->shut_out)
		problems_add(search->problems, "sidestep", (struct place){},
			     "CAP_SYS_ADMIN is missing: network namespaces cannot be entered, "
			     "workloads in them are known by cgroup and address only");
	search->shut_out = true;
}

/* ---- our own ------------------------------------------------------------------------------ */

static int locate_host(struct search *search)
{
	struct policy_host *host = &search->found.host;
	_cleanup_sight_ struct sight sight = {};
	int fd, err = look_around(&sight);
	ino_t ours;

	if (err)
		return err;
	fd = netns_open_name("/proc/self/ns/net", &ours);
	if (fd < 0)
		return fd;
	close(fd);
	host->netns = sight.cookie;
	host->addresses = TAKE_PTR(sight.addresses);
	host->n_addresses = sight.n;
	return add_netns(search, ours);
}

/* As kubelet calls a node that nobody has named: the host's name in lower case. */
static char *node_name(void)
{
	struct utsname host;

	if (uname(&host))
		return NULL;
	for (char *c = host.nodename; *c; c++)
		*c = tolower((unsigned char)*c);
	return strdup(host.nodename);
}

/* They are those of a link, and another's on another one. */
static size_t drop_link_local(struct sst_addr *addresses, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if ((addresses[i].w[0] & htonl(0xffc00000)) != htonl(0xfe800000))
			addresses[kept++] = addresses[i];
	return kept;
}

int locate_self(struct model_host *ret)
{
	_cleanup_sight_ struct sight sight = {};
	int err = look_around(&sight);
	char *name;
	size_t n;

	if (err)
		return err;
	name = node_name();
	if (!name)
		return -ENOMEM;
	n = drop_link_local(sight.addresses, sight.n);
	*ret = (struct model_host){
		.name = name,
		.addresses = TAKE_PTR(sight.addresses),
		.n_addresses = n,
		.netns = sight.cookie,
	};
	return 0;
}

/* ---- workloads that say where ------------------------------------------------------------- */

static void tell_dormant(struct search *search, const struct model_workload *workload, int err)
{
	problems_add(search->problems, search->model->source, workload->place,
		     "workload %s/%s: there is no network namespace %s (%s): nobody is known by it "
		     "until there is",
		     workload->name_space, workload->name, workload->netns,
		     err == -EINVAL ? "something else is there" : strerror(-err));
}

static int locate_named(struct search *search, size_t number)
{
	const struct model_workload *workload = &search->model->workloads[number];
	uint64_t cookie = 0;
	ino_t inode;
	_cleanup_close_ int fd = netns_open_name(workload->netns, &inode);
	int err;

	if (fd < 0) {
		tell_dormant(search, workload, fd);
		return 0;
	}
	err = netns_do(fd, look_for_cookie, &cookie);
	if (err == -EPERM)
		tell_shut_out(search);
	else if (err)
		tell_dormant(search, workload, err);
	err = add_netns(search, inode);
	return !err && cookie ? add_home(search, number, cookie) : err;
}

/* ---- workloads that are cgroups ----------------------------------------------------------- */

/* It is known by its path as soon as there is one; a misspelt path is known by nothing. Paths that
 * nobody has written are kubelet's, which makes them when it comes to it. */
static void tell_absent_cgroups(struct search *search)
{
	char root[PATH_MAX];
	size_t end;

	if (host_cgroup_root(root))
		return;
	end = strlen(root);
	for (size_t i = 0; i < search->model->n_workloads; i++) {
		const struct model_workload *workload = &search->model->workloads[i];

		if (!workload->cgroup || !workload->place.line)
			continue;
		snprintf(root + end, sizeof(root) - end, "%s", workload->cgroup);
		if (access(root, F_OK) && errno == ENOENT)
			problems_add(search->problems, search->model->source, workload->place,
				     "workload %s/%s: there is no cgroup %s: nobody is known by it "
				     "until there is",
				     workload->name_space, workload->name, workload->cgroup);
	}
}

/* ---- workloads of which only addresses are known ------------------------------------------ */

static bool is_known_by_address_only(const struct model_workload *workload)
{
	return !workload->remote && !workload->cgroup && !workload->cgroup_id && !workload->netns &&
	       workload->n_addresses;
}

static int compare_wanted(const void *a, const void *b)
{
	const struct model_cidr *x = ((const struct wanted *)a)->cidr;
	const struct model_cidr *y = ((const struct wanted *)b)->cidr;

	return y->bits - x->bits ?: address_compare(&x->address, &y->address);
}

static int collect_wanted(struct search *search)
{
	const struct model *model = search->model;
	size_t room = 1;

	for (size_t i = 0; i < model->n_workloads; i++)
		room += model->workloads[i].n_addresses;
	search->wanted = calloc(room, sizeof(*search->wanted));
	if (!search->wanted)
		return -ENOMEM;
	for (size_t i = 0; i < model->n_workloads; i++) {
		const struct model_workload *workload = &model->workloads[i];

		for (size_t j = 0; j < workload->n_addresses; j++)
			if (is_known_by_address_only(workload))
				search->wanted[search->n_wanted++] =
					(struct wanted){ &workload->addresses[j], i };
	}
	qsort(search->wanted, search->n_wanted, sizeof(*search->wanted), compare_wanted);
	while (search->n_single < search->n_wanted &&
	       search->wanted[search->n_single].cidr->bits == 128)
		search->n_single++;
	return 0;
}

/* By the longest prefix; NULL: nobody's. */
static const struct wanted *whose(const struct search *search, const struct sst_addr *address)
{
	const struct model_cidr single = { .address = *address, .bits = 128 };
	const struct wanted key = { .cidr = &single };
	const struct wanted *found = bsearch(&key, search->wanted, search->n_single,
					     sizeof(*search->wanted), compare_wanted);

	for (size_t i = search->n_single; !found && i < search->n_wanted; i++)
		if (model_cidr_holds(search->wanted[i].cidr, address))
			found = &search->wanted[i];
	return found;
}

static void tell_shared(struct search *search, const char *path, size_t a, size_t b)
{
	const struct model_workload *workloads = search->model->workloads;

	problems_add(
		search->problems, search->model->source, workloads[b].place,
		"workloads %s/%s and %s/%s share the network namespace %s: what is called from "
		"there is told apart by address only",
		workloads[a].name_space, workloads[a].name, workloads[b].name_space,
		workloads[b].name, path);
}

/* The namespace is of the one workload whose addresses it has. */
static int take_home(struct search *search, const char *path, ino_t inode,
		     const struct sight *sight)
{
	const struct wanted *owner = NULL;
	bool shared = false;
	int err;

	for (size_t i = 0; i < sight->n; i++) {
		const struct wanted *wanted = whose(search, &sight->addresses[i]);

		if (owner && wanted && wanted->workload != owner->workload && !shared) {
			tell_shared(search, path, owner->workload, wanted->workload);
			shared = true;
		}
		owner = owner ?: wanted;
	}
	if (!owner)
		return 0;
	err = add_netns(search, inode);
	return err || shared || !sight->cookie ? err
					       : add_home(search, owner->workload, sight->cookie);
}

static int look_into(const char *path, ino_t inode, void *arg)
{
	_cleanup_sight_ struct sight sight = {};
	struct search *search = arg;
	_cleanup_close_ int fd = -1;
	int err;

	if (is_taken(search, inode))
		return 0;
	fd = netns_open_path(path, inode);
	if (fd < 0)
		return -EAGAIN;
	err = netns_do(fd, look_around, &sight);
	if (err == -EPERM) {
		tell_shut_out(search);
		return 1;
	}
	return err == -ENOMEM ? err : take_home(search, path, inode, &sight);
}

static int locate_by_address(struct search *search)
{
	int err = collect_wanted(search);

	if (!err && search->n_wanted)
		err = netns_walk(look_into, search);
	return err < 0 ? err : 0;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static int compare_homes(const void *a, const void *b)
{
	const struct policy_netns *x = a, *y = b;

	if (x->workload != y->workload)
		return x->workload < y->workload ? -1 : 1;
	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static int compare_inodes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* In an order that does not depend on who was found first. */
static void put_in_order(struct located *located)
{
	struct policy_host *host = &located->host;

	if (host->n_workloads)
		qsort(host->workloads, host->n_workloads, sizeof(*host->workloads), compare_homes);
	qsort(located->netns, located->n_netns, sizeof(*located->netns), compare_inodes);
	located->n_netns = drop_doubles(located->netns, located->n_netns, sizeof(*located->netns));
}

static int search_all(struct search *search)
{
	int err = locate_host(search);

	for (size_t i = 0; i < search->model->n_workloads && !err; i++)
		if (search->model->workloads[i].netns)
			err = locate_named(search, i);
	if (!err)
		tell_absent_cgroups(search);
	return err ?: locate_by_address(search);
}

int locate(const struct model *model, struct problems *problems, struct located *ret)
{
	struct search search = { .model = model, .problems = problems };
	int err;

	if (!model->n_workloads && !model->n_policies) {
		*ret = (struct located){};
		return 0;
	}
	err = search_all(&search);
	free(search.wanted);
	if (err) {
		located_release(&search.found);
		return err;
	}
	put_in_order(&search.found);
	*ret = search.found;
	return 0;
}

static bool same(const void *a, size_t n_a, const void *b, size_t n_b, size_t size)
{
	return n_a == n_b && (!n_a || !memcmp(a, b, n_a * size));
}

bool located_equal(const struct located *a, const struct located *b)
{
	const struct policy_host *x = &a->host, *y = &b->host;

	return x->netns == y->netns &&
	       same(x->addresses, x->n_addresses, y->addresses, y->n_addresses,
		    sizeof(*x->addresses)) &&
	       same(x->workloads, x->n_workloads, y->workloads, y->n_workloads,
		    sizeof(*x->workloads)) &&
	       same(a->netns, a->n_netns, b->netns, b->n_netns, sizeof(*a->netns));
}

void located_release(struct located *located)
{
	free(located->host.addresses);
	free(located->host.workloads);
	free(located->netns);
	*located = (struct located){};
}
