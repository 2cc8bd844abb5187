/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/addresses.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/cleanup.h"

#define SETTLE_MS 50

struct addresses {
	uv_poll_t poll;
	uv_timer_t timer;
	int fd;
	void (*changed)(void *arg);
	void *arg;
};

static void on_settled(uv_timer_t *timer)
{
	struct addresses *addresses = timer->data;

	addresses->changed(addresses->arg);
}

/* What has changed is looked for, so news that were lost are as good as any. */
static void on_news(uv_poll_t *poll, int status, int events)
{
	struct addresses *addresses = poll->data;
	char news[8192];
	ssize_t n;

	(void)status;
	(void)events;
	do
		n = recv(addresses->fd, news, sizeof(news), MSG_DONTWAIT);
	while (n > 0 || (n < 0 && errno == ENOBUFS));
	/* not again while it runs: what never rests must not hold it off */
	if (!uv_is_active((uv_handle_t *)&addresses->timer))
		uv_timer_start(&addresses->timer, on_settled, SETTLE_MS, 0);
}

static int open_news(void)
{
	const struct sockaddr_nl us = { .nl_family = AF_NETLINK,
					.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (const void *)&us, sizeof(us)))
		return -errno;
	return TAKE_FD(fd);
}

int addresses_follow(uv_loop_t *loop, void (*changed)(void *arg), void *arg, struct addresses **ret)
{
	struct addresses *addresses = calloc(1, sizeof(*addresses));
	int fd = addresses ? open_news() : -ENOMEM;
	int err = fd < 0 ? fd : uv_poll_init(loop, &addresses->poll, fd);

	if (err) {
		cleanup_close(&fd);
		free(addresses);
		return err;
	}
	addresses->fd = fd;
	addresses->changed = changed;
	addresses->arg = arg;
	uv_timer_init(loop, &addresses->timer);
	addresses->poll.data = addresses->timer.data = addresses;
	uv_poll_start(&addresses->poll, UV_READABLE, on_news);
	*ret = addresses;
	return 0;
}

void addresses_free(struct addresses *addresses)
{
	if (!addresses)
		return;
	close(addresses->fd);
	free(addresses);
}
