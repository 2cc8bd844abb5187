/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/instance.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/cleanup.h"
#include "daemon/client.h"
#include "datapath/datapath.h"
#include "datapath/host.h"
#include "datapath/selftest.h"

#define HOOKED_PREFIX "sidestep.bench."
#define PLAIN_PREFIX  "sidestep.bench-plain."
#define PIN_SUFFIX    "-bench-" /* bpffs wants no dots */

/* The self-test takes seconds where a kernel fails by never waking. */
#define START_MS 60000
#define END_MS   20000
#define STEP_MS  10

__attribute__((format(printf, 3, 4))) static int fail(struct problems *problems, int err,
						      const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	problems_add(problems, "bench", (struct place){}, "%s", text);
	return err;
}

/* ---- what it needs ------------------------------------------------------------------------- */

static int make_cgroup(struct instance *it, const char *parent, const char *prefix,
		       char path[PATH_MAX], struct problems *problems)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%d", prefix, getpid());
	if (snprintf(path, PATH_MAX, "%s/%s", parent, name) >= PATH_MAX)
		return fail(problems, -ENAMETOOLONG, "%s: the path is too long", parent);
	if (mkdirat(it->parent_fd, name, 0755))
		return fail(problems, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int make_cgroups(struct instance *it, const char *given, struct problems *problems)
{
	char parent[PATH_MAX];
	int err = host_cgroup_resolve(given, parent, problems);

	if (err)
		return err;
	it->parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (it->parent_fd < 0)
		return fail(problems, -errno, "%s: %s", parent, strerror(errno));
	remove_stale_cgroups(it->parent_fd, HOOKED_PREFIX);
	remove_stale_cgroups(it->parent_fd, PLAIN_PREFIX);
	err = make_cgroup(it, parent, PLAIN_PREFIX, it->plain, problems);
	return err ?: make_cgroup(it, parent, HOOKED_PREFIX, it->hooked, problems);
}

static int loopback_up(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) ? -errno : 0;
}

/* Without a way out: a service's address that no hook translates leads nowhere. */
static int enter_network(struct problems *problems)
{
	if (unshare(CLONE_NEWNET))
		return fail(problems, -errno, "a network namespace: %s", strerror(errno));
	if (loopback_up())
		return fail(problems, -errno, "loopback: %s", strerror(errno));
	return 0;
}

static int make_folder(struct instance *it, struct problems *problems)
{
	const char *parents[] = { getenv("TMPDIR"), "/tmp", "/run" };

	for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
		if (!parents[i] ||
		    (size_t)snprintf(it->folder, sizeof(it->folder), "%s/sidestep-bench-XXXXXX",
				     parents[i]) >= sizeof(it->folder))
			continue;
		if (mkdtemp(it->folder))
			return 0;
	}
	it->folder[0] = '\0';
	return fail(problems, -errno, "no folder for files could be made: %s", strerror(errno));
}

int instance_prepare(struct instance *it, const struct instance_options *options,
		     struct problems *problems)
{
	int err = host_check(problems);

	if (err)
		return err;
	if (snprintf(it->pin, PATH_MAX, "%s" PIN_SUFFIX "%d", options->pin, getpid()) >= PATH_MAX)
		return fail(problems, -ENAMETOOLONG, "%s: the path is too long", options->pin);
	datapath_unload_abandoned(options->pin, PIN_SUFFIX);
	err = make_cgroups(it, options->cgroup, problems);
	err = err ?: enter_network(problems);
	return err ?: make_folder(it, problems);
}

/* ---- the daemon ------------------------------------------------------------------------------ */

/* One of its files: configuration, log, socket, stats. */
static const char *file(const struct instance *it, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", it->folder, name);
	return path;
}

static int write_config(const struct instance *it, const struct text *config)
{
	char path[PATH_MAX];
	_cleanup_fclose_ FILE *f = fopen(file(it, "config", path), "we");

	if (!f || config->error)
		return f ? config->error : -errno;
	fputs(text_string(config), f);
	return fflush(f) ? -errno : 0;
}

/* What it says is for the log, which is told when it does not come up. */
static void redirect_output(const struct instance *it)
{
	char path[PATH_MAX];
	int fd = open(file(it, "log", path), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		_exit(EXIT_FAILURE);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
}

__attribute__((noreturn)) static void be_daemon(const struct instance *it, const char *cache,
						pid_t parent)
{
	char config[PATH_MAX], socket[PATH_MAX], stats[PATH_MAX];
	sigset_t none;

	/* it removes the data plane when we are killed */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	setpgid(0, 0); /* the terminal's signals are ours */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	redirect_output(it);
	execl("/proc/self/exe", "sidestep", "run", "-f", file(it, "config", config), "--cgroup",
	      it->hooked, "--pin", it->pin, "--socket", file(it, "socket", socket), "--stats",
	      file(it, "stats", stats), "--cache", cache, "--unload-on-exit", NULL);
	_exit(EXIT_FAILURE);
}

static void tell_log(const struct instance *it, struct problems *problems)
{
	char path[PATH_MAX], line[512];
	_cleanup_fclose_ FILE *f = fopen(file(it, "log", path), "re");

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		fail(problems, 0, "the daemon: %s", line);
	}
}

bool instance_lives(const struct instance *it)
{
	siginfo_t info = {};

	/* a look: who has ended can still be waited for */
	return !waitid(P_PID, it->daemon, &info, WEXITED | WNOHANG | WNOWAIT) && !info.si_pid;
}

static int await_daemon(const struct instance *it, int stop, struct problems *problems)
{
	struct pollfd stopped = { .fd = stop, .events = POLLIN };
	char socket[PATH_MAX];

	file(it, "socket", socket);
	for (int waited = 0; waited < START_MS; waited += STEP_MS) {
		if (client_daemon_alive(socket))
			return 0;
		if (poll(&stopped, 1, STEP_MS) > 0)
			return -ECANCELED;
		if (!instance_lives(it)) {
			tell_log(it, problems);
			return fail(problems, -ECHILD, "the daemon did not come up");
		}
	}
	return fail(problems, -ETIMEDOUT, "the daemon does not answer");
}

int instance_start(struct instance *it, const struct instance_options *options,
		   const struct text *config, int stop, struct problems *problems)
{
	pid_t parent = getpid();
	int err = write_config(it, config);

	if (err)
		return fail(problems, err, "%s: %s", it->folder, strerror(-err));
	it->daemon = fork();
	if (!it->daemon)
		be_daemon(it, options->cache, parent);
	if (it->daemon < 0)
		return fail(problems, -errno, "fork: %s", strerror(errno));
	return await_daemon(it, stop, problems);
}

/* ---- the end ------------------------------------------------------------------------------------ */

static void end_daemon(struct instance *it, struct problems *problems)
{
	if (it->daemon <= 0)
		return;
	kill(it->daemon, SIGTERM);
	for (int waited = 0; instance_lives(it) && waited < END_MS; waited += STEP_MS)
		poll(NULL, 0, STEP_MS);
	if (instance_lives(it))
		fail(problems, 0, "the daemon had to be killed");
	kill(it->daemon, SIGKILL);
	waitpid(it->daemon, NULL, 0);
}

/* Nothing is left to do where the daemon has done it. */
static void remove_pins(const struct instance *it, struct problems *problems)
{
	const struct unload_options at_once = { .force = true };
	int err = it->pin[0] ? datapath_unload(it->pin, &at_once, problems) : 0;

	if (err)
		fail(problems, err, "%s stays: %s", it->pin, strerror(-err));
}

static void remove_one(const struct instance *it, const char *path, struct problems *problems)
{
	int err = path[0] ? remove_cgroup(it->parent_fd, strrchr(path, '/') + 1) : 0;

	if (err && err != -ENOENT)
		fail(problems, err, "%s stays: %s", path, strerror(-err));
}

static void remove_folder(const struct instance *it, struct problems *problems)
{
	DIR *dir = it->folder[0] ? opendir(it->folder) : NULL;
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0); /* its folders stay */
	closedir(dir);
	if (rmdir(it->folder))
		fail(problems, -errno, "%s stays: %s", it->folder, strerror(errno));
}

void instance_end(struct instance *it, struct problems *problems)
{
	end_daemon(it, problems);
	remove_pins(it, problems);
	remove_one(it, it->hooked, problems);
	remove_one(it, it->plain, problems);
	cleanup_close(&it->parent_fd);
	remove_folder(it, problems);
}
