"use strict";
// The lists of the report. Text from the receipt only ever becomes text:
// nothing here makes markup of a string.
(() => {
	const data = JSON.parse(document.getElementById("data").textContent);
	document.documentElement.classList.add("js");

	const maxShown = 300_000; // rows: browsers have a limit on the height of a page
	const maxPrinted = 2_000;

	function make(tag, className, text) {
		const e = document.createElement(tag);
		if (className) e.className = className;
		if (text !== undefined && text !== null) e.textContent = text;
		return e;
	}

	const grouped = (n) => n.toLocaleString("en-US");

	function size(n) {
		if (n < 1024) return n + " B";
		let unit = -1;
		for (; n >= 1024 && unit < 5; unit++) n /= 1024;
		return n.toFixed(1) + " " + "KMGTPE"[unit] + "iB";
	}

	// span is a length of time, from ns.
	function span(ns) {
		if (ns >= 60e9) return Math.floor(ns / 60e9) + " min " + ((ns % 60e9) / 1e9).toFixed(1) + " s";
		if (ns >= 1e9) return (ns / 1e9).toFixed(2) + " s";
		if (ns >= 1e6) return (ns / 1e6).toFixed(1) + " ms";
		return (ns / 1e3).toFixed(0) + " µs";
	}

	const unsafe = /[ \t\n\r"'`\\$&|;<>()*?[\]{}#~!]/;
	const quote = (arg) => (arg === "" || unsafe.test(arg) ? "'" + arg.replaceAll("'", "'\\''") + "'" : arg);
	const base = (path) => path.slice(path.lastIndexOf("/") + 1) || path;

	const grids = [];

	// Grid shows those rows of a long list that are in view. A source has:
	//   select()      the keys of the rows to show, which are numbers
	//   row(key, box) fills the element of a row
	//   open(key)     [title, facts] for the dialog
	//   total         how many there are, noun of what
	// and if it is a tree: level(key), folded(key) which is undefined for a
	// leaf, fold(key, whether), foldAll(whether), parent(key).
	class Grid {
		constructor(section, source) {
			this.section = document.getElementById(section);
			this.source = source;
			this.box = this.section.querySelector(".grid");
			this.count = this.section.querySelector(".count");
			this.head = this.section.querySelector(".head");
			this.all = make("div");
			this.view = make("div", "view");
			this.view.setAttribute("role", "rowgroup");
			this.box.append(this.all, this.view);
			this.here = 0;
			this.prefix = section + "-row-";
			this.box.addEventListener("scroll", () => this.later());
			this.box.addEventListener("keydown", (e) => this.key(e));
			this.box.addEventListener("click", (e) => this.click(e));
			for (const input of this.section.querySelectorAll(".tools input")) {
				input.addEventListener("input", () => this.refresh(true));
			}
			for (const button of this.section.querySelectorAll("[data-all]")) {
				button.addEventListener("click", () => {
					source.foldAll(button.dataset.all === "collapse");
					this.refresh(true);
				});
			}
			new ResizeObserver(() => this.later()).observe(this.box);
			this.section.classList.toggle("empty-list", source.total === 0);
			grids.push(this);
			this.refresh(true);
		}

		// text and checked are what the tools above the list say.
		get text() {
			const input = this.section.querySelector("input[type=search]");
			return input ? input.value.trim().toLowerCase() : "";
		}
		get checked() {
			return [...this.section.querySelectorAll("input:checked")].map((i) => i.value);
		}

		refresh(top) {
			const picked = this.source.select(this.text, this.checked);
			this.keys = picked.keys;
			this.cut = this.keys.length > maxShown;
			if (this.cut) this.keys = this.keys.slice(0, maxShown);
			let said = grouped(picked.found);
			if (picked.found !== this.source.total) said += " of " + grouped(this.source.total);
			if (this.cut) said += ", of which the first " + grouped(maxShown) + " rows are shown";
			this.count.textContent = said;
			this.box.setAttribute("aria-rowcount", this.keys.length);
			if (top) {
				this.here = 0;
				this.box.scrollTop = 0;
			}
			this.here = Math.max(0, Math.min(this.here, this.keys.length - 1));
			this.draw();
		}

		later() {
			if (this.pending) return;
			this.pending = true;
			requestAnimationFrame(() => {
				this.pending = false;
				this.draw();
			});
		}

		draw() {
			const height = (this.height = parseFloat(getComputedStyle(this.box).getPropertyValue("--row")) || 26);
			const n = this.keys.length;
			if (n === 0) {
				this.all.style.height = "";
				this.all.replaceChildren(make("div", "empty", this.source.total === 0 ? this.source.none : "Nothing matches."));
				this.view.replaceChildren();
				this.box.removeAttribute("aria-activedescendant");
				return;
			}
			this.all.replaceChildren();
			this.all.style.height = (this.printing ? Math.min(n, maxPrinted) + 1 : n) * height + "px";
			const beyond = 12;
			let first = Math.max(0, Math.floor(this.box.scrollTop / height) - beyond);
			let last = Math.min(n, Math.ceil((this.box.scrollTop + this.box.clientHeight) / height) + beyond);
			if (this.printing) [first, last] = [0, Math.min(n, maxPrinted)];
			const rows = document.createDocumentFragment();
			for (let i = first; i < last; i++) rows.append(this.row(i));
			if (this.printing && last < n) rows.append(make("div", "empty", "and " + grouped(n - last) + " more"));
			this.view.style.transform = "translateY(" + first * height + "px)";
			this.view.replaceChildren(rows);
			this.box.setAttribute("aria-activedescendant", this.prefix + this.here);
		}

		row(i) {
			const { source } = this;
			const key = this.keys[i];
			const row = make("div", i === this.here ? "row here" : "row");
			row.id = this.prefix + i;
			row.dataset.i = i;
			row.setAttribute("role", "row");
			row.setAttribute("aria-rowindex", i + 1);
			if (i === this.here) row.setAttribute("aria-selected", "true");
			if (source.level) {
				row.setAttribute("aria-level", source.level(key) + 1);
				const folded = source.folded(key);
				if (folded !== undefined) row.setAttribute("aria-expanded", String(!folded));
			}
			source.row(key, row);
			for (const cell of row.children) cell.setAttribute("role", "gridcell");
			return row;
		}

		click(event) {
			const row = event.target.closest(".row");
			if (!row) return;
			this.here = Number(row.dataset.i);
			const key = this.keys[this.here];
			if (event.target.classList.contains("twist") && this.source.folded(key) !== undefined) {
				this.toggle(key);
			} else {
				this.draw();
				this.open(key);
			}
		}

		toggle(key) {
			this.source.fold(key, !this.source.folded(key));
			this.refresh(false);
		}

		open(key) {
			const facts = this.source.open(key);
			if (facts) showDetails(...facts);
			else if (this.source.level) this.toggle(key);
		}

		key(event) {
			if (event.altKey || event.ctrlKey || event.metaKey || this.keys.length === 0) return;
			const key = this.keys[this.here];
			const page = Math.max(1, Math.floor(this.box.clientHeight / this.height) - 1);
			const tree = Boolean(this.source.level);
			switch (event.key) {
				case "ArrowDown": this.move(this.here + 1); break;
				case "ArrowUp": this.move(this.here - 1); break;
				case "PageDown": this.move(this.here + page); break;
				case "PageUp": this.move(this.here - page); break;
				case "Home": this.move(0); break;
				case "End": this.move(this.keys.length - 1); break;
				case "Enter": case " ": this.open(key); break;
				case "ArrowRight":
					if (!tree) return;
					if (this.source.folded(key) === true) this.toggle(key);
					break;
				case "ArrowLeft": {
					if (!tree) return;
					const up = this.source.parent(key);
					if (this.source.folded(key) === false) this.toggle(key);
					else if (up !== undefined) this.move(this.keys.indexOf(up));
					break;
				}
				default: return;
			}
			event.preventDefault();
		}

		move(i) {
			this.here = Math.max(0, Math.min(i, this.keys.length - 1));
			const top = this.here * this.height;
			if (top < this.box.scrollTop) this.box.scrollTop = top;
			const bottom = top + this.height - this.box.clientHeight;
			if (bottom > this.box.scrollTop) this.box.scrollTop = bottom;
			this.draw();
		}
	}

	// The dialog with all that is known of one row.
	const dialog = document.getElementById("details");
	dialog.querySelector(".close").addEventListener("click", () => dialog.close());
	dialog.addEventListener("click", (e) => {
		if (e.target === dialog) dialog.close();
	});

	function showDetails(title, facts) {
		dialog.querySelector("h3").textContent = title;
		const list = dialog.querySelector("dl");
		list.replaceChildren();
		for (const [name, value] of facts) {
			if (value === undefined || value === null || value === "") continue;
			const dd = make("dd");
			if (Array.isArray(value)) {
				const ol = make("ol");
				ol.start = 0;
				for (const item of value.slice(0, 10_000)) ol.append(make("li", "", item));
				dd.append(ol);
				if (value.length > 10_000) dd.append("and " + grouped(value.length - 10_000) + " more");
			} else dd.textContent = value;
			list.append(make("dt", "", name), dd);
		}
		dialog.showModal();
		dialog.scrollTop = 0;
	}

	function cells(row, ...list) {
		for (const [className, text] of list) row.append(make("span", className, text));
	}

	// Time: the whole run, or the part of it that was zoomed in to.
	const processes = data.processes;
	const whole = Math.max(1, data.length);
	const time = { from: 0, to: whole };
	const endOf = (p) => p.end ?? data.length;

	function stateOf(p) {
		if (p.signal !== null) return "killed";
		if (p.exit_code !== null) return p.exit_code === 0 ? "ok" : "failed";
		return "open";
	}

	function endingOf(p) {
		if (p.signal !== null) return p.signal;
		if (p.exit_code !== null) return "exit " + p.exit_code;
		return p.end === null ? "running" : "ended";
	}

	const titleOf = (p) => p.argv.map(quote).join(" ") || p.exe || "unknown";
	const startOf = new Date(data.start).getTime();

	function clock(ns) {
		if (!Number.isFinite(startOf) || startOf <= 0) return "+" + span(ns);
		const at = new Date(startOf + ns / 1e6);
		return "+" + span(ns) + (Number.isFinite(at.getTime()) ? ", " + at.toISOString() : "");
	}

	function imageFacts(p) {
		return p.execs.map((e) => {
			const argv = (e.argv ?? (e.exe === undefined ? p.argv : [])).map(quote).join(" ");
			let text = "+" + span(e.at) + "  " + (e.exe ?? p.exe) + "  " + argv;
			if (e.requested) text += "  asked for as " + e.requested;
			if (e.interpreter) text += "  by #! " + e.interpreter;
			return text;
		});
	}

	function processFacts(p) {
		const up = processes[p.parent];
		return [titleOf(p), [
			["Process", String(p.pid)],
			["Started by", up ? p.ppid + ", " + base(up.exe) : String(p.ppid)],
			["End", endingOf(p)],
			["Image", p.exe],
			["Arguments", p.argv.length ? p.argv : "none, or not captured"],
			["Arguments cut", p.argv_truncated ? "yes" : ""],
			["Folder", p.working_dir],
			["Images loaded", p.execs.length ? imageFacts(p) : "none: a fork that kept its creator's"],
			["Started", clock(p.start)],
			["Ended", p.end === null ? "not seen" : clock(p.end)],
			["Lasted", p.end === null ? "" : span(p.end - p.start)],
			["User, group", p.uid + ":" + p.gid],
			["CPU time", p.cpu_time_ms + " ms"],
			["Most memory", size(Math.max(0, p.max_rss_kb) * 1024)],
		]];
	}

	// Processes, as a tree. Children come after their parents.
	const children = processes.map(() => []);
	const roots = [];
	const levels = new Int32Array(processes.length);
	processes.forEach((p, i) => {
		if (p.parent < 0) return roots.push(i);
		children[p.parent].push(i);
		levels[i] = levels[p.parent] + 1;
	});
	const foldedProcesses = new Set();
	let faint = null; // those shown for their descendants' sake

	const processGrid = new Grid("processes", {
		total: processes.length,
		none: "No processes were recorded.",
		select(text, checked) {
			let shown = null;
			let found = processes.length;
			faint = null;
			if (text || checked.length) {
				shown = new Uint8Array(processes.length);
				faint = new Uint8Array(processes.length);
				found = 0;
				for (let i = processes.length - 1; i >= 0; i--) {
					const p = processes[i];
					const state = stateOf(p);
					const match = (!checked.length || state === "failed" || state === "killed") &&
						(!text || (p.pid + " " + p.exe + " " + titleOf(p)).toLowerCase().includes(text));
					if (match) found++;
					else if (shown[i]) faint[i] = 1;
					if (match) shown[i] = 1;
					if (shown[i] && p.parent >= 0) shown[p.parent] = 1;
				}
			}
			const keys = [];
			const stack = roots.slice().reverse();
			while (stack.length) {
				const i = stack.pop();
				if (shown && !shown[i]) continue;
				keys.push(i);
				if (foldedProcesses.has(i)) continue;
				for (let c = children[i].length - 1; c >= 0; c--) stack.push(children[i][c]);
			}
			return { keys, found };
		},
		level: (i) => levels[i],
		parent: (i) => (processes[i].parent < 0 ? undefined : processes[i].parent),
		folded: (i) => (children[i].length ? foldedProcesses.has(i) : undefined),
		fold: (i, whether) => (whether ? foldedProcesses.add(i) : foldedProcesses.delete(i)),
		foldAll(whether) {
			foldedProcesses.clear();
			if (whether) children.forEach((list, i) => list.length && foldedProcesses.add(i));
		},
		row(i, row) {
			const p = processes[i];
			if (faint && faint[i]) row.classList.add("faint");
			const name = make("span", "name text");
			name.style.paddingLeft = Math.min(levels[i], 20) * 14 + "px";
			name.append(make("span", "twist", children[i].length ? (foldedProcesses.has(i) ? "▸" : "▾") : ""));
			name.append(make("b", "", base(p.exe) || "unknown"));
			if (!p.execs.length) name.append(make("span", "dim", " (fork)"));
			name.append(make("span", "dim", " " + p.argv.slice(1).map(quote).join(" ").slice(0, 500)));
			if (foldedProcesses.has(i)) name.append(make("span", "dim", " (" + grouped(children[i].length) + " below)"));
			const state = stateOf(p);
			row.append(name);
			cells(row, ["num dim", p.pid], ["num" + (state === "failed" || state === "killed" ? " failed-text" : ""), endingOf(p)],
				["num", p.end === null ? "" : span(p.end - p.start)]);
			const bar = make("span", "bar");
			const from = Math.max(p.start, time.from);
			const to = Math.min(endOf(p), time.to);
			if (from <= to) {
				const mark = make("i", state);
				const width = time.to - time.from;
				mark.style.left = "min(" + ((from - time.from) / width) * 100 + "%, 100% - 2px)";
				mark.style.width = ((to - from) / width) * 100 + "%";
				bar.append(mark);
			}
			row.append(bar);
		},
		open: (i) => processFacts(processes[i]),
	});

	// The timeline.
	const canvas = document.getElementById("lanes");
	const context = canvas.getContext("2d");
	const under = document.getElementById("under");
	const scale = 22; // height of the axis
	const maxLanes = 2_000;
	const lanes = Math.max(1, Math.min(data.lanes, maxLanes));
	const lane = Math.max(2, Math.min(16, Math.floor(400 / lanes)));

	// ticks are some five round times between two.
	function ticks(from, to) {
		const rough = (to - from) / 5;
		const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
		const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough) || power;
		const list = [];
		for (let t = Math.ceil(from / step) * step; t <= to && list.length < 20; t += step) list.push(t);
		return list;
	}

	function drawLanes() {
		const width = canvas.clientWidth;
		const height = scale + lanes * lane + 4;
		if (width === 0) return;
		const dense = Math.min(window.devicePixelRatio || 1, 2);
		canvas.style.height = height + "px";
		canvas.width = Math.round(width * dense);
		canvas.height = Math.round(height * dense);
		context.scale(dense, dense);
		const style = getComputedStyle(document.documentElement);
		const colour = (name) => style.getPropertyValue("--" + name);
		const x = (t) => ((t - time.from) / (time.to - time.from)) * width;
		context.font = "11px system-ui, sans-serif";
		context.textBaseline = "middle";
		for (const t of ticks(time.from, time.to)) {
			context.fillStyle = colour("line");
			context.fillRect(x(t), 0, 1, height);
			context.fillStyle = colour("soft");
			context.fillText(t === 0 ? "0" : span(t), x(t) + 4, scale / 2);
		}
		const fills = { ok: colour("ok"), failed: colour("failed"), killed: colour("killed"), open: colour("open") };
		const thick = Math.max(1, lane - (lane > 6 ? 3 : lane > 3 ? 1 : 0));
		for (const p of processes) {
			if (p.lane >= lanes || p.start > time.to || endOf(p) < time.from) continue;
			const left = Math.max(0, x(p.start));
			const long = Math.max(1, Math.min(width, x(endOf(p))) - left - (lane > 6 ? 0.5 : 0));
			context.fillStyle = fills[stateOf(p)];
			context.fillRect(Math.min(left, width - 1), scale + p.lane * lane, long, thick);
			if (lane >= 12 && long > 60) {
				context.save();
				context.beginPath();
				context.rect(left, scale + p.lane * lane, long - 4, thick);
				context.clip();
				context.fillStyle = colour("paper");
				context.fillText(base(p.exe), left + 4, scale + p.lane * lane + thick / 2 + 0.5);
				context.restore();
			}
		}
		if (drag && drag.moved) {
			context.globalAlpha = 0.2;
			context.fillStyle = colour("focus");
			context.fillRect(Math.min(drag.from, drag.to), 0, Math.abs(drag.to - drag.from), height);
			context.globalAlpha = 1;
		}
	}

	function drawTime() {
		drawLanes();
		processGrid.draw();
		const all = time.from === 0 && time.to === whole;
		const shown = all ? "the whole run, " + span(whole) : span(time.from) + " to " + span(time.to) + " of " + span(whole);
		document.getElementById("range").textContent = shown;
		const axis = document.querySelector("#processes .axis");
		axis.replaceChildren(make("span", "", time.from === 0 ? "0" : span(time.from)), make("span", "", span(time.to)));
	}

	function zoom(from, to) {
		const width = Math.max(1_000, Math.min(whole, to - from)); // ns
		time.from = Math.max(0, Math.min(from, whole - width));
		time.to = Math.min(whole, time.from + width);
		drawTime();
	}

	for (const button of document.querySelectorAll("[data-zoom]")) {
		button.addEventListener("click", () => {
			const width = time.to - time.from;
			switch (button.dataset.zoom) {
				case "in": return zoom(time.from + width / 4, time.to - width / 4);
				case "out": return zoom(time.from - width / 2, time.to + width / 2);
				case "left": return zoom(time.from - width / 2, time.to - width / 2);
				case "right": return zoom(time.from + width / 2, time.to + width / 2);
				default: return zoom(0, whole);
			}
		});
	}

	// processAt is the one under the pointer, or the nearest within 3 pixels.
	function processAt(event) {
		const at = Math.floor((event.offsetY - scale) / lane);
		const perPixel = (time.to - time.from) / canvas.clientWidth;
		const t = time.from + event.offsetX * perPixel;
		let best = null;
		let distance = 3 * perPixel;
		for (const p of processes) {
			if (p.lane !== at) continue;
			const d = Math.max(p.start - t, t - endOf(p), 0);
			if (d <= distance && (best === null || d < distance)) [best, distance] = [p, d];
		}
		return best;
	}

	let drag = null;
	canvas.addEventListener("pointerdown", (e) => {
		if (e.button !== 0) return;
		drag = { from: e.offsetX, to: e.offsetX, moved: false };
		canvas.setPointerCapture(e.pointerId);
	});
	canvas.addEventListener("pointermove", (e) => {
		if (drag) {
			drag.to = Math.max(0, Math.min(e.offsetX, canvas.clientWidth));
			drag.moved ||= Math.abs(drag.to - drag.from) > 4;
			if (drag.moved) drawLanes();
			return;
		}
		const p = processAt(e);
		under.textContent = p ? p.pid + "  " + endingOf(p) + "  +" + span(p.start) + ", " + span(endOf(p) - p.start) + "  " + titleOf(p).slice(0, 300) : "";
	});
	canvas.addEventListener("pointerup", (e) => {
		const done = drag;
		drag = null;
		if (!done) return;
		if (done.moved) {
			const perPixel = (time.to - time.from) / canvas.clientWidth;
			const [a, b] = [Math.min(done.from, done.to), Math.max(done.from, done.to)];
			zoom(time.from + a * perPixel, time.from + b * perPixel);
			return;
		}
		const p = processAt(e);
		if (p) showDetails(...processFacts(p));
	});
	canvas.addEventListener("pointercancel", () => {
		drag = null;
		drawLanes();
	});
	canvas.addEventListener("dblclick", () => zoom(0, whole));
	canvas.setAttribute("aria-label", grouped(processes.length) + " processes over " + span(whole) + ", at most " + grouped(data.lanes) +
		" at once; the list of processes has the same");
	if (data.lanes > maxLanes) {
		document.querySelector(".lanes").after(make("p", "none", "Of " + grouped(data.lanes) + " processes at once the first " + grouped(maxLanes) + " are drawn."));
	}
	new ResizeObserver(() => drawLanes()).observe(canvas.parentElement);
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawLanes);
	drawTime();

	// Flat lists.
	function flat(section, list, none, textOf, keep, row, facts) {
		new Grid(section, {
			total: list.length,
			none,
			select(text, checked) {
				const keys = [];
				list.forEach((v, i) => {
					if (checked.length && !keep(v)) return;
					if (text && !textOf(v).toLowerCase().includes(text)) return;
					keys.push(i);
				});
				return { keys, found: keys.length };
			},
			row: (i, element) => row(list[i], element),
			open: (i) => facts(list[i]),
		});
	}

	flat("failures", data.exec_failures, "None.",
		(f) => [...f.pids, f.path, ...f.argvs.flat(), f.errno].join(" "), () => true,
		(f, row) => cells(row, ["text", f.path], ["", f.errno],
			["num dim", f.pids.length === 1 ? "pid " + f.pids[0] : grouped(f.pids.length)], ["num", grouped(f.count)]),
		(f) => [f.path, [["Error", f.errno], ...f.argvs.slice(0, 100).map((argv) => ["Arguments", argv]),
			["", f.argvs.length > 100 ? "and " + grouped(f.argvs.length - 100) + " other arguments" : ""],
			[f.pids.length === 1 ? "Process" : "Processes", f.pids.join(", ")], ["Times", grouped(f.count)]]]);

	flat("operations", data.operations, "None.",
		(o) => o.op + " " + o.path + " " + (o.to || "") + " " + (o.errno || ""), (o) => o.errno,
		(o, row) => {
			cells(row, ["", o.op], ["text", o.path], ["failed-text", o.errno || ""], ["num", o.count ? grouped(o.count) : ""]);
			if (o.to) row.children[1].append(make("span", "dim", (o.op === "rename" ? " to " : ", ") + o.to));
		},
		(o) => [o.op, [["Path", o.path], ["Other path", o.to], ["Error", o.errno], ["Times", o.count ? grouped(o.count) : ""]]]);

	flat("network", data.network, "Nothing was seen on the network.",
		(c) => [c.kind, c.addr, c.protocol, c.result, c.about, c.pid].join(" "), () => true,
		(c, row) => cells(row, ["", c.kind], ["text", c.addr], ["dim", c.protocol], ["", c.result || ""], ["text", c.about || ""],
			["num dim", c.pid || ""], ["num", c.count ? grouped(c.count) : ""]),
		(c) => [c.addr, [["What", c.kind], ["Protocol", c.protocol], ["Result", c.result], [c.kind === "accepted" ? "Peer" : "Name", c.about],
			["Process", c.pid ? String(c.pid) : ""], ["Times", c.count ? grouped(c.count) : ""]]]);

	// Files by folder. A key from 0 on is a file, one below a folder.
	const { files, folders } = data;
	const [inFolder, fileName, fileFlags, opens, bytesRead, bytesWritten, more] = [0, 1, 2, 3, 4, 5, 6];
	const flagNames = [[32, "created"], [1, "read"], [2, "written"], [4, "executed"], [8, "mapped as code"], [64, "mapped shared"], [16, "deleted"]];
	const rareNames = [[128, "a name, not seen as a file"], [256, "only a part of the path is known"], [512, "in another mount namespace"]];
	const namesOf = (flags, names) => names.filter(([bit]) => flags & bit).map(([, name]) => name).join(", ");
	const pathOf = (f) => {
		const folder = folders[f[inFolder]];
		return folder === "" ? f[fileName] : folder === "/" ? "/" + f[fileName] : folder + "/" + f[fileName];
	};
	const foldedFolders = new Set();
	let sizes = new Map(); // of the folders, by what is shown

	new Grid("files", {
		total: files.length,
		none: "No files were recorded.",
		select(text, checked) {
			const mask = checked.reduce((m, v) => m | Number(v), 0);
			const keys = [];
			sizes = new Map();
			let found = 0;
			files.forEach((f, i) => {
				if (mask && !(f[fileFlags] & mask)) return;
				if (text && !pathOf(f).toLowerCase().includes(text)) return;
				found++;
				const folder = f[inFolder];
				if (!sizes.has(folder)) keys.push(-1 - folder);
				sizes.set(folder, (sizes.get(folder) || 0) + 1);
				if (!foldedFolders.has(folder)) keys.push(i);
			});
			return { keys, found };
		},
		level: (key) => (key < 0 ? 0 : 1),
		parent: (key) => (key < 0 ? undefined : -1 - files[key][inFolder]),
		folded: (key) => (key < 0 ? foldedFolders.has(-1 - key) : undefined),
		fold: (key, whether) => (whether ? foldedFolders.add(-1 - key) : foldedFolders.delete(-1 - key)),
		foldAll(whether) {
			foldedFolders.clear();
			if (whether) folders.forEach((_, i) => foldedFolders.add(i));
		},
		row(key, row) {
			if (key < 0) {
				const folder = -1 - key;
				const name = make("span", "text");
				name.append(make("span", "twist", foldedFolders.has(folder) ? "▸" : "▾"));
				name.append(make("b", "", folders[folder] === "" ? "without a place in the tree" : folders[folder]));
				name.append(make("span", "dim", " " + grouped(sizes.get(folder))));
				row.append(name);
				cells(row, ["", ""], ["", ""], ["", ""], ["", ""]);
				return;
			}
			const f = files[key];
			const name = make("span", "text", f[fileName] || ".");
			name.style.paddingLeft = "30px";
			row.append(name);
			cells(row, ["dim", namesOf(f[fileFlags], flagNames)], ["num", f[opens] ? grouped(f[opens]) : ""],
				["num", f[bytesRead] ? size(f[bytesRead]) : ""], ["num", f[bytesWritten] ? size(f[bytesWritten]) : ""]);
		},
		open(key) {
			if (key < 0) return null;
			const f = files[key];
			const extra = f[more] || {};
			const end = extra.final;
			return [pathOf(f), [
				["What happened", namesOf(f[fileFlags], flagNames)],
				["Opens", grouped(f[opens])],
				["Bytes read", grouped(f[bytesRead])],
				["Bytes written", grouped(f[bytesWritten])],
				["Remark", namesOf(f[fileFlags], rareNames)],
				["Asked for as", extra.requested],
				["Exact bytes, in base64", extra.path_bytes],
				["At the end", end && "inode " + end.inode + ", " + grouped(end.size) + " bytes, changed at " + end.changed_at],
				["Last write seen", end && end.last_write + (end.changed ? ", and it was changed after that" : "")],
			]];
		},
	});

	// On paper there is no scrolling.
	const printing = (whether) => () => {
		for (const grid of grids) {
			grid.printing = whether;
			grid.box.scrollTop = 0;
			grid.draw();
		}
	};
	addEventListener("beforeprint", printing(true));
	addEventListener("afterprint", printing(false));
})();
