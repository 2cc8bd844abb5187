/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load and upgrade. A first load builds everything in PIN/abi<N>-new and renames
 * the folder when the self-test has passed: what is at PIN/abi<N> is always whole.
 * An upgrade loads new programs onto the pinned maps and swaps them link by link;
 * if one swap or the self-test fails, all are swapped back.
 */
#include "datapath/internal.h"

#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "datapath/cache.h"
#include "datapath/host.h"
#include "datapath/ondemand.h"
#include "datapath/orphans.h"
#include "datapath/selftest.h"
#include "datapath/sizes.h"
#include "sidestep.skel.h"

struct load {
	struct datapath *datapath;
	struct problems *problems;
	struct sidestep_bpf *skeleton;
	char cgroup[PATH_MAX];
	int cgroup_fd;
	int old_program[HOOK_MAX]; /* what an upgrade replaced, -1: nothing yet */
	int trace[HOOK_MAX];       /* new links on kernel functions, -1: none */
	int trace_err;             /* why there are none */
	const char *cache;
	struct checks checks;
	bool examining; /* try everything, and go on whatever fails */
	struct sst_meta meta;
};

static void load_release(struct load *load)
{
	sidestep_bpf__destroy(load->skeleton);
	cleanup_close(&load->cgroup_fd);
	for (int i = 0; i < HOOK_MAX; i++) {
		cleanup_close(&load->old_program[i]);
		cleanup_close(&load->trace[i]);
	}
	malloc_trim(0); /* libbpf has read all of the kernel's BTF; a daemon stays */
}

static int quiet(enum libbpf_print_level level, const char *format, va_list ap)
{
	(void)level;
	(void)format;
	(void)ap;
	return 0;
}

static int loud(enum libbpf_print_level level, const char *format, va_list ap)
{
	(void)level;
	return vfprintf(stderr, format, ap);
}

static struct bpf_program *program_of(const struct load *load, enum hook_index hook)
{
	return bpf_object__find_program_by_name(load->skeleton->obj, hooks[hook].program);
}

static int set_pin_paths(struct load *load)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, load->skeleton->obj)
	{
		char path[PATH_MAX];
		int err;

		if (bpf_map__is_internal(map))
			continue;
		err = pin_path(load->datapath, bpf_map__name(map), path);
		if (!err)
			err = bpf_map__set_pin_path(map, path);
		if (err)
			return err;
	}
	return 0;
}

/* One that is pinned stays as it is, whatever memory there was when it was made. */
static int size_map(struct load *load, enum map_index map, uint32_t max_entries)
{
	struct bpf_map_info info = { .max_entries = max_entries };
	_cleanup_close_ int fd = -1;
	__u32 size = sizeof(info);
	char path[PATH_MAX];
	int err = pin_path(load->datapath, map_names[map], path);

	if (err)
		return err;
	fd = bpf_obj_get(path);
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size))
		return -errno;
	return bpf_map__set_max_entries(
		bpf_object__find_map_by_name(load->skeleton->obj, map_names[map]),
		info.max_entries);
}

static int size_maps(struct load *load)
{
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	int err = 0;

	for (int i = 0; i < MAP_MAX && !err; i++) {
		uint32_t max_entries = map_size(i, memory);

		if (max_entries)
			err = size_map(load, i, max_entries);
	}
	return err;
}

/* Programs onto maps; maps that are pinned already are taken over as they are. Without
 * the kernel function's programs where the kernel does not have such. */
static int try_load_programs(struct load *load, bool with_trace)
{
	int err;

	load->skeleton = sidestep_bpf__open();
	if (!load->skeleton)
		return -errno;
	load->skeleton->rodata->have_set_retval =
		libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_set_retval,
					NULL) == 1;
	load->skeleton->rodata->can_release = host_poll_survives_release();
	load->skeleton->rodata->have_rdonly_cast =
		libbpf_find_vmlinux_btf_id("bpf_rdonly_cast", BPF_TRACE_FENTRY) > 0;
	for (int i = 0; i < HOOK_MAX; i++)
		if (hooks[i].kind == HOOK_TRACE && program_of(load, i))
			bpf_program__set_autoload(program_of(load, i), with_trace);
	err = set_pin_paths(load);
	if (!err)
		err = size_maps(load);
	if (!err)
		err = sidestep_bpf__load(load->skeleton);
	if (err) {
		sidestep_bpf__destroy(load->skeleton);
		load->skeleton = NULL;
	}
	return err;
}

static int load_programs(struct load *load)
{
	int err = try_load_programs(load, true);

	load->trace_err = err;
	if (err)
		err = try_load_programs(load, false);
	if (err)
		return fail(load->problems, err,
			    "the kernel refused the BPF programs: %s (-v shows the verifier's log)",
			    strerror(-err));
	return 0;
}

/*
 * A link on a kernel function cannot be updated: an upgrade makes a new one, which takes
 * the old one's pin when all is proven. That the kernel has no such links is told as
 * a feature.
 */
static void trace_attach(struct load *load, enum hook_index hook)
{
	struct bpf_program *program = program_of(load, hook);

	if (!program || bpf_program__fd(program) < 0)
		return;
	load->trace[hook] = bpf_link_create(bpf_program__fd(program), 0, hooks[hook].type, NULL);
	if (load->trace[hook] < 0)
		load->trace_err = -errno;
}

static int link_make(struct load *load, enum hook_index hook)
{
	int program = bpf_program__fd(program_of(load, hook));
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	union bpf_iter_link_info info = {};
	int target = load->cgroup_fd;
	char path[PATH_MAX];
	int fd;

	if (hooks[hook].kind == HOOK_ITER)
		target = 0;
	if (hooks[hook].kind == HOOK_ITER && hooks[hook].map != MAP_MAX) {
		info.map.map_fd = load->datapath->map[hooks[hook].map];
		opts.iter_info = &info;
		opts.iter_info_len = sizeof(info);
	}
	fd = bpf_link_create(program, target, hooks[hook].type, &opts);
	if (fd < 0)
		return -errno;
	load->datapath->link[hook] = fd;
	if (pin_path(load->datapath, hooks[hook].program, path) || bpf_obj_pin(fd, path))
		return -errno;
	return 0;
}

/* What a link runs now, to be able to go back to: by its pin; by its id, which needs
 * CAP_SYS_ADMIN, where an upgrade was killed between two pins. */
static int link_program(struct load *load, enum hook_index hook)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);
	int fd = program_pin_open(load->datapath, hook);

	if (fd != -ENOENT)
		return fd;
	if (bpf_obj_get_info_by_fd(load->datapath->link[hook], &info, &size))
		return -errno;
	fd = bpf_prog_get_fd_by_id(info.prog_id);
	return fd < 0 ? -errno : fd;
}

static bool is_on_demand(enum hook_index hook)
{
	return hooks[hook].kind == HOOK_POLICY || hooks[hook].kind == HOOK_NETNS;
}

static int link_update(struct load *load, enum hook_index hook, int program)
{
	if (is_on_demand(hook))
		return ondemand_update(load->datapath, hook, program);
	return bpf_link_update(load->datapath->link[hook], program, NULL) ? -errno : 0;
}

static int link_swap(struct load *load, enum hook_index hook)
{
	load->old_program[hook] = link_program(load, hook);
	if (load->old_program[hook] < 0)
		return load->old_program[hook];
	return link_update(load, hook, bpf_program__fd(program_of(load, hook)));
}

/* Pins fd at path in place of what is there; -1 takes away what is there. */
static int repin(int fd, const char *path)
{
	char beside[PATH_MAX];

	if (fd < 0)
		return unlink(path) && errno != ENOENT ? -errno : 0;
	if (snprintf(beside, sizeof(beside), "%s-new", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (unlink(beside) && errno != ENOENT)
		return -errno;
	if (bpf_obj_pin(fd, beside) || rename(beside, path))
		return -errno;
	return 0;
}

/* The pins name what runs: programs, which are what an upgrade goes back to, and links on
 * kernel functions. */
static int pin_running(struct load *load)
{
	for (int i = 0; i < HOOK_MAX; i++) {
		bool trace = hooks[i].kind == HOOK_TRACE;
		char path[PATH_MAX];
		int err = trace ? pin_path(load->datapath, hooks[i].program, path)
				: program_pin_path(load->datapath, i, path);

		if (!err)
			err = repin(trace ? load->trace[i] : bpf_program__fd(program_of(load, i)),
				    path);
		if (err)
			return fail(load->problems, err, "%s cannot be pinned: %s",
				    hooks[i].program, strerror(-err));
	}
	return 0;
}

static int sk_msg_attach(struct load *load, enum hook_index hook)
{
	int map = load->datapath->map[hooks[hook].map];
	int program = bpf_program__fd(program_of(load, hook));

	return bpf_prog_attach(program, map, hooks[hook].type, 0) ? -errno : 0;
}

static int attach_all(struct load *load, bool upgrade)
{
	for (int i = 0; i < HOOK_MAX; i++) {
		int err = 0;

		if (hooks[i].kind == HOOK_SK_MSG)
			err = sk_msg_attach(load, i);
		else if (hooks[i].kind == HOOK_TRACE)
			trace_attach(load, i);
		else if (upgrade)
			err = link_swap(load, i);
		else if (!is_on_demand(i))
			err = link_make(load, i);
		if (err)
			return fail(load->problems, err, "%s cannot be attached to %s: %s",
				    hooks[i].program,
				    hooks[i].kind == HOOK_CGROUP ? load->cgroup : "its map",
				    strerror(-err));
	}
	return 0;
}

/* The sockhash keeps the new sk_msg program: it was loaded from the same maps and
 * works with the old ones; the next load replaces it. */
static void swap_back(struct load *load)
{
	for (int i = 0; i < HOOK_MAX; i++) {
		char path[PATH_MAX];

		if (load->old_program[i] < 0)
			continue;
		link_update(load, i, load->old_program[i]);
		if (!program_pin_path(load->datapath, i, path))
			repin(load->old_program[i], path);
	}
}

static int take_map_fds(struct load *load)
{
	for (int i = 0; i < MAP_MAX; i++) {
		int fd = bpf_object__find_map_fd_by_name(load->skeleton->obj, map_names[i]);

		load->datapath->map[i] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (load->datapath->map[i] < 0)
			return -errno;
	}
	return datapath_count_slots(load->datapath);
}

static int open_cgroup(struct load *load, const char *given)
{
	int err = host_cgroup_resolve(given, load->cgroup, load->problems);
	uint64_t id;

	if (err)
		return err;
	load->cgroup_fd = open(load->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (load->cgroup_fd < 0)
		return fail(load->problems, -errno, "%s: %s", load->cgroup, strerror(errno));
	err = host_cgroup_id(load->cgroup_fd, &id);
	if (err)
		return fail(load->problems, err, "%s: its id cannot be told: %s", load->cgroup,
			    strerror(-err));
	if (load->meta.abi && load->meta.cgroup_id != id)
		return fail(load->problems, -EEXIST,
			    "loaded on cgroup %s already: unload first to move to %s",
			    load->meta.cgroup, load->cgroup);
	if (strlen(load->cgroup) >= sizeof(load->meta.cgroup))
		return fail(load->problems, -ENAMETOOLONG, "%s: the path is longer than %zu bytes",
			    load->cgroup, sizeof(load->meta.cgroup) - 1);
	load->meta.cgroup_id = id;
	strcpy(load->meta.cgroup, load->cgroup);
	return 0;
}

/* size: of the value, on each CPU or not. */
static int first_entry(struct load *load, enum map_index map, __u32 id, size_t size)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ void *zero = NULL;

	if (cpus < 0)
		return cpus;
	zero = calloc(cpus, size);
	if (!zero)
		return -ENOMEM;
	if (bpf_map_update_elem(load->datapath->map[map], &id, zero, BPF_NOEXIST) &&
	    errno != EEXIST)
		return -errno;
	return 0;
}

/* Entries that must exist before the first flow: the statistics of "no service", and its edge
 * for what there is no memory for just then. */
static int first_entries(struct load *load)
{
	struct sst_config config = { .splice = SST_SPLICE_OFF };
	int err = first_entry(load, MAP_service_stats, 0, sizeof(struct sst_stats));

	if (!err)
		err = first_entry(load, MAP_edges, SST_EDGE_FOLDED, sizeof(struct sst_edge));
	if (!err)
		err = first_entry(load, MAP_edge_info, SST_EDGE_FOLDED,
				  sizeof(struct sst_edge_info));
	return err ?: config_write(load->datapath, &config);
}

/* Before the self-test, which tries it. */
static int tell_map_id(struct load *load)
{
	struct sst_config config;
	int err = config_read(load->datapath, &config);

	if (err)
		return err;
	config.spliced_map_id = object_id(load->datapath->map[MAP_spliced]);
	return config_write(load->datapath, &config);
}

/* Whether the programs that watch splice(2) are attached. */
static bool readers_watched(struct load *load)
{
	bool watched = true;

	for (int i = 0; i < HOOK_MAX; i++)
		if (hooks[i].kind == HOOK_TRACE)
			watched &= load->trace[i] >= 0;
	if (watched)
		return true;
	check_skip(&load->checks, CHECK_READER_SEEN,
		   "no fentry or fmod_ret on this kernel (%s): such readers are not recognised",
		   strerror(-load->trace_err));
	check_skip(&load->checks, CHECK_READER_DECLINED, "%s",
		   load->checks.result[CHECK_READER_SEEN].reason);
	return false;
}

/* Tries what the kernel has not been tried for since it was booted. */
static int run_checks(struct load *load)
{
	struct selftest_how how = { .kernel = true,
				    .alone = load->examining,
				    .readers = readers_watched(load) };
	char key[CACHE_KEY_MAX];
	int err;

	if (!load->skeleton->rodata->can_release)
		check_fail(&load->checks, CHECK_RELEASE,
			   "this kernel's poll() may not survive it: no socket is taken out");

	cache_key(load->skeleton->skeleton->data, load->skeleton->skeleton->data_sz, how.readers,
		  key);
	if (load->cache && !load->examining)
		how.kernel = !cache_read(load->cache, key, &load->checks);
	err = selftest_run(load->datapath, load->cgroup_fd, &how, &load->checks, load->problems);
	if (!err && load->cache && how.kernel)
		cache_write(load->cache, key, &load->checks);
	return err;
}

/* Writes down which features are off; without an essential one nothing is loaded. */
static int judge(struct load *load)
{
	struct feature_verdict features[SST_FEATURE_MAX];
	int err = 0;

	checks_judge(&load->checks, false, features);
	for (int i = 0; i < SST_FEATURE_MAX; i++) {
		char *why = load->meta.feature_off[i];

		memcpy(why, features[i].reason, SST_REASON_MAX);
		if (*why && feature_is_essential(i) && !load->examining)
			err = fail(load->problems, -EIO, "self-test: %s in %s: %s",
				   check_infos[features[i].check].name, load->cgroup, why);
	}
	return err;
}

/* Runs the self-test and writes down what it found. */
static int prove(struct load *load)
{
	const struct sst_meta *meta = &load->meta;
	struct sst_config config;
	int err = tell_map_id(load);

	if (!err)
		err = run_checks(load);
	if (!err)
		err = judge(load);
	if (err)
		return err;
	err = config_read(load->datapath, &config);
	if (err)
		return err;
	config.splice_auto = !meta->feature_off[SST_FEATURE_SPLICE_AUTO][0];
	config.splice_broken = meta->feature_off[SST_FEATURE_SPLICE][0] != 0;
	return config_write(load->datapath, &config);
}

static int write_meta(struct load *load)
{
	struct sst_meta *meta = &load->meta;

	if (!meta->abi) {
		meta->abi = SST_ABI_VERSION;
		meta->loaded_ns = clock_ns(CLOCK_REALTIME);
		meta->next_service = 1;
		meta->next_endpoint = 1;
		meta->next_identity = SST_IDENTITY_FIRST;
		meta->next_workload = 1;
		meta->next_rule = 1;
		meta->next_set = 1;
	}
	meta->loads++;
	snprintf(meta->version, sizeof(meta->version), "%s", SIDESTEP_VERSION);
	return meta_write(load->datapath, meta);
}

static int attach_and_prove(struct load *load, bool upgrade)
{
	int err = attach_all(load, upgrade);

	if (!err)
		err = prove(load);
	if (!err)
		err = pin_running(load);
	if (!err)
		err = write_meta(load);
	return err;
}

static int upgrade(struct load *load, const struct datapath_options *options)
{
	struct datapath *datapath = load->datapath;
	struct sst_config before;
	int err = datapath_attach_pins(datapath);

	if (!err)
		err = meta_read(datapath, &load->meta);
	if (!err)
		err = config_read(datapath, &before);
	if (err)
		return fail(load->problems, err, "%s: what is pinned there is not whole: %s",
			    datapath->folder, strerror(-err));
	err = open_cgroup(load, options->cgroup ? options->cgroup : load->meta.cgroup);
	if (!err)
		err = orphans_delete(datapath);
	if (!err)
		err = load_programs(load);
	if (!err)
		err = attach_and_prove(load, true);
	if (err) {
		swap_back(load);
		config_write(datapath, &before);
		return err;
	}
	return datapath_stop_splice(datapath); /* what the new self-test forbids */
}

/* Renames abi<N>-new to abi<N>. */
static int publish(struct load *load, char **building)
{
	if (rename(*building, load->datapath->folder))
		return fail(load->problems, -errno, "%s: %s", load->datapath->folder,
			    strerror(errno));
	return 0;
}

static int first_load_in(struct load *load, const struct datapath_options *options)
{
	int err = open_cgroup(load, options->cgroup);

	if (!err)
		err = load_programs(load);
	if (!err)
		err = take_map_fds(load);
	if (!err)
		err = first_entries(load);
	if (!err)
		err = attach_and_prove(load, false);
	return err;
}

static int first_load(struct load *load, const struct datapath_options *options)
{
	struct datapath *datapath = load->datapath;
	_cleanup_free_ char *building = NULL;
	char *final = datapath->folder;
	int err;

	if (asprintf(&building, "%s-new", final) < 0)
		return -ENOMEM;
	pins_remove(building); /* of a load that was killed */
	if (mkdir(building, 0700))
		return fail(load->problems, -errno, "%s: %s", building, strerror(errno));
	datapath->folder = building;
	err = first_load_in(load, options);
	datapath->folder = final;
	if (!err)
		err = publish(load, &building);
	if (err)
		pins_remove(building);
	return err;
}

static int pin_folder(struct datapath *datapath, struct problems *problems)
{
	int err = host_bpffs_folder(datapath->pin, problems);

	if (err)
		return err;
	datapath->pin_fd = open(datapath->pin, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (datapath->pin_fd < 0)
		return fail(problems, -errno, "%s: %s", datapath->pin, strerror(errno));
	err = datapath_lock(datapath, DATAPATH_LOCK_MS);
	if (err == -EBUSY)
		return fail(problems, err, "another sidestep is changing %s", datapath->pin);
	if (err)
		return fail(problems, err, "%s cannot be locked: %s", datapath->pin,
			    strerror(-err));
	return 0;
}

static int load_or_examine(const struct datapath_options *options, struct checks *examined,
			   struct problems *problems, struct datapath **ret)
{
	_cleanup_datapath_ struct datapath *datapath = datapath_new(options->pin);
	struct datapath *existing = NULL;
	struct load load = { .datapath = datapath,
			     .problems = problems,
			     .cgroup_fd = -1,
			     .cache = options->cache,
			     .examining = examined != NULL };
	int err;

	if (!datapath)
		return -ENOMEM;
	for (int i = 0; i < HOOK_MAX; i++)
		load.old_program[i] = load.trace[i] = -1;
	libbpf_set_print(options->verbose ? loud : quiet);
	err = host_check(problems);
	if (!err)
		err = pin_folder(datapath, problems);
	if (err)
		return err;
	err = datapath_open(options->pin, &existing);
	datapath_close(existing);
	if (err == -EPROTO)
		fail(problems, err,
		     "%s holds the maps of a version with another ABI: unload it first",
		     options->pin);
	else
		err = err ? first_load(&load, options) : upgrade(&load, options);
	load_release(&load);
	if (examined)
		*examined = load.checks;
	if (err) {
		rmdir(options->pin);
		return err;
	}
	*ret = TAKE_PTR(datapath);
	return 0;
}

int datapath_load(const struct datapath_options *options, struct problems *problems,
		  struct datapath **ret)
{
	return load_or_examine(options, NULL, problems, ret);
}

int load_examining(const struct datapath_options *options, struct checks *examined,
		   struct problems *problems, struct datapath **ret)
{
	return load_or_examine(options, examined, problems, ret);
}
