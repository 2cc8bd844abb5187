/* SPDX-License-Identifier: Apache-2.0 */
#include "model/remedy.h"

#include <stdio.h>

#include "core/cleanup.h"

enum defect {
	DEFECT_FIONREAD, /* unread bytes of a sockmap's member are miscounted */
	DEFECT_CHARGED,  /* redirected bytes take no room in the receive buffer */
};

/*
 * Series whose releases were looked at: the first of them that is right, 0: none is, up to
 * the one that was tried. Of others nothing is known.
 */
static const struct {
	enum defect defect;
	unsigned major, minor;
	unsigned mended;
	const char *tried;
} series[] = {
	{ DEFECT_FIONREAD, 6, 1, 0, "6.1.192" },
	{ DEFECT_FIONREAD, 6, 12, 114, "6.12.117" },
	{ DEFECT_CHARGED, 6, 1, 123, "6.1.192" },
	{ DEFECT_CHARGED, 6, 12, 8, "6.12.117" },
};

static const struct {
	const char *upgrade; /* where the series is not known or has no mended release */
	const char *vendor;  /* where the release should be right, and is not */
	const char *until;   /* what can be done without another kernel */
} defects[] = {
	[DEFECT_FIONREAD] = {
		"use 6.12.114 or later of 6.12 (6.12.117 of Debian 12's backports passes), or one with "
		"mainline commit 04af4efde58a",
		"mainline commit 04af4efde58a may be missing",
		"until then splice: on is for services whose programs do not use FIONREAD",
	},
	[DEFECT_CHARGED] = {
		"use 6.1.123 or later of 6.1, or 6.12.8 or later",
		"a fix of its series may be missing",
		"until then nothing is spliced",
	},
};

static void add_kernel(enum defect defect, const char *release, struct text *out)
{
	unsigned major = 0, minor = 0, patch = 0;

	sscanf(release, "%u.%u.%u", &major, &minor, &patch);
	for (size_t i = 0; i < ARRAY_SIZE(series); i++) {
		if (series[i].defect != defect || series[i].major != major ||
		    series[i].minor != minor)
			continue;
		if (!series[i].mended)
			text_add(out, "no release of %u.%u is known to pass (tried: %s): %s", major,
				 minor, series[i].tried, defects[defect].upgrade);
		else if (patch < series[i].mended)
			text_add(out, "upgrade to %u.%u.%u or later (%s passes)", major, minor,
				 series[i].mended, series[i].tried);
		else
			text_add(out, "%s should pass, as %s does: %s", release, series[i].tried,
				 defects[defect].vendor);
		text_add(out, "; %s", defects[defect].until);
		return;
	}
	text_add(out, "%s; %s", defects[defect].upgrade, defects[defect].until);
}

static const char report[] = "report it, with the output of 'sidestep doctor -v -o json'";
static const char hooks[] =
	"the kernel needs CONFIG_CGROUP_BPF=y; 'bpftool cgroup tree' shows other programs that "
	"may stand in the way";
static const char sockmap[] =
	"the kernel needs CONFIG_BPF_STREAM_PARSER=y; another program's sockmap may hold the "
	"sockets ('bpftool map')";

static const char *plain_remedy(enum check check)
{
	switch (check) {
	case CHECK_SET_RETVAL:
		return "use 5.18 or later: before it a refused connect() says EPERM";
	case CHECK_DESTROY:
		return "the kernel needs CONFIG_INET_DIAG_DESTROY=y ('modprobe -a tcp_diag udp_diag'), or use "
		       "6.5 or later; until then restart programs that stay with an endpoint that has gone";
	case CHECK_READER_SEEN:
	case CHECK_READER_DECLINED:
		return "the kernel needs CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y and "
		       "CONFIG_BPF_JIT=y, and lockdown must not be 'confidentiality'; until then "
		       "splice: on must not be given to services that are read by splice(2)";
	case CHECK_RELEASE:
		return "use 6.1.142 or later of 6.1, 6.6.95 of 6.6, 6.12.35 of 6.12, or 6.16 or later";
	case CHECK_ADOPT:
	case CHECK_REDIRECT:
		return sockmap;
	default:
		return check < CHECK_LIST || check == CHECK_SOCKOPS ? hooks : report;
	}
}

void remedy_add(const struct feature_verdict *verdict, const char *release, struct text *out)
{
	if (verdict->state == FEATURE_OK)
		return;
	switch (verdict->check) {
	case CHECK_NOTHING:
		text_add(out, "see %s", feature_name(verdict->rests_on));
		return;
	case CHECK_FIONREAD_SPLICED:
	case CHECK_FIONREAD_BOTH:
	case CHECK_FIONREAD_TCP:
		add_kernel(DEFECT_FIONREAD, release, out);
		return;
	case CHECK_CHARGED:
	case CHECK_BOUNDS:
		add_kernel(DEFECT_CHARGED, release, out);
		return;
	default:
		text_add(out, "%s", plain_remedy(verdict->check));
	}
}
