/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the checks, each at each stage in a process of its own: one that hangs or dies
 * is an observation, too. See usage() and semantics.h.
 */
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../tools/tool.h"
#undef ARRAY_SIZE
#include "semantics.h"

/* A check that takes so long hangs. */
#define HANGS_AFTER_S 12
#define JOBS_MAX      64

static const struct family *const families[] = {
	&family_reading, &family_waiting, &family_blocking, &family_writing,        &family_closing,
	&family_passing, &family_moving,  &family_limits,   &family_socket_options, &family_uring,
};
static const char *const stage_names[] = { "before", "racing", "during", "after" };

static struct ends_options ends;
static bool stage_wanted[] = { true, true, true, true };
static const char *only = "*";
static unsigned jobs = 4;

/* ---- what was seen ------------------------------------------------------------- */

static const struct check *current;
static enum stage current_stage;

void saw_word(const char *what, const char *word)
{
	printf("%s/%s %s: %s\n", current->name, stage_names[current_stage], what, word);
	fflush(stdout);
}

void saw(const char *what, ssize_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%zd", value);
	if (value == -WRONG_BYTES)
		saw_word(what, "wrong bytes");
	else
		saw_word(what, value < 0 ? strerrorname_np((int)-value) : text);
}

void saw_if(const char *what, bool value)
{
	saw_word(what, value ? "yes" : "no");
}

void saw_events(const char *what, unsigned events)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {
		{ POLLIN, " IN" },   { POLLPRI, " PRI" }, { POLLOUT, " OUT" },
		{ POLLERR, " ERR" }, { POLLHUP, " HUP" }, { POLLRDHUP, " RDHUP" },
	};
	char text[64] = "";

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (events & names[i].bit)
			strcat(text, names[i].name);
	saw_word(what, *text ? text + 1 : "none");
}

/* ---- a process a check and stage --------------------------------------------------- */

struct job {
	const struct check *check;
	enum stage stage;
	pid_t pid; /* 0: not begun */
	int output;
	int status;
	bool ended;
};

static struct job *job_list;
static size_t job_count;

static void add_jobs(const struct check *check)
{
	if (fnmatch(only, check->name, FNM_EXTMATCH))
		return;
	for (enum stage stage = BEFORE; stage <= AFTER; stage++) {
		if (!stage_wanted[stage])
			continue;
		job_list = realloc(job_list, (job_count + 1) * sizeof(*job_list));
		if (!job_list)
			tool_die("realloc");
		job_list[job_count++] = (struct job){ .check = check, .stage = stage };
	}
}

__attribute__((noreturn)) static void run(const struct job *job)
{
	struct pair pair;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(job->output, STDOUT_FILENO);
	alarm(HANGS_AFTER_S);
	current = job->check;
	current_stage = job->stage;
	ends_make(&pair, job->stage, current->prepare);
	current->run(&pair);
	exit(EXIT_SUCCESS);
}

static void start(struct job *job)
{
	job->output = memfd_create("output", MFD_CLOEXEC);
	if (job->output < 0)
		tool_die("memfd_create");
	fflush(stdout);
	job->pid = fork();
	if (job->pid < 0)
		tool_die("fork");
	if (!job->pid)
		run(job);
}

static void reap(void)
{
	int status;
	pid_t pid = wait(&status);

	for (size_t i = 0; i < job_count; i++) {
		if (job_list[i].pid == pid) {
			job_list[i].status = status;
			job_list[i].ended = true;
		}
	}
}

/* What it has printed; false: it could not be set up as it should. */
static bool tell(const struct job *job)
{
	char buf[4096];
	ssize_t n;

	current = job->check;
	current_stage = job->stage;
	for (off_t at = 0; (n = pread(job->output, buf, sizeof(buf), at)) > 0; at += n)
		fwrite(buf, 1, (size_t)n, stdout);
	close(job->output);
	if (WIFSIGNALED(job->status) && WTERMSIG(job->status) == SIGALRM)
		saw_word("outcome", "hangs");
	else if (WIFSIGNALED(job->status))
		saw_word("outcome", strsignal(WTERMSIG(job->status)));
	else if (!WEXITSTATUS(job->status))
		saw_word("outcome", "done");
	else
		fprintf(stderr, "semantics: %s/%s: not as it should be, see above\n",
			job->check->name, stage_names[job->stage]);
	return WIFSIGNALED(job->status) || !WEXITSTATUS(job->status);
}

static bool run_all(void)
{
	size_t started = 0, told = 0, running;
	bool good = true;

	while (told < job_count) {
		running = 0;
		for (size_t i = told; i < started; i++)
			running += !job_list[i].ended;
		/* what is broken once is broken everywhere */
		if (started < job_count && running < jobs && good)
			start(&job_list[started++]);
		else if (running)
			reap();
		else
			break;
		for (; told < started && job_list[told].ended; told++)
			good = tell(&job_list[told]) && good;
	}
	return good;
}

/* ---- options -------------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: semantics --listen ADDRESS:PORT --connect ADDRESS:PORT [OPTIONS]\n"
		"  --listener-netns FILE  network namespace to listen in (default: this one)\n"
		"  --reverse              the accepted end is the one that mostly sends\n"
		"  --daemon PID           is stopped; the check sleeper-adopted resumes it\n"
		"  --spliced              the service is spliced: wait for it before each check,\n"
		"                         and fail where it does not come or must not\n"
		"  --stages LIST          of before, racing, during, after (default: all)\n"
		"  --only PATTERN         checks whose name matches, like !(splice-in*)\n"
		"  --jobs N               checks at once (default: 4)\n"
		"  --list                 name the checks\n"
		"Prints \"CHECK/STAGE WHAT: VALUE\", one a line.\n");
	exit(code);
}

static void parse_stages(char *text)
{
	memset(stage_wanted, 0, sizeof(stage_wanted));
	for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		size_t i = 0;

		while (i < ARRAY_SIZE(stage_names) && strcmp(word, stage_names[i]))
			i++;
		if (i == ARRAY_SIZE(stage_names))
			tool_exit(EXIT_USAGE,
				  "--stages: found \"%s\", expected before, racing, during "
				  "or after",
				  word);
		stage_wanted[i] = true;
	}
}

static void list_checks(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		for (size_t k = 0; k < families[i]->n; k++)
			puts(families[i]->checks[k].name);
	exit(EXIT_SUCCESS);
}

static void take_option(int c)
{
	switch (c) {
	case 'c':
		ends.connect = optarg;
		break;
	case 'l':
		ends.listen = optarg;
		break;
	case 'n':
		ends.listener_netns = optarg;
		break;
	case 'r':
		ends.reverse = true;
		break;
	case 'd':
		ends.daemon = (pid_t)tool_number("--daemon", optarg);
		break;
	case 's':
		ends.spliced = true;
		break;
	case 'g':
		parse_stages(optarg);
		break;
	case 'o':
		only = optarg;
		break;
	case 'j':
		jobs = (unsigned)tool_number("--jobs", optarg);
		break;
	case 'L':
		list_checks();
		break;
	default:
		usage(c == 'h' ? EXIT_SUCCESS : EXIT_USAGE);
	}
}

static void parse_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "connect", required_argument, NULL, 'c' },
		{ "listen", required_argument, NULL, 'l' },
		{ "listener-netns", required_argument, NULL, 'n' },
		{ "reverse", no_argument, NULL, 'r' },
		{ "daemon", required_argument, NULL, 'd' },
		{ "spliced", no_argument, NULL, 's' },
		{ "stages", required_argument, NULL, 'g' },
		{ "only", required_argument, NULL, 'o' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "list", no_argument, NULL, 'L' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1)
		take_option(c);
	if (optind != argc || !ends.connect || !ends.listen || !jobs || jobs > JOBS_MAX)
		usage(EXIT_USAGE);
}

/*
 * The machine stamps packets while any socket has asked, and begins a moment later: so
 * one has, all the time. Some checks look right after a call at what TCP does 200 ms
 * after it: they should not wait for a processor.
 */
static void settle_machine(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		tool_die("socket");
	tool_set(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
	setpriority(PRIO_PROCESS, 0, -10); /* not everybody may */
	pause_ms(10 * A_WHILE_MS);
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		for (size_t k = 0; k < families[i]->n; k++)
			add_jobs(&families[i]->checks[k]);
	if (!job_count)
		tool_exit(EXIT_USAGE, "--only: no check is named \"%s\"", only);
	settle_machine();
	ends_listen(&ends);
	return run_all() ? EXIT_SUCCESS : EXIT_FAILURE;
}
