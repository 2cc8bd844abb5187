/* SPDX-License-Identifier: Apache-2.0 */
/* What `top` shows, on a screen (screen.c) or as text. */
#ifndef SIDESTEP_CLI_TOP_H
#define SIDESTEP_CLI_TOP_H

#include "cli/cli.h"
#include "datapath/datapath.h"
#include "live/view.h"

#define TOP_FILTER_MAX 64

/* What of it is shown. */
struct top {
	const char *pin;
	unsigned interval_s;
	enum live_view view;
	unsigned sort[LIVE_VIEWS]; /* columns */
	bool reverse[LIVE_VIEWS];
	char filter[TOP_FILTER_MAX];
	struct live_sample before, now; /* zeroed: there is none */
};

/* Looks at the data plane once more: "now" becomes "before". Flows are looked at for their
 * view only. On failure both stay. */
int top_look(struct top *top, struct datapath *datapath);

/* Forgets what was seen. */
void top_forget(struct top *top);

/* What rates are of; 0: there was one look only. */
double top_seconds(const struct top *top);

/* The rows of the view, filtered and sorted. */
int top_rows(const struct top *top, struct live_rows *ret);

/* "200 flows with fewer bytes/s are left out"; nothing where none is. */
void top_left_out(const struct live_rows *rows, struct text *out);

/* Shows it on the terminal until the user has enough. */
int top_screen(struct top *top);

#endif
