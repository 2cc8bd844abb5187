/* SPDX-License-Identifier: Apache-2.0 */
/* The screen of `top`: ncurses draws what user/live makes, keys change what is made. */
#include "cli/top.h"

#include <curses.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <term.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/common.h"
#include "core/cleanup.h"
#include "core/clock.h"
#include "export/format.h"

#undef columns /* a macro of term.h */

#define TITLE_LINES 3 /* of them the last is of headers */
#define REST        4 /* times as long as a look took: many flows must not take a whole CPU */
#define ESCAPE      27
#define CONTROL(c)  ((c)&0x1f)

enum colour { COLOUR_ALARM = 1 };

struct screen {
	struct top *top;
	struct live_rows rows;
	struct live_layout layout;
	size_t first; /* row on the screen */
	uint64_t next_ns;
	bool paused;
	bool help;
	bool editing; /* the filter */
	bool coloured;
	bool ended;
	char problem[128]; /* why nothing is shown; empty: all is well */
	int signals;       /* what ends us, and SIGWINCH */
};

/* ---- drawing: pieces ------------------------------------------------------------------------ */

/* A text, cut or padded to width columns. */
static void put(int y, int x, unsigned width, enum table_align align, attr_t attributes,
		const char *cell)
{
	_cleanup_text_ struct text text = {};

	live_fit(cell, width, align, &text);
	attrset(attributes);
	mvaddstr(y, x, text_string(&text));
	attrset(A_NORMAL);
}

static void put_line(int y, attr_t attributes, const struct text *text)
{
	put(y, 0, (unsigned)COLS, TABLE_LEFT, attributes, text_string(text));
}

static enum table_align align_of(const struct live_column *column)
{
	return live_is_words(column) ? TABLE_LEFT : TABLE_RIGHT;
}

/* ---- drawing: lines -------------------------------------------------------------------------- */

static void draw_views(const struct screen *screen)
{
	const struct live_sample *now = &screen->top->now;
	_cleanup_text_ struct text line = {};
	char time[FORMAT_MAX] = "";

	for (int i = 0; i < LIVE_VIEWS; i++) {
		bool shown = i == (int)screen->top->view;

		text_add(&line, "%s%d %s%s ", shown ? "[" : " ", i + 1, live_view_name(i),
			 shown ? "]" : " ");
	}
	if (now->time_ns)
		format_time(now->time_ns + clock_realtime_offset_ns(), time);
	text_add(&line, " %.8s%s %zu services %zu edges %" PRIu64 " flows",
		 time[0] ? time + 11 : "", time[0] ? "Z" : "", now->state.n_services,
		 now->state.n_edges, live_sample_active(now));
	put_line(0, A_BOLD, &line);
}

static const char *order_name(const struct live_column *column, bool reverse)
{
	if (live_is_words(column))
		return reverse ? "Z to A" : "A to Z";
	return reverse ? "smallest first" : "largest first";
}

static void draw_settings(const struct screen *screen)
{
	const struct top *top = screen->top;
	_cleanup_text_ struct text line = {};
	size_t n;
	const struct live_column *column = &live_columns(top->view, &n)[top->sort[top->view]];

	if (screen->paused)
		text_add(&line, " PAUSED ");
	text_add(&line, " by %s, %s", column->name, order_name(column, top->reverse[top->view]));
	if (*top->filter)
		text_add(&line, "  filter: %s", top->filter);
	if (top_seconds(top) > 0)
		text_add(&line, "  of %.1f s", top_seconds(top));
	put_line(1, screen->paused ? A_REVERSE : A_NORMAL, &line);
}

static void draw_headers(const struct screen *screen)
{
	const struct top *top = screen->top;
	const struct live_layout *layout = &screen->layout;
	_cleanup_text_ struct text blank = {};
	size_t n;
	const struct live_column *columns = live_columns(top->view, &n);
	int x = 0;

	put_line(TITLE_LINES - 1, A_REVERSE, &blank);
	for (size_t i = 0; i < layout->n; i++) {
		unsigned column = layout->cells[i].column;
		attr_t sorted = column == top->sort[top->view] ? A_BOLD | A_UNDERLINE : 0;

		put(TITLE_LINES - 1, x, layout->cells[i].width, align_of(&columns[column]),
		    A_REVERSE | sorted, columns[column].header);
		x += (int)layout->cells[i].width + 1;
	}
}

static void draw_row(const struct screen *screen, int y, const struct live_row *row)
{
	const struct live_layout *layout = &screen->layout;
	size_t n;
	const struct live_column *columns = live_columns(screen->top->view, &n);
	char buf[FORMAT_MAX];
	int x = 0;

	for (size_t i = 0; i < layout->n; i++) {
		const struct live_column *column = &columns[layout->cells[i].column];
		attr_t attributes = A_NORMAL;

		if (live_is_alarm(row, column))
			attributes = A_BOLD | (screen->coloured ? COLOR_PAIR(COLOUR_ALARM) : 0);
		put(y, x, layout->cells[i].width, align_of(column), attributes,
		    live_cell(row, column, buf));
		x += (int)layout->cells[i].width + 1;
	}
}

/* The last line: what is typed, what is left out, or which keys there are. */
static void draw_foot(const struct screen *screen)
{
	_cleanup_text_ struct text line = {};

	if (screen->editing)
		text_add(&line, "filter: %s_  (Enter keeps it, Esc clears it)",
			 screen->top->filter);
	else if (screen->rows.left_out)
		top_left_out(&screen->rows, &line);
	else
		text_add(&line, "1-3 view  <> sort  r reverse  / filter  space %s  ? help  q quit",
			 screen->paused ? "go on" : "pause");
	put_line(LINES - 1, A_REVERSE, &line);
}

/* ---- drawing: pages -------------------------------------------------------------------------- */

static size_t rows_on_screen(void)
{
	return LINES > TITLE_LINES + 1 ? (size_t)(LINES - TITLE_LINES - 1) : 0;
}

static const char *why_empty(const struct top *top)
{
	if (top->view == LIVE_FLOWS && !top->now.walked)
		return "flows were not looked at yet";
	return *top->filter ? "nothing fits the filter" : "nothing yet";
}

static void draw_table(struct screen *screen)
{
	size_t room = rows_on_screen(), n = screen->rows.n;
	size_t last = n > room ? n - room : 0;

	if (screen->first > last)
		screen->first = last;
	live_layout(screen->top->view, &screen->rows, (unsigned)COLS, &screen->layout);
	draw_views(screen);
	draw_settings(screen);
	draw_headers(screen);
	for (size_t i = 0; i < room && screen->first + i < n; i++)
		draw_row(screen, TITLE_LINES + (int)i, &screen->rows.items[screen->first + i]);
	if (*screen->problem)
		put(TITLE_LINES, 0, (unsigned)COLS, TABLE_LEFT, A_BOLD, screen->problem);
	else if (!n && room)
		put(TITLE_LINES, 0, (unsigned)COLS, TABLE_LEFT, A_NORMAL, why_empty(screen->top));
	draw_foot(screen);
}

static void draw_help(const struct screen *screen)
{
	static const char *const keys[] = {
		"1 2 3, Tab      services, edges, flows",
		"< >, arrows     sort by the column to the left, to the right",
		"r               reverse the order",
		"/               show only rows that contain a text",
		"up down, PgUp PgDn, Home End   move through the rows",
		"space           pause, and go on",
		"q               quit",
	};
	size_t n;
	const struct live_column *columns = live_columns(screen->top->view, &n);
	int y = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys) && y < LINES; i++)
		put(y++, 0, (unsigned)COLS, TABLE_LEFT, A_NORMAL, keys[i]);
	for (size_t i = 0; i < n && y < LINES - 1; i++) {
		_cleanup_text_ struct text line = {};

		text_add(&line, "%-12s %s", columns[i].header, columns[i].help);
		put_line(y++, A_NORMAL, &line);
	}
	put(LINES - 1, 0, (unsigned)COLS, TABLE_LEFT, A_REVERSE,
	    "/S: a second. (RTT): none since the last look. Any key goes back");
}

static void draw_too_small(void)
{
	_cleanup_text_ struct text line = {};

	text_add(&line, "too small: %dx%d, needs %dx%d", COLS, LINES, LIVE_WIDTH_MIN,
		 LIVE_HEIGHT_MIN);
	put_line(0, A_NORMAL, &line);
}

/* A terminal that takes nothing, as after Ctrl-S, must not keep us from ending. */
static bool can_write(void)
{
	struct pollfd terminal = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return poll(&terminal, 1, 0) > 0 && terminal.revents & POLLOUT;
}

static void draw(struct screen *screen)
{
	if (!can_write())
		return;
	erase();
	if (COLS < LIVE_WIDTH_MIN || LINES < LIVE_HEIGHT_MIN)
		draw_too_small();
	else if (screen->help)
		draw_help(screen);
	else
		draw_table(screen);
	refresh();
}

/* ---- looking ---------------------------------------------------------------------------------- */

static void make_rows(struct screen *screen)
{
	live_rows_release(&screen->rows);
	if (screen->top->now.time_ns && top_rows(screen->top, &screen->rows))
		snprintf(screen->problem, sizeof(screen->problem), "%s", strerror(ENOMEM));
}

/* It is opened anew each time: what is held open would outlive its unload. */
static void look(struct screen *screen)
{
	_cleanup_datapath_ struct datapath *datapath = NULL;
	struct top *top = screen->top;
	uint64_t begin = clock_ns(CLOCK_MONOTONIC), end, rest;
	int err = datapath_open(top->pin, &datapath);

	if (!err)
		err = top_look(top, datapath);
	*screen->problem = '\0';
	if (err)
		top_forget(top);
	if (err == -ENOENT)
		snprintf(screen->problem, sizeof(screen->problem),
			 "unloaded, waiting for a load (nothing is pinned at %s)", top->pin);
	else if (err)
		snprintf(screen->problem, sizeof(screen->problem), "%s: %s", top->pin,
			 err == -EPROTO ? "of a version with another ABI" : strerror(-err));
	end = clock_ns(CLOCK_MONOTONIC);
	rest = REST * (end - begin);
	if (rest < top->interval_s * 1000000000ull)
		rest = top->interval_s * 1000000000ull;
	screen->next_ns = end + rest;
}

/* ---- keys --------------------------------------------------------------------------------------- */

static void show_view(struct screen *screen, unsigned view)
{
	screen->top->view = view % LIVE_VIEWS;
	screen->first = 0;
	if (screen->top->view == LIVE_FLOWS && !screen->top->now.walked)
		screen->next_ns = 0;
}

/* Of the columns that are on the screen. */
static void sort_by_neighbour(struct screen *screen, int step)
{
	unsigned *sort = &screen->top->sort[screen->top->view];
	int n = (int)screen->layout.n, at = 0;

	if (!n)
		return;
	while (at < n && screen->layout.cells[at].column != *sort)
		at++;
	at = at == n ? 0 : (at + step + n) % n;
	*sort = screen->layout.cells[at].column;
}

static void scroll_rows(struct screen *screen, wint_t key)
{
	size_t page = rows_on_screen(), up = key == KEY_PPAGE ? page : 1;

	switch (key) {
	case KEY_UP:
	case KEY_PPAGE:
		screen->first -= screen->first < up ? screen->first : up;
		break;
	case KEY_DOWN:
		screen->first++; /* draw_table() knows where the end is */
		break;
	case KEY_NPAGE:
		screen->first += page;
		break;
	case KEY_HOME:
		screen->first = 0;
		break;
	case KEY_END:
		screen->first = screen->rows.n;
		break;
	}
}

static void pause_or_go_on(struct screen *screen)
{
	screen->paused = !screen->paused;
	screen->next_ns = 0;
}

static void function_key(struct screen *screen, wint_t key)
{
	if (key == KEY_LEFT || key == KEY_RIGHT)
		sort_by_neighbour(screen, key == KEY_LEFT ? -1 : 1);
	else if (key == KEY_BTAB)
		show_view(screen, screen->top->view + LIVE_VIEWS - 1);
	else
		scroll_rows(screen, key);
}

static void letter(struct screen *screen, wint_t key)
{
	struct top *top = screen->top;

	switch (key) {
	case '1':
	case '2':
	case '3':
		show_view(screen, key - '1');
		break;
	case '\t':
		show_view(screen, top->view + 1);
		break;
	case '<':
	case '>':
		sort_by_neighbour(screen, key == '<' ? -1 : 1);
		break;
	case 'r':
		top->reverse[top->view] = !top->reverse[top->view];
		break;
	case '/':
		screen->editing = true;
		break;
	case ' ':
		pause_or_go_on(screen);
		break;
	case '?':
	case 'h':
		screen->help = true;
		break;
	case CONTROL('l'):
		clear();
		break;
	case 'q':
		screen->ended = true;
		break;
	}
}

static void type(char filter[TOP_FILTER_MAX], wint_t key)
{
	char bytes[MB_LEN_MAX];
	mbstate_t state = {};
	size_t n = wcrtomb(bytes, (wchar_t)key, &state), length = strlen(filter);

	if (n == (size_t)-1 || length + n >= TOP_FILTER_MAX || key < ' ')
		return;
	memcpy(filter + length, bytes, n);
	filter[length + n] = '\0';
}

/* The last character, which in UTF-8 may be of several bytes. */
static void erase_last(char *filter)
{
	size_t n = strlen(filter);

	while (n && (filter[n - 1] & 0xc0) == 0x80)
		n--;
	if (n)
		filter[n - 1] = '\0';
}

static void edit_filter(struct screen *screen, wint_t key, bool function)
{
	char *filter = screen->top->filter;

	screen->first = 0;
	if ((function && key == KEY_BACKSPACE) || (!function && (key == 127 || key == '\b')))
		erase_last(filter);
	else if (key == '\n' || key == '\r' || (function && key == KEY_ENTER))
		screen->editing = false;
	else if (key == ESCAPE || key == CONTROL('u')) {
		*filter = '\0';
		screen->editing = key != ESCAPE;
	} else if (!function) {
		type(filter, key);
	}
}

static void take_keys(struct screen *screen)
{
	wint_t key;
	int kind;

	while ((kind = get_wch(&key)) != ERR) {
		bool function = kind == KEY_CODE_YES;

		if (screen->editing)
			edit_filter(screen, key, function);
		else if (screen->help)
			screen->help = false;
		else if (function)
			function_key(screen, key);
		else
			letter(screen, key);
	}
}

/* ---- signals ------------------------------------------------------------------------------------ */

static void resize(void)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
}

static void take_signals(struct screen *screen)
{
	struct signalfd_siginfo info;

	while (read(screen->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGWINCH)
			resize();
		else
			screen->ended = true;
	}
}

static int open_signals(sigset_t *before)
{
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGQUIT);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	sigaddset(&ours, SIGWINCH);
	sigprocmask(SIG_BLOCK, &ours, before);
	return signalfd(-1, &ours, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* ---- the loop ------------------------------------------------------------------------------------ */

/* In milliseconds, until the next look. */
static int patience(const struct screen *screen)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (screen->paused)
		return -1;
	return screen->next_ns > now ? (int)((screen->next_ns - now) / 1000000) + 1 : 0;
}

static void run(struct screen *screen)
{
	struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
				{ .fd = screen->signals, .events = POLLIN } };

	while (!screen->ended) {
		make_rows(screen);
		draw(screen);
		if (poll(fds, ARRAY_SIZE(fds), patience(screen)) < 0) {
			if (errno != EINTR)
				return;
			continue; /* stopped, and back again */
		}
		if (fds[1].revents)
			take_signals(screen);
		if (fds[0].revents & POLLIN)
			take_keys(screen);
		if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			return; /* the terminal has gone */
		if (!screen->ended && !patience(screen))
			look(screen);
	}
}

/* Whether curses can paint on the terminal at all. */
static bool knows_terminal(void)
{
	const char *move;
	bool known;
	int found;

	if (setupterm(NULL, STDOUT_FILENO, &found) != OK)
		return false;
	move = tigetstr("cup");
	known = move && move != (char *)-1;
	del_curterm(cur_term); /* newterm() makes its own */
	return known;
}

static void set_colours(struct screen *screen)
{
	const char *none = getenv("NO_COLOR");

	if ((none && *none) || !has_colors() || start_color() == ERR)
		return;
	use_default_colors();
	screen->coloured = init_pair(COLOUR_ALARM, COLOR_RED, -1) != ERR;
}

static void open_screen(struct screen *screen)
{
	set_colours(screen);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	resize();
}

int top_screen(struct top *top)
{
	struct screen screen = { .top = top };
	const char *name = getenv("TERM");
	SCREEN *terminal = NULL;
	sigset_t before;

	use_env(FALSE); /* LINES and COLUMNS of the environment do not change with the terminal */
	use_tioctl(TRUE);
	if (knows_terminal())
		terminal = newterm(NULL, stdout, stdin);
	if (!terminal) {
		cli_error("the terminal '%s' cannot be used (TERM): try --once", name ?: "");
		return CLI_FAILED;
	}
	screen.signals = open_signals(&before);
	screen.next_ns = clock_ns(CLOCK_MONOTONIC) + top->interval_s * 1000000000ull;
	open_screen(&screen);
	run(&screen);
	endwin();
	delscreen(terminal);
	cleanup_close(&screen.signals);
	live_rows_release(&screen.rows);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return CLI_DONE;
}
