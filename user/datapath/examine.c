/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doctor: loads a data plane beside whatever is loaded, tries it, takes it out again, and
 * looks whether all of it has gone.
 */
#include "datapath/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "core/clock.h"
#include "datapath/host.h"
#include "datapath/outside.h"
#include "datapath/selftest.h"

#define CGROUP_PREFIX "sidestep.doctor."
#define PIN_SUFFIX    "-doctor-" /* bpffs wants no dots */

/* The kernel frees programs and maps a grace period after the last pin has gone. */
#define FREED_MS 5000
#define DYING_MS 500 /* that a child of who was killed may take to die */
#define STEP_MS  10

struct examination {
	const struct datapath_options *options;
	struct survey *survey;
	char pin[PATH_MAX];
	char parent[PATH_MAX]; /* of our cgroup */
	int parent_fd;
	char cgroup_name[64];
	char cgroup[PATH_MAX];
	/* by kind, of what was loaded; 0: none */
	__u32 maps[MAP_MAX], programs[HOOK_MAX], links[HOOK_MAX];
};

/* ---- leftovers of examinations that were killed ------------------------------------------ */

static void pause_a_step(void)
{
	const struct timespec pause = { .tv_nsec = STEP_MS * 1000 * 1000 };

	nanosleep(&pause, NULL);
}

/* Whoever works below a pin folder holds its lock: also in another namespace of pids, and for a
 * moment the self-test's child, which is killed with its parent. */
static bool is_abandoned(const char *pin, int pid)
{
	_cleanup_close_ int fd = open(pin, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (!kill(pid, 0) || errno != ESRCH || fd < 0)
		return false;
	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB); waited += STEP_MS) {
		if (waited >= DYING_MS)
			return false;
		pause_a_step();
	}
	return true;
}

static void remove_pins(const char *pin)
{
	const struct unload_options at_once = { .force = true };
	_cleanup_problems_ struct problems ignored = {};

	datapath_unload(pin, &at_once, &ignored);
}

void datapath_unload_abandoned(const char *pin, const char *suffix)
{
	char folder[PATH_MAX], base[PATH_MAX], path[PATH_MAX + 256];
	const char *name, *parent;
	struct dirent *entry;
	DIR *dir;

	snprintf(folder, sizeof(folder), "%s", pin);
	snprintf(base, sizeof(base), "%s", pin);
	name = basename(base);
	parent = dirname(folder);
	dir = opendir(parent);
	while (dir && (entry = readdir(dir))) {
		size_t length = strlen(name), end = length + strlen(suffix);
		int pid;

		if (strncmp(entry->d_name, name, length) || strlen(entry->d_name) <= end ||
		    strncmp(entry->d_name + length, suffix, end - length) ||
		    sscanf(entry->d_name + end, "%d", &pid) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%s", parent, entry->d_name);
		if (is_abandoned(path, pid))
			remove_pins(path);
	}
	if (dir)
		closedir(dir);
}

/* ---- what was loaded, and whether it has gone --------------------------------------------- */

static void remember_ids(struct examination *it, const struct datapath *datapath)
{
	for (int i = 0; i < MAP_MAX; i++)
		it->maps[i] = object_id(datapath->map[i]);
	for (int i = 0; i < HOOK_MAX; i++) {
		_cleanup_close_ int program = program_pin_open(datapath, i);

		it->programs[i] = object_id(program);
		it->links[i] = object_id(datapath->link[i]);
	}
}

/* Without CAP_SYS_ADMIN it cannot be asked for, and counts as gone. */
static bool is_there(int (*open_by_id)(__u32 id), __u32 id)
{
	_cleanup_close_ int fd = id ? open_by_id(id) : -1;

	return fd >= 0;
}

/* What is still there, NULL: nothing. */
static const char *what_is_there(const struct examination *it)
{
	if (!access(it->pin, F_OK))
		return "pins";
	for (int i = 0; i < HOOK_MAX; i++)
		if (is_there(bpf_link_get_fd_by_id, it->links[i]))
			return "a link";
	for (int i = 0; i < HOOK_MAX; i++)
		if (is_there(bpf_prog_get_fd_by_id, it->programs[i]))
			return hooks[i].program;
	for (int i = 0; i < MAP_MAX; i++)
		if (is_there(bpf_map_get_fd_by_id, it->maps[i]))
			return map_names[i];
	return NULL;
}

static const char *what_stays(const struct examination *it)
{
	const char *what = what_is_there(it);

	for (int waited = 0; what && waited < FREED_MS; waited += STEP_MS) {
		pause_a_step();
		what = what_is_there(it);
	}
	return what;
}

static void take_out(struct examination *it)
{
	const struct unload_options patient = { .drain_ms = 1000 };
	struct checks *checks = &it->survey->checks;
	int err = datapath_unload(it->pin, &patient, &it->survey->problems);
	const char *what;

	if (err) {
		check_fail(checks, CHECK_UNLOAD, "it failed: %s", strerror(-err));
		remove_pins(it->pin);
	}
	what = what_stays(it);
	if (what)
		check_fail(checks, CHECK_UNLOAD, "%s stays", what);
	err = remove_cgroup(it->parent_fd, it->cgroup_name);
	if (err)
		check_fail(checks, CHECK_UNLOAD, "%.60s stays: %s", it->cgroup_name,
			   strerror(-err));
	check_pass(checks, CHECK_UNLOAD);
}

/* ---- the way through ------------------------------------------------------------------------- */

static int make_cgroup(struct examination *it)
{
	struct problems *problems = &it->survey->problems;
	int err = host_cgroup_resolve(it->options->cgroup, it->parent, problems);

	if (err)
		return err;
	it->parent_fd = open(it->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (it->parent_fd < 0)
		return fail(problems, -errno, "%s: %s", it->parent, strerror(errno));
	remove_stale_cgroups(it->parent_fd, CGROUP_PREFIX);
	snprintf(it->cgroup_name, sizeof(it->cgroup_name), CGROUP_PREFIX "%d", getpid());
	if (snprintf(it->cgroup, PATH_MAX, "%s/%s", it->parent, it->cgroup_name) >= PATH_MAX)
		return fail(problems, -ENAMETOOLONG, "%s: the path is too long", it->parent);
	if (mkdirat(it->parent_fd, it->cgroup_name, 0755))
		return fail(problems, -errno, "%s: %s", it->cgroup, strerror(errno));
	return 0;
}

static void load_and_take_out(struct examination *it)
{
	const struct datapath_options own = { .pin = it->pin,
					      .cgroup = it->cgroup,
					      .cache = it->options->cache };
	struct survey *survey = it->survey;
	struct datapath *datapath = NULL;

	if (load_examining(&own, &survey->checks, &survey->problems, &datapath)) {
		remove_cgroup(it->parent_fd, it->cgroup_name);
		return;
	}
	survey->loaded = true;
	remember_ids(it, datapath);
	datapath_close(datapath);
	take_out(it);
}

static void examine(struct examination *it)
{
	const char *pin = it->options->pin;

	if (host_check(&it->survey->problems))
		return;
	if (snprintf(it->pin, PATH_MAX, "%s" PIN_SUFFIX "%d", pin, getpid()) >= PATH_MAX) {
		fail(&it->survey->problems, -ENAMETOOLONG, "%s: the path is too long", pin);
		return;
	}
	datapath_unload_abandoned(pin, PIN_SUFFIX);
	if (!make_cgroup(it))
		load_and_take_out(it);
}

/* Of what may serve beside: its workloads. */
static void look_at_loaded(const struct datapath_options *options, struct problems *problems)
{
	_cleanup_datapath_ struct datapath *loaded = NULL;
	_cleanup_state_ struct state state = {};

	if (!datapath_open(options->pin, &loaded) && !datapath_dump(loaded, DUMP_POLICY, &state))
		outside_tell_loaded(&state.policy, state.meta.cgroup, problems);
}

void datapath_examine(const struct datapath_options *options, struct survey *ret)
{
	struct examination it = { .options = options, .survey = ret, .parent_fd = -1 };
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);
	const struct problems *problems = &ret->problems;

	host_survey(ret);
	examine(&it);
	cleanup_close(&it.parent_fd);
	checks_explain(&ret->checks, problems->count ? problems->text[0] : NULL);
	checks_judge(&ret->checks, true, ret->features);
	look_at_loaded(options, &ret->problems);
	ret->took_ns = clock_ns(CLOCK_MONOTONIC) - begin;
}
