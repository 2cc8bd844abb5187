/* SPDX-License-Identifier: Apache-2.0 */
#include "datapath/host.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <libgen.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "datapath/internal.h"
#include "datapath/kube_proxy.h"

#define BPFFS         "/sys/fs/bpf"
#define BTF           "/sys/kernel/btf/vmlinux"
#define MIN_KERNEL    6
#define FILEID_KERNFS 0xfe /* of linux/exportfs.h, which is not for userspace */
#define MIN_RELEASE   1

static int effective_capabilities(uint64_t *ret)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	if (syscall(SYS_capget, &header, data))
		return -errno;
	*ret = (uint64_t)data[1].effective << 32 | data[0].effective;
	return 0;
}

static const struct {
	int number;
	const char *name;
} needed[] = {
	{ CAP_BPF, "CAP_BPF" },
	{ CAP_NET_ADMIN, "CAP_NET_ADMIN" },
	{ CAP_PERFMON, "CAP_PERFMON" },
};

static int check_capabilities(struct problems *problems)
{
	uint64_t have = 0;
	int err = 0;

	if (effective_capabilities(&have))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (!(have >> needed[i].number & 1))
			err = fail(problems, -EOPNOTSUPP,
				   "%s is missing: run as root or grant the capability",
				   needed[i].name);
	return err;
}

static bool kernel_is_too_old(struct utsname *name)
{
	unsigned major = 0, minor = 0;

	if (uname(name) || sscanf(name->release, "%u.%u", &major, &minor) != 2)
		return false;
	return major < MIN_KERNEL || (major == MIN_KERNEL && minor < MIN_RELEASE);
}

static int check_kernel(struct problems *problems)
{
	struct utsname name;

	if (!kernel_is_too_old(&name))
		return 0;
	return fail(problems, -EOPNOTSUPP, "kernel %s is too old: %d.%d or later is needed",
		    name.release, MIN_KERNEL, MIN_RELEASE);
}

int host_check(struct problems *problems)
{
	char root[PATH_MAX];
	int err = 0;

	if (check_kernel(problems))
		err = -EOPNOTSUPP;
	if (check_capabilities(problems))
		err = -EOPNOTSUPP;
	if (access(BTF, R_OK))
		err = fail(problems, -EOPNOTSUPP,
			   BTF " cannot be read (%s): the kernel needs CONFIG_DEBUG_INFO_BTF=y",
			   strerror(errno));
	if (host_cgroup_root(root))
		err = fail(
			problems, -EOPNOTSUPP,
			"cgroup v2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup/unified");
	return err;
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	for (char *from = text; *from; to++) {
		unsigned code;

		if (*from == '\\' && sscanf(from + 1, "%3o", &code) == 1) {
			*to = code;
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

int host_cgroup_root(char path[PATH_MAX])
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	if (!f)
		return -errno;
	while (getline(&line, &size, f) > 0) {
		char *separator = strstr(line, " - ");
		char mount[PATH_MAX];

		if (!separator || strncmp(separator + 3, "cgroup2 ", 8))
			continue;
		/* id parent major:minor root mountpoint ... */
		if (sscanf(line, "%*s %*s %*s %*s %4095s", mount) != 1)
			continue;
		unescape(mount);
		memcpy(path, mount, sizeof(mount));
		return 0;
	}
	return -ENOENT;
}

static bool is_cgroup2(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC;
}

int host_cgroup_resolve(const char *given, char path[PATH_MAX], struct problems *problems)
{
	char root[PATH_MAX];

	if (host_cgroup_root(root))
		return fail(problems, -ENOENT, "cgroup v2 is not mounted");
	if (!given)
		given = root;
	if (snprintf(path, PATH_MAX, "%s", given) < PATH_MAX && is_cgroup2(path))
		return 0;
	if (snprintf(path, PATH_MAX, "%s/%s", root, given + strspn(given, "/")) < PATH_MAX &&
	    is_cgroup2(path))
		return 0;
	return fail(problems, -ENOENT,
		    "%s is no cgroup: expected a folder of cgroup v2 or a path below %s", given,
		    root);
}

int host_cgroup_id(int cgroup_fd, uint64_t *ret)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + sizeof(uint64_t)];
	} u = { .handle = { .handle_bytes = sizeof(uint64_t) } };
	int mount_id;

	if (name_to_handle_at(cgroup_fd, "", &u.handle, &mount_id, AT_EMPTY_PATH))
		return -errno;
	memcpy(ret, u.handle.f_handle, sizeof(*ret));
	return 0;
}

int host_cgroup_path(int root_fd, const char *root, uint64_t id, char path[PATH_MAX])
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + sizeof(uint64_t)];
	} u = { .handle = { .handle_bytes = sizeof(uint64_t), .handle_type = FILEID_KERNFS } };
	_cleanup_close_ int fd = -1;
	char link[64], whole[PATH_MAX];
	ssize_t n;

	memcpy(u.handle.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(root_fd, &u.handle, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, whole, sizeof(whole) - 1);
	if (n < 0)
		return -errno;
	whole[n] = '\0';
	if (strncmp(whole, root, strlen(root)))
		return -ENOENT;
	snprintf(path, PATH_MAX, "%s", whole[strlen(root)] ? whole + strlen(root) : "/");
	return 0;
}

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

int host_bpffs_folder(const char *folder, struct problems *problems)
{
	char parent[PATH_MAX];

	if (!strncmp(folder, BPFFS "/", strlen(BPFFS) + 1) && !is_bpffs(BPFFS) &&
	    mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return fail(problems, -errno, "bpffs cannot be mounted at " BPFFS ": %s",
			    strerror(errno));
	snprintf(parent, sizeof(parent), "%s", folder);
	if (!is_bpffs(dirname(parent)) && !is_bpffs(folder))
		return fail(problems, -EINVAL,
			    "%s is not on bpffs: choose a new folder in " BPFFS
			    " or in another that is there",
			    folder);
	if (mkdir(folder, 0700) && errno != EEXIST)
		return fail(problems, -errno, "%s cannot be made: %s", folder, strerror(errno));
	return 0;
}

/* ---- for people ------------------------------------------------------------------ */

static void tell(struct host_fact *fact, const char *value, const char *remedy)
{
	snprintf(fact->value, sizeof(fact->value), "%s", value);
	snprintf(fact->remedy, sizeof(fact->remedy), "%s", remedy);
}

static void survey_kernel(struct survey *survey)
{
	struct utsname name = {};
	bool old = kernel_is_too_old(&name);

	snprintf(survey->release, sizeof(survey->release), "%s", name.release);
	tell(&survey->host[HOST_KERNEL], name.release, old ? "6.1 or later is needed" : "");
	tell(&survey->host[HOST_ARCHITECTURE], name.machine, "");
}

static void survey_capabilities(struct host_fact *fact)
{
	_cleanup_text_ struct text missing = {};
	uint64_t have = 0;

	effective_capabilities(&have);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (!(have >> needed[i].number & 1))
			text_add(&missing, "%s%s", missing.length ? ", " : "", needed[i].name);
	if (missing.length) {
		tell(fact, "", "run as root or grant the capabilities");
		snprintf(fact->value, sizeof(fact->value), "missing: %s", text_string(&missing));
		return;
	}
	tell(fact,
	     have >> CAP_SYS_ADMIN & 1
		     ? "all that are needed"
		     : "all that are needed; without CAP_SYS_ADMIN the test shares this network "
		       "namespace, and sockets in those of pods are not ended",
	     "");
}

/* Whether cgroup v1 is mounted, too. */
static bool is_hybrid(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	bool hybrid = false;
	size_t size = 0;

	while (f && !hybrid && getline(&line, &size, f) > 0)
		hybrid = strstr(line, " - cgroup ") != NULL;
	return hybrid;
}

static void survey_cgroup(struct host_fact *fact)
{
	char root[PATH_MAX];

	if (host_cgroup_root(root)) {
		tell(fact, "not mounted", "mount -t cgroup2 none /sys/fs/cgroup/unified");
		return;
	}
	tell(fact, "", "");
	snprintf(fact->value, sizeof(fact->value), "%.200s%s", root,
		 is_hybrid() ? ", beside cgroup v1" : "");
}

/* The word in brackets. */
static void survey_lockdown(struct host_fact *fact)
{
	_cleanup_fclose_ FILE *f = fopen("/sys/kernel/security/lockdown", "re");
	char line[128] = "", word[32] = "";
	char *bracket;

	if (f && fgets(line, sizeof(line), f)) {
		bracket = strchr(line, '[');
		if (bracket)
			sscanf(bracket, "[%31[a-z]", word);
	}
	tell(fact, *word ? word : "not known",
	     !strcmp(word, "confidentiality")
		     ? "boot without lockdown=confidentiality: BPF programs may not read kernel memory"
		     : "");
}

static void survey_lsm(struct host_fact *fact)
{
	_cleanup_fclose_ FILE *f = fopen("/sys/kernel/security/lsm", "re");
	char line[200] = "";

	if (f && fgets(line, sizeof(line), f))
		line[strcspn(line, "\n")] = '\0';
	tell(fact, *line ? line : "not known", "");
}

static void survey_kube_proxy(struct host_fact *fact)
{
	_cleanup_text_ struct text found = {};
	struct kube_proxy_sight sight;

	kube_proxy_look(&sight);
	kube_proxy_describe(&sight, &found);
	tell(fact, text_string(&found), "");
}

void host_survey(struct survey *survey)
{
	struct host_fact *host = survey->host;

	survey_kernel(survey);
	survey_capabilities(&host[HOST_CAPABILITIES]);
	survey_cgroup(&host[HOST_CGROUP]);
	if (is_bpffs(BPFFS))
		tell(&host[HOST_BPFFS], BPFFS, "");
	else
		tell(&host[HOST_BPFFS], "not mounted at " BPFFS, "mount -t bpf bpf " BPFFS);
	if (access(BTF, R_OK))
		tell(&host[HOST_BTF], strerror(errno), "the kernel needs CONFIG_DEBUG_INFO_BTF=y");
	else
		tell(&host[HOST_BTF], BTF, "");
	survey_lockdown(&host[HOST_LOCKDOWN]);
	survey_lsm(&host[HOST_LSM]);
	survey_kube_proxy(&host[HOST_KUBE_PROXY]);
}

/* As LINUX_VERSION_CODE, from the note in the vDSO (Documentation/ABI/stable/vdso); 0: not
 * told. */
static unsigned kernel_version(void)
{
	const char *base = (const char *)getauxval(AT_SYSINFO_EHDR);
	const ElfW(Ehdr) *header = (const void *)base;
	const ElfW(Phdr) *segments = (const void *)(base + (base ? header->e_phoff : 0));

	for (int i = 0; base && i < header->e_phnum; i++) {
		const char *note = base + segments[i].p_offset;
		const char *end = note + segments[i].p_filesz;

		while (segments[i].p_type == PT_NOTE && note < end) {
			const ElfW(Nhdr) *head = (const void *)note;
			const char *name = note + sizeof(*head);
			const char *value = name + ((head->n_namesz + 3) & ~3U);

			if (!head->n_type && !strcmp(name, "Linux"))
				return *(const uint32_t *)value;
			note = value + ((head->n_descsz + 3) & ~3U);
		}
	}
	return 0;
}

#define KERNEL(major, minor, patch) ((major) << 16 | (minor) << 8 | (patch))

bool host_poll_survives_release(void)
{
	static const struct {
		unsigned from, to;
	} mended[] = {
		{ KERNEL(6, 1, 142), KERNEL(6, 2, 0) },
		{ KERNEL(6, 6, 95), KERNEL(6, 7, 0) },
		{ KERNEL(6, 12, 35), KERNEL(6, 13, 0) },
		{ KERNEL(6, 16, 0), ~0U },
	};
	unsigned version = kernel_version();

	for (size_t i = 0; i < ARRAY_SIZE(mended); i++)
		if (version >= mended[i].from && version < mended[i].to)
			return true;
	return false;
}
