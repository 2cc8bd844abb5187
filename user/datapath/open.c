/* SPDX-License-Identifier: Apache-2.0 */
/* Finding what is loaded by its pins, and the writer's lock. */
#include "datapath/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)
#define ABI_FOLDER    "abi" STRINGIFY(SST_ABI_VERSION)

int fail(struct problems *problems, int err, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	problems_add(problems, "sidestep", (struct place){}, "%s", text);
	return err;
}

struct datapath *datapath_new(const char *pin)
{
	struct datapath *datapath = calloc(1, sizeof(*datapath));

	if (!datapath)
		return NULL;
	datapath->pin_fd = -1;
	for (int i = 0; i < MAP_MAX; i++)
		datapath->map[i] = -1;
	for (int i = 0; i < HOOK_MAX; i++)
		datapath->link[i] = -1;
	datapath->pin = strdup(pin);
	if (!datapath->pin || asprintf(&datapath->folder, "%s/" ABI_FOLDER, pin) < 0) {
		free(datapath->pin);
		free(datapath);
		return NULL;
	}
	return datapath;
}

void datapath_close_slots(struct datapath *datapath)
{
	if (datapath->window)
		munmap(datapath->window, (size_t)datapath->window_n * sizeof(*datapath->window));
	datapath->window = NULL;
}

void datapath_close(struct datapath *datapath)
{
	if (!datapath)
		return;
	datapath_close_slots(datapath);
	for (int i = 0; i < MAP_MAX; i++)
		cleanup_close(&datapath->map[i]);
	for (int i = 0; i < HOOK_MAX; i++)
		cleanup_close(&datapath->link[i]);
	cleanup_close(&datapath->pin_fd); /* drops the lock */
	free(datapath->folder);
	free(datapath->pin);
	free(datapath);
}

int pin_path(const struct datapath *datapath, const char *name, char path[PATH_MAX])
{
	if (snprintf(path, PATH_MAX, "%s/%s", datapath->folder, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

int program_pin_path(const struct datapath *datapath, enum hook_index hook, char path[PATH_MAX])
{
	char name[64];

	snprintf(name, sizeof(name), "program_%s", hooks[hook].program);
	return pin_path(datapath, name, path);
}

/* By its pin: asking for a program by its id would need CAP_SYS_ADMIN. */
int program_pin_open(const struct datapath *datapath, enum hook_index hook)
{
	char path[PATH_MAX];
	int fd, err = program_pin_path(datapath, hook, path);

	if (err)
		return err;
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

__u32 object_id(int fd)
{
	union {
		struct bpf_map_info map;
		struct bpf_prog_info program;
		struct bpf_link_info link;
	} info = {};
	__u32 size = sizeof(info);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.map.id;
}
static_assert(offsetof(struct bpf_map_info, id) == offsetof(struct bpf_prog_info, id),
	      "object_id()");
static_assert(offsetof(struct bpf_map_info, id) == offsetof(struct bpf_link_info, id),
	      "object_id()");

/* What is mapped counts as memory of ours, all of it: some 128 KB of 4 MB are in sight. */
#define WINDOW_SLOTS 32768

/* A window begins with a page, and ends with the map at the latest. */
static int open_window(struct datapath *datapath, uint32_t first, uint32_t n)
{
	uint32_t per_page = sysconf(_SC_PAGESIZE) / sizeof(*datapath->window);
	uint32_t all = datapath->n_slots + SELFTEST_SLOTS, begin = first - first % per_page;
	uint32_t end = first + n > begin + WINDOW_SLOTS ? first + n : begin + WINDOW_SLOTS;
	void *window;

	datapath_close_slots(datapath);
	datapath->window_first = begin;
	datapath->window_n = (end < all ? end : all) - begin;
	window = mmap(NULL, (size_t)datapath->window_n * sizeof(*datapath->window),
		      PROT_READ | PROT_WRITE, MAP_SHARED, datapath->map[MAP_slots],
		      (off_t)begin * sizeof(*datapath->window));
	if (window == MAP_FAILED)
		return -errno;
	datapath->window = window;
	return 0;
}

uint32_t *datapath_slots(struct datapath *datapath, uint32_t first, uint32_t n)
{
	uint64_t end = (uint64_t)first + n;

	if (end > (uint64_t)datapath->n_slots + SELFTEST_SLOTS) {
		errno = E2BIG;
		return NULL;
	}
	if (datapath->window && first >= datapath->window_first &&
	    end <= (uint64_t)datapath->window_first + datapath->window_n)
		return datapath->window + (first - datapath->window_first);
	if (open_window(datapath, first, n))
		return NULL;
	return datapath->window + (first - datapath->window_first);
}

int datapath_count_slots(struct datapath *datapath)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(datapath->map[MAP_slots], &info, &size))
		return -errno;
	datapath->n_slots = info.max_entries * SST_RUN - SELFTEST_SLOTS;
	return 0;
}

static int pinned(const struct datapath *datapath, const char *name)
{
	char path[PATH_MAX];
	int fd, err = pin_path(datapath, name, path);

	if (err)
		return err;
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

int datapath_attach_pins(struct datapath *datapath)
{
	for (int i = 0; i < MAP_MAX; i++) {
		datapath->map[i] = pinned(datapath, map_names[i]);
		if (datapath->map[i] < 0)
			return datapath->map[i];
	}
	for (int i = 0; i < HOOK_MAX; i++) {
		/* others have none, or come and go: held open they would outlive their pin */
		if (hooks[i].kind != HOOK_CGROUP && hooks[i].kind != HOOK_ITER)
			continue;
		datapath->link[i] = pinned(datapath, hooks[i].program);
		if (datapath->link[i] < 0)
			return datapath->link[i];
	}
	return datapath_count_slots(datapath);
}

/* Nothing of ours, or something of another ABI version? */
static int why_not_there(const char *pin)
{
	DIR *dir = opendir(pin);
	struct dirent *entry;
	int err = -ENOENT;

	if (!dir)
		return errno == ENOTDIR ? -ENOENT : -errno;
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "abi", 3) && strcmp(entry->d_name, ABI_FOLDER) &&
		    !strstr(entry->d_name, "-new"))
			err = -EPROTO;
	closedir(dir);
	return err;
}

int datapath_open(const char *pin, struct datapath **ret)
{
	_cleanup_datapath_ struct datapath *datapath = datapath_new(pin);
	struct sst_meta meta;
	int err;

	if (!datapath)
		return -ENOMEM;
	if (access(datapath->folder, F_OK))
		return errno == ENOENT ? why_not_there(pin) : -errno;
	datapath->pin_fd = open(pin, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (datapath->pin_fd < 0)
		return -errno;
	err = datapath_attach_pins(datapath);
	if (err == -ENOENT && !access(datapath->folder, F_OK))
		err = -EPROTO; /* there, but of another layout */
	if (err)
		return err;
	err = meta_read(datapath, &meta);
	if (err)
		return err;
	if (meta.abi != SST_ABI_VERSION)
		return -EPROTO;
	*ret = TAKE_PTR(datapath);
	return 0;
}

static int claim(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return TAKE_FD(fd);
}

int pin_claim(const struct datapath *datapath, enum map_index map)
{
	char path[PATH_MAX];
	int err = pin_path(datapath, map_names[map], path);

	return err ?: claim(path);
}

int list_claim(const struct datapath *datapath)
{
	return claim(datapath->folder);
}

int datapath_claim(const char *pin)
{
	_cleanup_datapath_ struct datapath *datapath = datapath_new(pin);

	return datapath ? pin_claim(datapath, MAP_meta) : -ENOMEM;
}

bool datapath_present(const struct datapath *datapath)
{
	char path[PATH_MAX];
	int fd;

	if (pin_path(datapath, map_names[MAP_meta], path))
		return false;
	fd = bpf_obj_get(path);
	if (fd >= 0) {
		struct bpf_map_info ours = {}, theirs = {};
		__u32 size = sizeof(ours);
		bool same = !bpf_obj_get_info_by_fd(fd, &theirs, &size) &&
			    !bpf_obj_get_info_by_fd(datapath->map[MAP_meta], &ours, &size) &&
			    ours.id == theirs.id;

		close(fd);
		return same;
	}
	return errno != ENOENT;
}

/* The folder may have been removed and made anew while we waited. */
static bool lock_is_current(const struct datapath *datapath)
{
	struct stat ours, theirs;

	return !fstat(datapath->pin_fd, &ours) && !stat(datapath->pin, &theirs) &&
	       ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

int datapath_lock(struct datapath *datapath, unsigned wait_ms)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	for (unsigned waited = 0;; waited += 20) {
		if (!flock(datapath->pin_fd, LOCK_EX | LOCK_NB)) {
			if (!lock_is_current(datapath)) {
				flock(datapath->pin_fd, LOCK_UN);
				return -ENOENT;
			}
			datapath->locked = true;
			return 0;
		}
		if (errno != EWOULDBLOCK)
			return -errno;
		if (waited >= wait_ms)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
}

void datapath_unlock(struct datapath *datapath)
{
	if (datapath->locked)
		flock(datapath->pin_fd, LOCK_UN);
	datapath->locked = false;
}

static int single_read(int fd, void *value)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(fd, &key, value) ? -errno : 0;
}

static int single_write(int fd, const void *value)
{
	__u32 key = 0;

	return bpf_map_update_elem(fd, &key, value, BPF_ANY) ? -errno : 0;
}

int meta_read(const struct datapath *datapath, struct sst_meta *ret)
{
	return single_read(datapath->map[MAP_meta], ret);
}

int meta_write(const struct datapath *datapath, const struct sst_meta *meta)
{
	return single_write(datapath->map[MAP_meta], meta);
}

int config_read(const struct datapath *datapath, struct sst_config *ret)
{
	return single_read(datapath->map[MAP_config], ret);
}

int config_write(const struct datapath *datapath, const struct sst_config *config)
{
	return single_write(datapath->map[MAP_config], config);
}

int datapath_want_events(struct datapath *datapath, bool wanted)
{
	struct sst_interest interest = { .events = wanted };

	return single_write(datapath->map[MAP_interest], &interest);
}

int datapath_events_fd(const struct datapath *datapath)
{
	return datapath->map[MAP_events];
}

int datapath_errands_fd(const struct datapath *datapath)
{
	return datapath->map[MAP_errands];
}

const char *datapath_libbpf_version(void)
{
	return libbpf_version_string();
}
