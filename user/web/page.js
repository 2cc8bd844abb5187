// SPDX-License-Identifier: Apache-2.0
// The page: takes snapshots as they come, makes rates of each two of them, and draws.
// Text is only ever set as text; what the kernel's maps hold is never read as markup.
"use strict";
(() => {

// ---- small helpers ---------------------------------------------------------------------

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function make(parent, name, attributes = {}, text = null) {
	const inSvg = parent.namespaceURI === SVG;
	const node = inSvg ? document.createElementNS(SVG, name) : document.createElement(name);
	for (const key in attributes)
		node.setAttribute(key, attributes[key]);
	if (text !== null)
		node.textContent = text;
	return parent.appendChild(node);
}

// What is right already is left alone: a screen reader would tell it anew.
function setText(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

function setAttributes(node, attributes) {
	for (const key in attributes)
		if (node.getAttribute(key) !== String(attributes[key]))
			node.setAttribute(key, attributes[key]);
}

function formatSize(bytes) {
	const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
	let unit = 0;
	for (; bytes >= 1024 && unit < units.length - 1; unit++)
		bytes /= 1024;
	return (unit && bytes < 100 ? bytes.toFixed(1) : bytes.toFixed(0)) + units[unit];
}

const formatRate = (bytes) => (bytes >= 0.5 ? formatSize(bytes) + "/s" : "-");
const formatPerSecond = (n) => (n >= 0.05 ? n.toFixed(n < 10 ? 1 : 0) + "/s" : "-");
const formatTime = (us) => (us ? (us < 10000 ? us + "us" : (us / 1000).toFixed(0) + "ms") : "-");
const formatShare = (part, all) => (part ? Math.round((100 * part) / all) + "%" : "-");

function formatAge(s) {
	if (s < 60)
		return s.toFixed(1) + "s";
	if (s < 3600)
		return Math.floor(s / 60) + "m" + String(Math.floor(s % 60)).padStart(2, "0") + "s";
	return Math.floor(s / 3600) + "h" + String(Math.floor(s / 60) % 60).padStart(2, "0") + "m";
}

const compare = (a, b) =>
	typeof a === "number" && typeof b === "number" ? a - b
		: String(a).localeCompare(String(b), "en", { numeric: true });

let filter = "";
const matches = (...words) =>
	!filter || words.some((word) => String(word).toLowerCase().includes(filter));

// ---- rates -------------------------------------------------------------------------------

const TROUBLE_MS = 60000;
const seen = new Map(); // by key: the totals of before

// Adds to item: byteRate, openRate, and when it last failed or was denied. What troubled it
// before this page was opened counts as if it were of that moment.
function addRates(key, item, now) {
	const before = seen.get(key);
	const bytes = item.sent + item.received, failed = (item.failed || 0) + (item.broken || 0);
	const seconds = before ? (now - before.now) / 1000 : 0;

	item.byteRate = item.openRate = 0;
	item.failedAt = failed ? now : -TROUBLE_MS;
	item.deniedAt = item.denied ? now : -TROUBLE_MS;
	if (before) {
		if (failed <= before.failed)
			item.failedAt = before.failedAt;
		if ((item.denied || 0) <= before.denied)
			item.deniedAt = before.deniedAt;
	}
	if (seconds > 0) {
		// half of it is of before: a line's width does not jump
		item.byteRate = (Math.max(0, bytes - before.bytes) / seconds + before.byteRate) / 2;
		item.openRate = (Math.max(0, item.opened - before.opened) / seconds + before.openRate) / 2;
	}
	seen.set(key, { now, bytes, failed, denied: item.denied || 0, opened: item.opened,
		byteRate: item.byteRate, openRate: item.openRate,
		failedAt: item.failedAt, deniedAt: item.deniedAt });
}

function forgetOld(now) {
	for (const [key, value] of seen)
		if (value.now !== now)
			seen.delete(key);
}

// ---- a snapshot, with names ---------------------------------------------------------------

const STATS = ["opened", "active", "failed", "refused", "denied", "sent", "received", "spliced",
	"udpConnected", "datagrams"];
const NAMES = {
	nodes: ["name", "service", "layer", "row"],
	edges: ["from", "to", "opened", "active", "failed", "broken", "denied", "sent", "received",
		"spliced", "p50", "p99"],
	services: ["name", "protocol", "family", "id", "address", "addresses", "ready", "configured",
		"balance", "splice", ...STATS],
	endpoints: ["name", "protocol", "family", "id", "address", "state", "weight", "alone", ...STATS],
	rules: ["id", "namespace", "policy", "rule", "tier", "direction", "action", "shadowed", "summary",
		"decided", "shadow", "wouldAllow", "wouldDeny"],
};

function named(kind, table) {
	const names = NAMES[kind];
	return table.rows.map((row) => {
		const item = {};
		for (let i = 0; i < names.length; i++)
			item[names[i]] = row[i];
		return item;
	});
}

function flowOf(record) {
	const side = (end) => (end ? (end.address.includes(":") ? `[${end.address}]` : end.address) +
		":" + end.port : "-");
	return {
		flow: record.flow,
		service: record.service ? record.service + "/" + record.service_port : "-",
		source: side(record.source),
		destination: side(record.destination),
		protocol: record.protocol,
		state: record.tcp_state,
		splice: record.splice_state,
		sent: record.sent_bytes + record.spliced_sent_bytes,
		received: record.received_bytes + record.spliced_received_bytes,
		spliced: record.spliced_sent_bytes + record.spliced_received_bytes,
		age: record.duration_seconds,
		rtt: record.srtt_us,
		verdict: record.verdict || "-",
		opened: 0,
	};
}

function read(json) {
	const s = { time: json.time_ms, host: json.host, version: json.version, policy: json.policy,
		total: {} };
	for (const kind in NAMES) {
		s[kind] = named(kind, json[kind]);
		s.total[kind] = json[kind].total;
	}
	s.nodes.forEach((node) => { node.key = (node.service ? "service " : "") + node.name; });
	for (const edge of s.edges) {
		edge.from = s.nodes[edge.from];
		edge.to = s.nodes[edge.to];
		edge.key = edge.from.key + " -> " + edge.to.key;
		addRates("edge " + edge.key, edge, s.time);
	}
	for (const item of s.services)
		addRates("service " + item.id, item, s.time);
	for (const item of s.endpoints)
		addRates("endpoint " + item.id, item, s.time);
	s.newest = json.newest.rows.map(flowOf);
	s.largest = json.largest.rows.map(flowOf);
	s.total.flows = json.newest.total;
	for (const flow of new Set([...s.newest, ...s.largest]))
		addRates("flow " + flow.flow, flow, s.time);
	forgetOld(s.time);
	return s;
}

// ---- tables -------------------------------------------------------------------------------

const ROWS_MAX = 200;

class Table {
	// columns: [heading, value of an item, how to format it, whether it is bad], ...
	constructor(id, label, none, columns, key, sort = 0, down = false) {
		Object.assign(this, { columns, key, sort, down, none, rows: new Map(), items: [] });
		const frame = make($(id), "div", { class: "scroll", role: "region", tabindex: "0",
			"aria-label": label });
		const table = make(frame, "table");
		this.caption = make(table, "caption");
		const head = make(make(table, "thead"), "tr");
		this.heads = columns.map(([heading], i) => {
			const th = make(head, "th", { scope: "col" });
			make(th, "button", { type: "button" }, heading)
				.addEventListener("click", () => this.sortBy(i));
			return th;
		});
		this.body = make(table, "tbody");
		this.empty = make(frame, "p", { class: "none" }, none);
	}

	sortBy(column) {
		this.down = this.sort === column ? !this.down : this.columns[column].length > 2;
		this.sort = column;
		this.render(this.items, this.total);
	}

	render(items, total) {
		Object.assign(this, { items, total });
		const value = this.columns[this.sort][1], sign = this.down ? -1 : 1;
		const texts = (item) => this.columns.filter((c) => c.length === 2).map((c) => c[1](item));
		const found = items.filter((item) => matches(...texts(item)));
		found.sort((a, b) => sign * compare(value(a), value(b)) || compare(this.key(a), this.key(b)));
		this.heads.forEach((th, i) => setAttributes(th, {
			"aria-sort": i !== this.sort ? "none" : this.down ? "descending" : "ascending",
			class: this.columns[i].length > 2 ? "number" : "",
		}));
		const shown = found.slice(0, ROWS_MAX);
		setText(this.caption, shown.length === total ? `${total} in all`
			: `${shown.length} of ${total}; the filter and the order say which`);
		this.empty.hidden = shown.length > 0;
		this.place(shown);
	}

	// Rows that stay are kept: focus and selection with them.
	place(shown) {
		const kept = new Map();
		let last = null;
		for (const item of shown) {
			const key = this.key(item);
			if (kept.has(key))
				continue; // a walk over the flows may tell of one twice
			const row = this.rows.get(key) || this.addRow();
			this.rows.delete(key);
			kept.set(key, row);
			this.fill(row, item);
			const next = last ? last.nextSibling : this.body.firstChild;
			if (row !== next)
				this.body.insertBefore(row, next);
			last = row;
		}
		for (const row of this.rows.values())
			row.remove();
		this.rows = kept;
	}

	addRow() {
		const row = make(this.body, "tr");
		this.columns.forEach((column, i) => make(row, i ? "td" : "th",
			{ ...(i ? {} : { scope: "row" }), class: column.length > 2 ? "number" : "" }));
		return row;
	}

	fill(row, item) {
		this.columns.forEach(([, value, format, isBad], i) => {
			const cell = row.children[i];
			setText(cell, String(format ? format(value(item), item) : value(item)));
			if (isBad)
				cell.classList.toggle("bad", isBad(item));
		});
	}
}

const asIs = (n) => n;
const share = (item) => item.spliced / (item.sent + item.received || 1);
const sharePercent = (_, item) => formatShare(item.spliced, item.sent + item.received);
const traffic = [
	["Rate", (i) => i.byteRate, formatRate],
	["Sent", (i) => i.sent, formatSize],
	["Received", (i) => i.received, formatSize],
	["Spliced", share, sharePercent],
];
const connections = [
	["Opened", (i) => i.opened, asIs],
	["New", (i) => i.openRate, formatPerSecond],
	["Active", (i) => i.active, asIs],
	["Failed", (i) => i.failed, asIs, (i) => i.failed > 0],
];
const denied = ["Denied", (i) => i.denied, asIs, (i) => i.denied > 0];

const tables = {
	calls: new Table("calls", "Who calls whom", "Nobody has called anybody.", [
		["From", (i) => i.from.name],
		["To", (i) => i.to.name],
		["Kind", (i) => (i.to.service ? "service" : i.from.service ? "answers" : "direct")],
		...traffic, ...connections,
		["Broken", (i) => i.broken, asIs, (i) => i.broken > 0],
		denied,
		["RTT p50", (i) => i.p50, formatTime],
		["RTT p99", (i) => i.p99, formatTime],
	], (i) => i.key, 3, true),
	services: new Table("services", "Services", "There is no service.", [
		["Service", (i) => i.name],
		["Protocol", (i) => i.protocol],
		["Address", (i) => i.address + (i.addresses > 1 ? ` and ${i.addresses - 1} more` : "")],
		["Ready", (i) => i.ready, (n, i) => `${n}/${i.configured}`, (i) => !i.ready],
		["Balance", (i) => i.balance],
		["Splice", (i) => i.splice],
		...connections,
		["Refused", (i) => i.refused, asIs, (i) => i.refused > 0],
		denied, ...traffic,
		["Datagrams", (i) => i.datagrams, asIs],
	], (i) => i.id),
	endpoints: new Table("endpoints", "Endpoints", "There is no endpoint.", [
		["Service", (i) => i.name],
		["Endpoint", (i) => i.address],
		["Protocol", (i) => i.protocol],
		["State", (i) => i.state],
		["Weight", (i) => i.weight, asIs],
		...connections, ...traffic,
		["Left alone", (i) => i.alone, (s) => (s ? s + "s" : "-")],
	], (i) => i.id),
	flows: new Table("flows", "Live flows", "There is no live flow.", [
		["Flow", (i) => i.flow],
		["Service", (i) => i.service],
		["Source", (i) => i.source],
		["Destination", (i) => i.destination],
		["Protocol", (i) => i.protocol],
		["State", (i) => i.state],
		["Splice", (i) => i.splice],
		["Verdict", (i) => i.verdict],
		...traffic,
		["Age", (i) => i.age, formatAge],
		["RTT", (i) => i.rtt, formatTime],
	], (i) => i.flow, 12),
	policies: new Table("policies", "Rules of policies", "No policy is in force: everything is allowed.", [
		["Policy", (i) => (i.namespace ? i.namespace + "/" : "") + i.policy],
		["Rule", (i) => i.rule],
		["Tier", (i) => i.tier],
		["Direction", (i) => i.direction],
		["Action", (i) => i.action],
		["Mode", (i) => (i.shadowed ? "shadow" : "enforce")],
		["What", (i) => i.summary],
		["Hits", (i) => i.decided, asIs],
		["Shadow hits", (i) => i.shadow, asIs],
		["Would allow", (i) => i.wouldAllow, asIs],
		["Would deny", (i) => i.wouldDeny, asIs, (i) => i.wouldDeny > 0],
	], (i) => i.id),
};

// ---- the map --------------------------------------------------------------------------------

const LEFT = 12, TOP = 50, NODE_WIDTH = 180, NODE_HEIGHT = 26, COLUMN = 340, ROW = 42;
const LINES_MAX = 1500, FIGURES_MAX = 40, NAME_MAX = 22;

const map = { svg: $("map"), nodes: new Map(), lines: new Map(), zoom: 0, selected: null,
	focus: null, order: [], width: 1, height: 1 };

function makeMap() {
	const marker = make(make(map.svg, "defs"), "marker", { id: "to", markerUnits: "userSpaceOnUse",
		markerWidth: 10, markerHeight: 10, refX: 9, refY: 5, orient: "auto" });
	make(marker, "path", { d: "M0 0L10 5L0 10z" });
	map.lineLayer = make(map.svg, "g", { "aria-hidden": "true" });
	map.nodeLayer = make(map.svg, "g");
}

// Those that the filter names, and whom they touch. Lines in trouble come first, then the widest.
function visible(s) {
	const names = new Set(s.nodes.filter((node) => matches(node.name)));
	let edges = s.edges.filter((edge) => names.has(edge.from) || names.has(edge.to));
	const nodes = filter ? new Set(edges.flatMap((edge) => [edge.from, edge.to]).concat([...names]))
		: names;
	const all = edges.length;
	if (all > LINES_MAX) {
		const weight = (edge) => (lookOf(edge, s.time) ? 1e18 : 0) + edge.byteRate * 1e6 +
			edge.sent + edge.received;
		edges = edges.sort((a, b) => weight(b) - weight(a)).slice(0, LINES_MAX);
	}
	return { nodes: [...nodes], edges, all };
}

// The daemon says layer and order; here rows are counted among those that are visible.
function place(nodes) {
	const layers = [];
	nodes.sort((a, b) => a.layer - b.layer || a.row - b.row);
	for (const node of nodes)
		(layers[node.layer] ||= []).push(node);
	const used = layers.filter((layer) => layer);
	const rows = Math.max(1, ...used.map((layer) => layer.length));
	used.forEach((layer, column) => layer.forEach((node, row) => {
		node.x = LEFT + column * COLUMN;
		node.y = TOP + NODE_HEIGHT / 2 + (row + (rows - layer.length) / 2) * ROW;
		node.column = column;
	}));
	map.width = 2 * LEFT + Math.max(0, used.length - 1) * COLUMN + NODE_WIDTH;
	map.height = 2 * TOP + (rows - 1) * ROW + NODE_HEIGHT;
	map.order = nodes;
}

function lookOf(edge, now) {
	if (now - edge.deniedAt < TROUBLE_MS)
		return "denied";
	return now - edge.failedAt < TROUBLE_MS ? "failing" : "";
}

// One that leads over other columns bows to the nearer rim, one that leads back goes below.
function bowOf({ from, to }) {
	const over = to.column - from.column - 1;
	if (over < 0)
		return ROW / 2;
	return Math.min(over, 3) * (ROW / 2) * (from.y + to.y < map.height ? -1 : 1);
}

function pathOf(edge) {
	const { from, to } = edge, x1 = from.x + NODE_WIDTH, x2 = to.x - 2, bow = bowOf(edge);
	const bend = x2 > x1 ? (x2 - x1) / 2 : COLUMN / 2;
	return `M${x1} ${from.y}C${x1 + bend} ${from.y + bow} ${x2 - bend} ${to.y + bow} ${x2} ${to.y}`;
}

// In steps: what looks the same is not painted anew.
const widthOf = (edge) => Math.min(9, 1 + Math.round(Math.log2(1 + edge.byteRate / 256)) / 2);

function figureOf(edge) {
	const parts = [formatRate(edge.byteRate)];
	if (edge.spliced)
		parts.push(formatShare(edge.spliced, edge.sent + edge.received) + " spliced");
	if (edge.failed + edge.broken)
		parts.push(edge.failed + edge.broken + " failed");
	if (edge.denied)
		parts.push(edge.denied + " denied");
	return parts.filter((part) => part !== "-").join(", ");
}

function drawLine(edge, s, withFigure) {
	let line = map.lines.get(edge.key);
	if (!line) {
		const group = make(map.lineLayer, "g");
		line = { group, title: make(group, "title"), path: make(group, "path"), width: 0 };
		map.lines.set(edge.key, line);
	}
	const d = pathOf(edge), width = widthOf(edge), look = lookOf(edge, s.time);
	setAttributes(line.path, { d, class: "line " + look, "marker-end": "url(#to)" });
	if (line.width !== width + (edge.spliced ? 2 : 0)) {
		line.width = width + (edge.spliced ? 2 : 0);
		line.path.style.strokeWidth = line.width + "px";
	}
	if (edge.spliced)
		setAttributes(line.core ||= make(line.group, "path", { class: "core" }), { d });
	if (withFigure) {
		line.figure ||= make(line.group, "text", { class: "figure" });
		setAttributes(line.figure, { x: (edge.from.x + NODE_WIDTH + edge.to.x) / 2,
			y: (edge.from.y + edge.to.y) / 2 + 0.75 * bowOf(edge) - 5 });
	}
	if (line.figure)
		setText(line.figure, withFigure ? figureOf(edge) : "");
	setText(line.title, `${edge.from.name} to ${edge.to.name}: ${edge.opened} connections, ` +
		`${edge.active} active, ${figureOf(edge) || "quiet"}`);
	const touched = !map.selected || edge.from.key === map.selected || edge.to.key === map.selected;
	line.group.classList.toggle("dim", !touched);
	line.stamp = s.time;
}

// The end of a cgroup's path tells more than its begin.
function shorten(name) {
	if (name.length <= NAME_MAX)
		return name;
	return name.startsWith("/") ? "…" + name.slice(1 - NAME_MAX) : name.slice(0, NAME_MAX - 1) + "…";
}

function makeNode(key) {
	const group = make(map.nodeLayer, "g", { role: "button", tabindex: "-1" });
	const node = { group, title: make(group, "title"),
		rect: make(group, "rect", { width: NODE_WIDTH, height: NODE_HEIGHT }),
		name: make(group, "text", { x: 12, y: NODE_HEIGHT / 2 + 4 }),
		ready: make(group, "text", { class: "ready", x: NODE_WIDTH - 10, y: NODE_HEIGHT / 2 + 4 }) };
	group.addEventListener("click", () => { focusNode(key); select(key); });
	group.addEventListener("focus", () => { map.focus = key; });
	map.nodes.set(key, node);
	return node;
}

function drawNode(item, s, ends) {
	const node = map.nodes.get(item.key) || makeNode(item.key);
	const end = item.service ? ends.get(item.name) : null;
	const ready = end ? `${end.ready}/${end.configured}` : "";
	setAttributes(node.group, {
		class: `node ${item.service ? "service" : "party"}${end && !end.ready ? " down" : ""}`,
		transform: `translate(${item.x} ${item.y - NODE_HEIGHT / 2})`,
		"aria-pressed": item.key === map.selected,
		"aria-label": (item.service ? "service " : "") + item.name +
			(end ? `, ${end.ready} of ${end.configured} endpoints ready` : ""),
	});
	setAttributes(node.rect, { rx: item.service ? NODE_HEIGHT / 2 : 3 });
	setText(node.title, item.name);
	setText(node.name, shorten(item.name));
	setText(node.ready, ready);
	node.stamp = s.time;
}

// Of services of one name and two families.
function countEndpoints(s) {
	const ends = new Map();
	for (const service of s.services) {
		const end = ends.get(service.name) || { ready: 0, configured: 0 };
		end.ready += service.ready;
		end.configured += service.configured;
		ends.set(service.name, end);
	}
	return ends;
}

function sweep(drawn, time) {
	for (const [key, item] of drawn)
		if (item.stamp !== time) {
			item.group.remove();
			drawn.delete(key);
		}
}

function drawMap(s) {
	const { nodes, edges, all } = visible(s), ends = countEndpoints(s);
	place(nodes);
	for (const edge of edges)
		drawLine(edge, s, edges.length <= FIGURES_MAX || map.selected === edge.from.key ||
			map.selected === edge.to.key);
	for (const node of nodes)
		drawNode(node, s, ends);
	sweep(map.lines, s.time);
	sweep(map.nodes, s.time);
	if (!map.nodes.has(map.focus))
		map.focus = nodes.length ? nodes[0].key : null;
	for (const [key, node] of map.nodes)
		setAttributes(node.group, { tabindex: key === map.focus ? "0" : "-1" });
	applyZoom();
	$("map-left-out").hidden = all === edges.length && s.total.nodes === s.nodes.length;
	setText($("map-left-out"), `${edges.length} of ${all} lines are drawn: those in trouble, then ` +
		"those with most traffic. The filter shows others.");
	drawSelected(s);
}

const fitting = () => Math.min(1, $("map-frame").clientWidth / map.width);

// As large as fits, as long as it can be read, until somebody says otherwise.
function applyZoom() {
	const zoom = map.zoom || Math.max(fitting(), 0.8);
	setAttributes(map.svg, { viewBox: `0 0 ${map.width} ${map.height}`,
		width: Math.round(map.width * zoom), height: Math.round(map.height * zoom) });
	return zoom;
}

function setZoom(zoom) {
	map.zoom = Math.min(3, Math.max(0.05, zoom));
	applyZoom();
}

function select(key) {
	map.selected = map.selected === key ? null : key;
	redraw();
}

function drawSelected(s) {
	const box = $("selected"), node = s.nodes.find((item) => item.key === map.selected);
	box.hidden = !node;
	if (!node || box.dataset.key === node.key)
		return; // told once, not every second: the tables go on
	box.dataset.key = node.key;
	box.replaceChildren();
	make(box, "h3", {}, (node.service ? "Service " : "") + node.name);
	const list = make(box, "ul");
	for (const edge of s.edges)
		if (edge.from === node || edge.to === node)
			make(list, "li", {}, `${edge.from.name} to ${edge.to.name}: ${edge.opened} connections, ` +
				`${formatSize(edge.sent + edge.received)}, ${figureOf(edge) || "quiet"}`);
	if (!list.children.length)
		make(list, "li", {}, "no calls yet");
}

// ---- the map by keyboard ----------------------------------------------------------------------

function focusNode(key) {
	const node = map.nodes.get(key);
	if (!node)
		return;
	map.nodes.get(map.focus)?.group.setAttribute("tabindex", "-1");
	map.focus = key;
	node.group.setAttribute("tabindex", "0");
	node.group.focus();
}

// The next one up or down in its column, or the nearest of the next column.
function step(key, dx, dy) {
	const here = map.order.find((node) => node.key === key);
	if (!here)
		return;
	const others = map.order.filter((node) => (dx ? node.column === here.column + dx
		: node.column === here.column && (node.y - here.y) * dy > 0));
	others.sort((a, b) => Math.abs(a.y - here.y) - Math.abs(b.y - here.y));
	if (others.length)
		focusNode(others[0].key);
}

const STEPS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

function onMapKey(event) {
	if (!event.target.closest(".node"))
		return;
	if (STEPS[event.key])
		step(map.focus, ...STEPS[event.key]);
	else if (event.key === "Enter" || event.key === " ")
		select(map.focus);
	else if (event.key === "Escape" && map.selected)
		select(map.selected);
	else
		return;
	event.preventDefault();
}

// ---- explain ------------------------------------------------------------------------------------

function showProblems(answer, problems) {
	for (const problem of problems)
		make(answer, "p", { class: "bad" }, problem);
}

function showPair(answer, pair) {
	const name = (end) => end.workload || end.address || end.labels || "identity " + end.id;
	make(answer, "p", { class: "verdict" + (pair.verdict === "denied" ? " bad" : "") },
		`${name(pair.source)} to ${name(pair.destination)}, port ${pair.port}: ${pair.verdict}` +
		(pair.shadow_verdict !== pair.verdict ? ` (with shadow rules: ${pair.shadow_verdict})` : ""));
	for (const direction of ["egress", "ingress"]) {
		const said = pair[direction];
		if (!said) {
			if (direction === "egress")
				make(answer, "p", {}, "A workload reaches itself: no rule is asked.");
			continue;
		}
		make(answer, "p", {}, `${direction}: ${said.verdict}, ${said.reason}` +
			(said.here ? "" : " (decided on its own node)"));
		const list = make(answer, "ul");
		for (const match of said.matches)
			make(list, "li", {}, `${match.tier} ${match.rule}: ${match.action}, ${match.part}`);
	}
}

async function onExplain(event) {
	event.preventDefault();
	const answer = $("answer");
	const fields = new URLSearchParams(new FormData(event.target));
	for (const [key, value] of [...fields])
		if (!value.trim())
			fields.delete(key);
	answer.replaceChildren();
	try {
		const response = await fetch("/api/explain?" + fields);
		const isJson = response.headers.get("Content-Type") === "application/json";
		const body = isJson ? await response.json() : { problems: [await response.text()] };
		if (body.problems)
			return showProblems(answer, body.problems);
		if (!body.pairs.length)
			make(answer, "p", { class: "verdict" }, body.verdict + ": no policy is in force");
		body.pairs.forEach((pair) => showPair(answer, pair));
	} catch (error) {
		showProblems(answer, ["no answer: " + error.message]);
	}
}

function offerNames(s) {
	const list = $("parties");
	const names = [...new Set(s.nodes.filter((node) => !node.service && node.name.includes("/") &&
		!node.name.startsWith("/")).map((node) => node.name)
		.concat(s.services.map((service) => service.name.replace("/", ":"))))].slice(0, 500);
	const key = names.join("\n");
	if (list.dataset.key === key)
		return;
	list.dataset.key = key;
	list.replaceChildren();
	for (const name of names)
		make(list, "option", { value: name });
}

// ---- all of it ---------------------------------------------------------------------------------

let current = null, paused = false;

function redraw() {
	const s = current;
	if (!s)
		return;
	setText($("host"), s.host);
	setText($("time"), new Date(s.time).toLocaleTimeString());
	drawMap(s);
	tables.calls.render(s.edges, s.total.edges);
	tables.services.render(s.services, s.total.services);
	tables.endpoints.render(s.endpoints, s.total.endpoints);
	const which = document.querySelector("input[name=flows]:checked").value;
	tables.flows.render(s[which], s.total.flows);
	tables.policies.render(s.rules, s.total.rules);
	offerNames(s);
}

function onSnapshot(event) {
	const begin = performance.now(), json = JSON.parse(event.data);
	setStatus(paused ? "paused" : "live");
	if (paused || json.time_ms === current?.time)
		return;
	current = read(json);
	if (!document.hidden)
		redraw();
	document.documentElement.dataset.drawMs = Math.round(performance.now() - begin);
}

const setStatus = (text) => setText($("status"), text);

function onPause() {
	paused = !paused;
	setAttributes($("pause"), { "aria-pressed": paused });
	setStatus(paused ? "paused" : "live");
}

function connect() {
	const events = new EventSource("/api/events");
	events.addEventListener("message", onSnapshot);
	events.addEventListener("error", () => {
		setStatus("no connection to the daemon, trying again");
		// a refusal ends it for good, else the browser tries again by itself
		if (events.readyState === EventSource.CLOSED)
			setTimeout(connect, 5000);
	});
}

makeMap();
map.svg.addEventListener("keydown", onMapKey);
$("filter").addEventListener("input", (event) => {
	filter = event.target.value.trim().toLowerCase();
	redraw();
});
$("pause").addEventListener("click", onPause);
$("smaller").addEventListener("click", () => setZoom(applyZoom() / 1.25));
$("larger").addEventListener("click", () => setZoom(applyZoom() * 1.25));
$("fit").addEventListener("click", () => setZoom(fitting()));
document.querySelectorAll("input[name=flows]").forEach((radio) =>
	radio.addEventListener("change", redraw));
document.addEventListener("visibilitychange", redraw);
$("explain").addEventListener("submit", onExplain);
connect();

})();
