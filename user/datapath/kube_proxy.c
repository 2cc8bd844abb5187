/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By the names that kube-proxy gives to what it makes:
 *
 *	iptables   chain KUBE-SERVICES of table nat: of nf_tables, which is what iptables writes
 *	           by now, or of the kernel's older tables
 *	nftables   a table of its own, kube-proxy
 *	ipvs       interface kube-ipvs0, which has the services' addresses; beside it there is
 *	           chain KUBE-SERVICES, too
 *
 * Asking for one name costs the same however many rules there are; only the older tables are
 * given away as a whole or not at all. Each is asked for in both families: a cluster may have one.
 */
#include "datapath/kube_proxy.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* behind libc's, which have some of the same */
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netlink.h>

#include "core/cleanup.h"
#include "core/xtables.h"

#define IPVS_DEVICE "kube-ipvs0"
#define OWN_TABLE   "kube-proxy"
#define NAT         "nat"
#define CHAIN       "KUBE-SERVICES"

static const int families[] = { AF_INET, AF_INET6 };

/* ---- nf_tables --------------------------------------------------------------------------- */

struct request {
	struct nlmsghdr header;
	struct nfgenmsg about;
	char attributes[128];
};

/* The names here are short: there is room for two. */
static void add_name(struct request *request, uint16_t type, const char *name)
{
	struct nlattr *attribute =
		(void *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
	size_t size = NLA_HDRLEN + strlen(name) + 1;

	attribute->nla_type = type;
	attribute->nla_len = size;
	strcpy((char *)attribute + NLA_HDRLEN, name);
	request->header.nlmsg_len += NLA_ALIGN(size);
}

static struct request request_for(int family, const char *table, const char *chain)
{
	uint16_t type = chain ? NFT_MSG_GETCHAIN : NFT_MSG_GETTABLE;
	struct request request = {
		.header = { .nlmsg_len = NLMSG_LENGTH(sizeof(request.about)),
			    .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | type,
			    .nlmsg_flags = NLM_F_REQUEST },
		.about = { .nfgen_family = family, .version = NFNETLINK_V0 },
	};

	add_name(&request, chain ? NFTA_CHAIN_TABLE : NFTA_TABLE_NAME, table);
	if (chain)
		add_name(&request, NFTA_CHAIN_NAME, chain);
	return request;
}

/* 1: it is there, 0: it is not, also where the kernel knows no nf_tables; or -errno. */
static int read_answer(const struct nlmsghdr *header, size_t size)
{
	const struct nlmsgerr *error = NLMSG_DATA(header);

	if (!NLMSG_OK(header, size))
		return -EPROTO;
	if (header->nlmsg_type != NLMSG_ERROR)
		return 1;
	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*error)))
		return -EPROTO;
	switch (error->error) {
	case -ENOENT:
	case -EINVAL:
	case -EOPNOTSUPP:
		return 0;
	default:
		return error->error;
	}
}

static int has_nft(int family, const char *table, const char *chain)
{
	struct request request = request_for(family, table, chain);
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	_Alignas(struct nlmsghdr) char answer[8192];
	ssize_t n;

	if (fd < 0)
		return errno == EPROTONOSUPPORT ? 0 : -errno;
	if (send(fd, &request, request.header.nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, answer, sizeof(answer), 0);
	return n < 0 ? -errno : read_answer((const void *)answer, n);
}

/* ---- the older tables ---------------------------------------------------------------------- */

/* Being asked for a table makes it, so the list of those that are there comes first. */
static int has_table(const char *list)
{
	_cleanup_fclose_ FILE *f = fopen(list, "re");
	char line[XT_TABLE_MAXNAMELEN + 1];

	if (!f)
		return errno == ENOENT ? 0 : -errno;
	while (fgets(line, sizeof(line), f))
		if (!strcmp(line, NAT "\n"))
			return 1;
	return 0;
}

/* They are the same for both families, but for their numbers. */
static const struct older {
	int family, level;
	const char *list;
} older_tables[] = {
	{ AF_INET, SOL_IP, "/proc/thread-self/net/ip_tables_names" },
	{ AF_INET6, SOL_IPV6, "/proc/thread-self/net/ip6_tables_names" },
};
static_assert(IPT_SO_GET_INFO == IP6T_SO_GET_INFO, "one number for both families");
static_assert(IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES, "one number for both families");
static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "one layout for both");
static_assert(offsetof(struct ipt_get_entries, entrytable) ==
		      offsetof(struct ip6t_get_entries, entrytable),
	      "one layout for both");

static int read_table(int fd, const struct older *older)
{
	struct ipt_getinfo info = { .name = NAT };
	_cleanup_free_ struct ipt_get_entries *entries = NULL;
	socklen_t size = sizeof(info);

	if (getsockopt(fd, older->level, IPT_SO_GET_INFO, &info, &size))
		return -errno;
	entries = calloc(1, sizeof(*entries) + info.size);
	if (!entries)
		return -ENOMEM;
	strcpy(entries->name, NAT);
	entries->size = info.size;
	size = sizeof(*entries) + info.size;
	if (getsockopt(fd, older->level, IPT_SO_GET_ENTRIES, entries, &size))
		return -errno;
	return xtables_has_chain(entries->entrytable, entries->size, older->family, CHAIN);
}

#define TRIES 3 /* it may grow between the two questions */

static int has_older(const struct older *older)
{
	_cleanup_close_ int fd = -1;
	int r = has_table(older->list);

	if (r <= 0)
		return r;
	fd = socket(older->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = -EAGAIN;
	for (int i = 0; r == -EAGAIN && i < TRIES; i++)
		r = read_table(fd, older);
	return r;
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* One that cannot be asked does not hide what another says. */
static bool note(int answer, struct kube_proxy_sight *sight)
{
	sight->unseen |= answer < 0;
	return answer > 0;
}

void kube_proxy_look(struct kube_proxy_sight *ret)
{
	struct kube_proxy_sight sight = {};
	bool chain = false;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		chain |= note(has_nft(families[i], NAT, CHAIN), &sight);
		sight.rules[KUBE_PROXY_NFTABLES] |=
			note(has_nft(families[i], OWN_TABLE, NULL), &sight);
	}
	for (size_t i = 0; i < ARRAY_SIZE(older_tables) && !chain; i++)
		chain = note(has_older(&older_tables[i]), &sight);
	sight.rules[KUBE_PROXY_IPVS] = if_nametoindex(IPVS_DEVICE);
	sight.rules[KUBE_PROXY_IPTABLES] = chain && !sight.rules[KUBE_PROXY_IPVS];
	if (kube_proxy_is_there(&sight))
		sight.unseen = false;
	*ret = sight;
}
