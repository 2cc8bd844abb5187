/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/above.h"

#include <fcntl.h>
#include <string.h>

#include "core/text.h"
#include "datapath/internal.h"

#define PROGRAMS_MAX 64

struct above {
	unsigned ours;      /* of a Sidestep */
	struct text others; /* names */
};

/* Ours bear the names of the table of hooks. */
static bool is_ours(const char *name)
{
	/* the kernel keeps 15 characters of a name */
	for (int i = 0; i < HOOK_MAX; i++)
		if (!strncmp(hooks[i].program, name, BPF_OBJ_NAME_LEN - 1))
			return true;
	return false;
}

static void add_program(struct above *above, __u32 id)
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size))
		return;
	if (is_ours(info.name)) {
		above->ours++;
		return;
	}
	/* for several hooks, one name is enough */
	if (!strstr(text_string(&above->others), info.name))
		text_add(&above->others, "%s%s", above->others.length ? ", " : "",
			 info.name[0] ? info.name : "one without a name");
}

static void look_at(struct above *above, int cgroup, enum bpf_attach_type type)
{
	__u32 ids[PROGRAMS_MAX];
	LIBBPF_OPTS(bpf_prog_query_opts, query, .query_flags = BPF_F_QUERY_EFFECTIVE,
		    .prog_ids = ids, .prog_cnt = PROGRAMS_MAX);

	if (bpf_prog_query_opts(cgroup, type, &query))
		return;
	for (__u32 i = 0; i < query.prog_cnt; i++)
		add_program(above, ids[i]);
}

void above_tell(const char *cgroup, struct problems *problems)
{
	_cleanup_close_ int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct above above = {};

	for (int i = 0; fd >= 0 && i < HOOK_MAX; i++)
		if (hooks[i].kind == HOOK_CGROUP)
			look_at(&above, fd, hooks[i].type);
	if (above.ours)
		problems_warn(problems, cgroup, (struct place){},
			      "another Sidestep serves a cgroup above: its hooks run here, too");
	if (above.others.length)
		problems_warn(problems, cgroup, (struct place){},
			      "programs on a cgroup above run here, too: %s",
			      text_string(&above.others));
	text_release(&above.others);
}
