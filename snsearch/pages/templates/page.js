"use strict";
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const figures = read("figures");
const { charts, config } = read("charts");
const $ = (selector, root = document) => root.querySelector(selector);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const button = (words, act, properties = {}) => make("button", { type: "button", textContent: words, onclick: act, ...properties });
const narrow = () => innerWidth < 600;
const say = (words) => { $("#said").textContent = words; };

// Copying and downloading.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
document.querySelectorAll("button.copy").forEach((one) => one.addEventListener("click", async () => {
  const words = one.textContent;
  await copy(one.dataset.copy);
  say(`Copied: ${one.dataset.copy}`);
  one.textContent = "Copied";
  setTimeout(() => { one.textContent = words; }, 1500);
}));
function download(name, type, text) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// Charts: a specification's colors are CSS variables.
const dark = matchMedia("(prefers-color-scheme: dark)");
function colored(spec) {
  const style = getComputedStyle(document.documentElement);
  const values = spec.data?.values; // the many, which have no colors in them
  const text = JSON.stringify(spec, (key, value) => (value === values ? undefined : value));
  const made = JSON.parse(text.replace(/var\((--\w+)\)/g, (_, name) => style.getPropertyValue(name).trim()));
  if (values) made.data.values = values;
  return made;
}
async function embed(name, spec) {
  const live = $(`#${name} .live`);
  live.hidden = false;
  $(`#${name} .still`).hidden = true;
  if (spec.facet) spec = { ...spec, spec: { ...spec.spec, width: Math.max(100, live.clientWidth - 160) } };
  const height = narrow() ? Math.min(spec.height ?? 320, 320) : spec.height;
  const role = live.getAttribute("role");
  const made = await vegaEmbed(live, colored({ ...spec, height, config }), {
    renderer: "canvas", ast: true, logLevel: 1, actions: false, tooltip: { theme: "custom" },
  });
  $("canvas", live)?.setAttribute("aria-hidden", "true");
  live.setAttribute("role", role ?? "img"); // Vega has words of its own
  live.removeAttribute("aria-roledescription");
  live.setAttribute("aria-label", live.dataset.label ?? $(`#${name} .still`).getAttribute("aria-label"));
  if (live.scrollWidth > live.clientWidth) live.tabIndex = 0; // so that keys can scroll it
  return made.view;
}

// Candidates: one record a row of the table.
const columns = figures.candidates?.columns ?? [];
const rows = (figures.candidates?.values ?? []).map((values, at) => {
  const row = { at, ...figures.candidates.drawn[at] };
  columns.forEach((column, index) => { row[column.name] = values[index]; });
  return row;
});
const words_of = (row, name) => figures.candidates.words[row.at][columns.findIndex((column) => column.name === name)] ?? String(row[name] ?? "");
const byTrial = new Map(rows.map((row) => [row.trial, row]));
const MOST_PINNED = 4;
const MOST_BARRED = 1000; // beyond, dominated candidates have their intervals in the card and the table alone
const pinned = new Set();
const shut = new Map(); // column -> values that are filtered out
let brushed = null;
const open = (row) => [...shut].every(([name, values]) => !values.has(row[name]));
const inBrush = (row) => brushed === null || ["x", "y"].every((way) => {
  const value = row[front.chosen[way].name], [low, high] = brushed[way];
  return value >= low && value <= high;
});
function pin(trial) {
  if (!pinned.delete(trial)) {
    if (pinned.size === MOST_PINNED) return say(`${MOST_PINNED} are pinned; let go of one first`);
    pinned.add(trial);
  }
  say(`#${trial} is ${pinned.has(trial) ? "pinned" : "no longer pinned"}`);
  table.draw();
  front.ring();
  compare();
}

// The front.
const front = {
  chosen: {}, domain: null, view: null, focus: null, shown: [],
  async start() {
    const figure = $("#front-chart"), { axes, errors } = charts["front-chart"].options;
    Object.assign(this, { axes, errors, figure, chosen: { x: axes[0], y: errors[0], x_log: false, y_log: false } });
    const choice = (words, options, way) => make("label", {}, words, make("select", {
      ariaLabel: `${words} axis`,
      onchange: (event) => this.choose(way, options[event.target.selectedIndex]),
    }, ...options.map((one) => make("option", { textContent: one.title }))));
    const log = (way) => make("label", {}, make("input", { type: "checkbox", onchange: (event) => this.choose(`${way}_log`, event.target.checked) }), "logarithmic");
    this.note = make("p", { className: "soft note" });
    this.state = make("div", { className: "tools state" }); // below the chart, which must not move under a pointer
    figure.before(make("div", { className: "tools" },
      choice("x", axes, "x"), log("x"), choice("y", errors, "y"), log("y"),
      button("Zoom in", () => this.zoom(0.2)), button("Zoom out", () => this.zoom(-0.35)), button("Whole", () => this.reset(true)), button("Start", () => this.reset())));
    figure.before(make("p", { className: "soft note tools", textContent: "Click to pin. Drag to select; Ctrl and wheel to zoom; Shift and drag to move. Keys: arrows, Enter to pin, + and -, 0 for the start." }));
    this.live = $(".live", figure);
    Object.assign(this.live, { tabIndex: 0, role: "group" });
    this.live.dataset.label = `${$(".still", figure).getAttribute("aria-label")}. Arrow keys go through the candidates, Enter pins one.`;
    this.card = make("div", { className: "hover", hidden: true });
    figure.append(this.card, this.note, this.state);
    this.live.addEventListener("pointermove", (event) => this.move(event));
    this.live.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.live.addEventListener("pointerleave", () => this.look(null));
    this.live.addEventListener("pointerdown", (event) => { this.pressed = [event.clientX, event.clientY]; });
    this.live.addEventListener("click", (event) => {
      const moved = Math.hypot(event.clientX - this.pressed[0], event.clientY - this.pressed[1]);
      const row = this.nearest(event);
      if (row && moved < 5) { this.look(row); pin(row.trial); }
    });
    this.live.addEventListener("keydown", (event) => this.key(event));
    await this.draw();
  },
  choose(way, value) {
    predict(value.name);
    this.chosen[way] = value;
    this.note.textContent = this.chosen.x.note;
    return this.reset();
  },
  reset(whole = false) {
    this.whole = whole;
    this.domain = brushed = null;
    table.draw();
    return this.draw();
  },
  record(row) {
    const { x, y } = this.chosen;
    const bare = row.status === "trained" && rows.length > MOST_BARRED;
    const end = (axis, which) => (axis.interval && !bare ? row[`${axis.name}_${which}`] : null);
    const edge = this.near() ? charts["front-chart"].options.edge : Infinity;
    return {
      beyond: row[y.name] > edge,
      trial: row.trial, status: row.status, color: row.color, se: row.se !== "no" && !row.se.startsWith("no,"),
      extrapolated: extrapolated(row, x), label: narrow() ? row.label.split(" ")[0] : row.label,
      cost: row[x.name], cost_low: end(x, "low"), cost_high: end(x, "high"),
      error: Math.min(row[y.name], edge), error_low: end(y, "low"), error_high: end(y, "high"),
    };
  },
  near() {
    return this.chosen.y.name === "error" && !this.whole && !this.domain;
  },
  records() {
    this.shown = rows.filter((row) => open(row) && row[this.chosen.x.name] !== null && row[this.chosen.y.name] !== null);
    return this.shown.map((row) => this.record(row));
  },
  spec() {
    const { x, y, x_log, y_log } = this.chosen;
    const spec = structuredClone(charts["front-chart"].spec);
    spec.data.values = this.records();
    spec.layer.find((layer) => layer.name === "rings").data.values = this.ringed();
    const ends = spec.data.values.flatMap((one) => [one.cost_low ?? one.cost, one.cost_high ?? one.cost]);
    const [least, most] = [ends.reduce((a, b) => Math.min(a, b), Infinity), ends.reduce((a, b) => Math.max(a, b), -Infinity)];
    spec.layer = spec.layer.filter((layer) => layer.name !== "band" || (x.name === "cost" && y.name === "error"));
    const scaled = (layer) => {
      if (layer.name === "landmarks") layer.data.values = layer.data.values.map((one) => ({ name: one.name, cost: one[x.name] ?? null })).filter((one) => one.cost !== null && one.cost >= least && one.cost <= most)
        .filter(apart((most - least) / (narrow() ? 8 : 30)));
      for (const [way, axis, log] of [["x", x, x_log], ["y", y, y_log]]) {
        const at = layer.encoding?.[way];
        if (!at?.field) continue;
        at.title = axis.title;
        at.scale = { domainRaw: at.scale.domainRaw, ...(way === "y" && this.near() && { domain: at.scale.domain }), ...(log ? { type: "log" } : { zero: false }) };
      }
      if (layer.name === "points") {
        layer.params = [
          { name: "brush", select: { type: "interval", on: "[pointerdown[!event.shiftKey], window:pointerup] > window:pointermove!", translate: "[@brush_brush:pointerdown, window:pointerup] > window:pointermove!", zoom: false, mark: { fill: "var(--accent)", fillOpacity: 0.12, stroke: "var(--accent)" } } },
        ];
      }
      layer.layer?.forEach(scaled);
    };
    spec.layer.forEach(scaled);
    return spec;
  },
  async draw() {
    this.view = await embed("front-chart", this.spec());
    if (this.domain) this.zoom_to(this.domain);
    this.view.addSignalListener("brush", (_, value) => {
      cancelAnimationFrame(this.pending);
      this.pending = requestAnimationFrame(() => this.select(value));
    });
    this.select(null);
  },
  select(value) {
    const { cost, error } = value ?? {};
    const sorted = (ends) => [Math.min(...ends), Math.max(...ends)];
    const had = brushed;
    brushed = cost && error ? { x: sorted(cost), y: sorted(error) } : null;
    this.state.replaceChildren();
    if (brushed) {
      const count = this.shown.filter(inBrush).length;
      this.state.append(`${count} selected `, button("Zoom to them", () => { this.domain = brushed; return this.draw(); }), " ", button("Let go", () => this.draw()));
    }
    if (had || brushed) table.draw();
  },
  // Zooms in by a share of the view on each side (out where it is below 0), or moves by shares of it.
  zoom(share, [right, up] = [0, 0], [across, down] = [0.5, 0.5]) {
    const ends = (way, before, after) => {
      const scale = this.view.scale(way), [start, end] = scale.range(), whole = end - start;
      return [scale.invert(start + before * whole), scale.invert(end - after * whole)];
    };
    const near = this.near();
    this.domain = {
      x: ends("x", 2 * share * across + right, 2 * share * (1 - across) - right),
      y: ends("y", 2 * share * (1 - down) + up, 2 * share * down - up),
    };
    return near ? this.draw() : this.zoom_to(this.domain); // what was at the edge has its own place now
  },
  zoom_to({ x, y }) {
    return this.view.signal("domain_x", x).signal("domain_y", y).runAsync();
  },
  wheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = this.live.getBoundingClientRect(), [left, top] = this.view.origin();
    const at = [(event.clientX - box.left - left) / this.view.width(), (event.clientY - box.top - top) / this.view.height()];
    this.zoom(event.deltaY < 0 ? 0.1 : -0.13, [0, 0], at);
  },
  move(event) {
    if (event.buttons !== 1 || !event.shiftKey) return this.look(this.nearest(event));
    this.zoom(0, [-event.movementX / this.view.width(), event.movementY / this.view.height()]);
  },
  // The function from a row to its pixels in the chart.
  placing() {
    const [left, top] = this.view.origin(), x = this.view.scale("x"), y = this.view.scale("y");
    return (row) => {
      const { cost, error } = this.record(row);
      return [left + x(cost), top + y(error)];
    };
  },
  pixel(row) {
    return this.placing()(row);
  },
  nearest(event) {
    if (!this.view) return null;
    const box = this.live.getBoundingClientRect(), place = this.placing();
    let best = null, least = 18;
    for (const row of this.shown) {
      const [left, top] = place(row);
      const far = Math.hypot(left - (event.clientX - box.left), top - (event.clientY - box.top));
      if (far < least) [best, least] = [row, far];
    }
    return best;
  },
  look(row) {
    if (row === this.focus) return;
    this.focus = row;
    this.ring();
    this.card.hidden = row === null;
    if (row === null) return;
    this.card.replaceChildren(...describe(row));
    const [left, top] = this.pixel(row), width = this.figure.clientWidth;
    const beside = left + 16 + this.card.offsetWidth < width ? left + 16 : Math.max(0, left - 16 - this.card.offsetWidth);
    Object.assign(this.card.style, { left: `${beside}px`, top: `${top + 14}px` });
  },
  ringed() {
    const ringed = [...new Set([...pinned].map((trial) => byTrial.get(trial)).concat(this.focus ?? []))].filter(open);
    return ringed.map((row) => ({ ...this.record(row), pinned: pinned.has(row.trial) }));
  },
  async ring() {
    if (!this.view) return;
    this.view.data("rings", this.ringed());
    await this.view.runAsync();
  },
  key(event) {
    const acts = { "+": () => this.zoom(0.2), "=": () => this.zoom(0.2), "-": () => this.zoom(-0.35), 0: () => this.reset(), Escape: () => this.look(null) };
    const order = this.shown.toSorted((a, b) => a[this.chosen.x.name] - b[this.chosen.x.name]);
    const at = order.indexOf(this.focus);
    const go = (to) => {
      const row = order[Math.max(0, Math.min(order.length - 1, to))];
      if (!row) return;
      this.look(row);
      say(`#${row.trial}, ${row.status}, error ${words_of(row, "error")}, ${words_of(row, "cost")}${further(this.chosen.x) ? `, ${worded(row, this.chosen.x)} ${this.chosen.x.title}` : ""}, ${row.words}`);
    };
    Object.assign(acts, {
      ArrowRight: () => go(at + 1), ArrowLeft: () => go(at < 0 ? 0 : at - 1), Home: () => go(0), End: () => go(order.length - 1),
      Enter: () => this.focus && pin(this.focus.trial), " ": () => this.focus && pin(this.focus.trial),
    });
    if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    acts[event.key]();
  },
};

// Latencies by other profiles: the rows get them when their axis is chosen.
function predict(name) {
  const found = figures.predicted[name];
  if (!found) return;
  delete figures.predicted[name];
  const { ms, factor, judged } = found;
  rows.forEach((row, at) => {
    const known = ms[at] !== null;
    row[name] = ms[at];
    row[`${name}_low`] = known ? ms[at] / factor : null;
    row[`${name}_high`] = known ? ms[at] * factor : null;
    row[`${name}_extrapolated`] = known && judged !== null && (ms[at] < judged[0] || ms[at] > judged[1]);
  });
}
const extrapolated = (row, axis) => (axis.name === "cost" ? row.extrapolated : row[`${axis.name}_extrapolated`] ?? false);
// Whether an axis has no column of the table, so that a card has to say its figure.
const further = (axis) => columns.find((column) => column.name === axis.name)?.place !== "short";
function worded(row, axis) {
  const digits = (value) => String(Number(value.toPrecision(3)));
  const end = (which) => row[`${axis.name}_${which}`];
  if (row[axis.name] === null) return "";
  return digits(row[axis.name]) + (axis.interval ? ` [${digits(end("low"))}, ${digits(end("high"))}]` : "") + (extrapolated(row, axis) ? "*" : "");
}

// Keeps what lies apart from all that was kept before it.
function apart(gap) {
  const kept = [];
  return ({ cost }) => kept.every((other) => Math.abs(other - cost) >= gap) && kept.push(cost);
}

// What a card says of a candidate: its figures and channels.
function describe(row) {
  const known = columns.filter((column) => column.place === "short" && !["trial", "channels"].includes(column.name) && words_of(row, column.name));
  const lines = known.map((column) => [column.head, words_of(row, column.name)]);
  const { x } = front.chosen;
  if (further(x)) lines.push([x.title, worded(row, x)]);
  return [
    make("strong", { textContent: `#${row.trial}` }),
    make("table", {}, ...lines.map(([head, text]) => make("tr", {}, make("th", { scope: "row", textContent: head }), make("td", { textContent: text })))),
    channels(row),
  ];
}
function channels(row) {
  const groups = row.g.split("-"), units = words_of(row, "depth").split(" ").pop().split("-");
  const stages = row.channels.split("/").map((count, at) => make("tr", {}, ...[`stage ${at + 2}`, count, units[at] ?? "", groups[at] ?? groups[0]].map((text) => make("td", { textContent: text }))));
  return make("table", {}, make("tr", {}, ...["", "channels", "units", "groups"].map((text) => make("th", { textContent: text }))), ...stages);
}

// The table.
const table = {
  sort: null, up: true, limit: narrow() ? 8 : 100, wide: false,
  start() {
    this.section = $("#candidates");
    this.element = $("table", this.section);
    this.element.classList.add("rows");
    const filters = ["status", "g", "conv1", "depth", "se"].map((name) => this.filter(name)).filter(Boolean);
    this.count = make("span");
    this.more = button("Show all", () => { this.limit = Infinity; this.draw(); });
    const names = figures.study;
    const kept = () => this.rows();
    $(".scroll", this.section).before(make("div", { className: "tools" }, ...filters),
      make("div", { className: "tools" }, this.count, this.more,
        make("label", {}, make("input", { type: "checkbox", onchange: (event) => { this.wide = event.target.checked; this.draw(); } }), "All columns"),
        button("CSV", () => download(`${names}.csv`, "text/csv", csv(kept()))),
        button("JSON", () => download(`${names}.json`, "application/json", JSON.stringify(kept().map(plain), null, 1)))));
    this.draw();
  },
  filter(name) {
    const column = columns.find((one) => one.name === name);
    const values = [...new Set(rows.map((row) => row[name]))];
    if (!column || values.length < 2 || values.length > 16) return null;
    values.sort((a, b) => String(a).localeCompare(String(b), "en", { numeric: true }));
    shut.set(name, new Set());
    return make("fieldset", {}, make("legend", { textContent: column.head }), ...values.map((value) => {
      const one = button(String(value), () => {
        const off = shut.get(name);
        if (!off.delete(value)) off.add(value);
        one.setAttribute("aria-pressed", String(!off.has(value)));
        this.draw();
        front.draw();
      });
      one.setAttribute("aria-pressed", "true");
      if (name === "g") one.prepend(swatch(rows.find((row) => row.g === value).color));
      return one;
    }));
  },
  rows() {
    const found = rows.filter((row) => open(row) && inBrush(row));
    const { sort, up } = this;
    const order = (a, b) => (a === b ? 0 : a === null ? 1 : b === null ? -1 : (up ? 1 : -1) * (typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true })));
    return sort ? found.sort((a, b) => order(a[sort], b[sort])) : found;
  },
  draw() {
    const shown = columns.filter((column) => column.place === "short" || (this.wide && column.place === "wide"));
    const focused = document.activeElement?.dataset?.key;
    this.element.tHead.replaceChildren(make("tr", {}, make("th", { scope: "col", className: "pin", textContent: "pin" }), ...shown.map((column) => {
      const head = make("th", { scope: "col", className: column.right ? "right" : "left" }, button(column.head, () => {
        this.up = this.sort === column.name ? !this.up : true;
        this.sort = column.name;
        this.draw();
      }));
      head.firstChild.dataset.key = `sort ${column.name}`;
      if (this.sort === column.name) head.setAttribute("aria-sort", this.up ? "ascending" : "descending");
      return head;
    })));
    const found = this.rows(), some = found.slice(0, this.limit);
    this.element.tBodies[0].replaceChildren(...some.map((row) => {
      const box = make("input", { type: "checkbox", checked: pinned.has(row.trial), onchange: () => pin(row.trial) });
      box.setAttribute("aria-label", `Pin #${row.trial}`);
      box.dataset.key = `pin ${row.trial}`;
      const line = make("tr", { className: pinned.has(row.trial) ? "lit" : "" }, make("td", { className: "pin" }, box), ...shown.map((column) => {
        const cell = make("td", { className: column.right ? "right" : "left", textContent: words_of(row, column.name) });
        cell.dataset.head = column.head;
        return cell;
      }));
      line.firstChild.dataset.head = "pin";
      line.dataset.trial = row.trial;
      return line;
    }));
    this.count.textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} candidates`;
    this.more.hidden = found.length <= this.limit;
    this.stick();
    if (focused) $(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  },
  stick() {
    // The first columns stay while the others move.
    let left = 0;
    for (const cell of [...this.element.rows[0].cells].slice(0, 3)) {
      this.element.style.setProperty(`--left${cell.cellIndex}`, `${left}px`);
      left += cell.offsetWidth;
    }
  },
};
const swatch = (color) => {
  const found = make("span", { className: "swatch" });
  found.style.background = `var(--c${color})`;
  return found;
};
const plain = (row) => Object.fromEntries(columns.map((column) => [column.name, row[column.name]]));
function csv(found) {
  const cell = (value) => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? "");
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns.map((column) => column.name), ...found.map((row) => columns.map((column) => row[column.name]))].map((line) => line.map(cell).join(",")).join("\n") + "\n";
}

// The pinned side by side.
function compare() {
  const place = $("#compare .pinned");
  const ones = [...pinned].map((trial) => byTrial.get(trial));
  if (!ones.length) return place.replaceChildren(make("p", { className: "soft", textContent: "Nothing is pinned. Pin up to four candidates in the chart or the table." }));
  const [first] = ones;
  const line = (head, cell) => make("tr", {}, make("th", { scope: "row", textContent: head }), ...ones.map((row) => make("td", {}, cell(row))));
  const skipped = ["trial", "channels"];
  const shown = columns.filter((column) => column.place === "short" && !skipped.includes(column.name) && ones.some((row) => words_of(row, column.name)));
  const kinds = figures.kinds ?? { names: [], ms: {} };
  place.replaceChildren(make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Pinned candidates" }, make("table", {},
    make("thead", {}, make("tr", {}, make("td"), ...ones.map((row) => make("th", { scope: "col" }, `#${row.trial} `, button("Let go", () => pin(row.trial), { ariaLabel: `Let go of #${row.trial}` }))))),
    make("tbody", {},
      line(`error beside #${first.trial}, points`, (row) => beside(row, first)),
      ...shown.map((column) => line(column.head, (row) => words_of(row, column.name))),
      line("channels", channels),
      ...kinds.names.map((name, at) => line(`${name}, ms`, (row) => kinds.ms[row.trial]?.[at] ?? "")),
    ))));
}
function beside(row, first) {
  if (row === first) return "";
  const pair = figures.pairs?.find((one) => one.trials.includes(row.trial) && one.trials.includes(first.trial));
  const sign = (value) => `${value > 0 ? "+" : ""}${value.toFixed(1)}`;
  if (pair) {
    const flip = pair.trials[0] === row.trial ? 1 : -1;
    const [low, high] = [flip * pair.low, flip * pair.high].sort((a, b) => a - b);
    return `${sign(flip * pair.mean)} [${sign(low)}, ${sign(high)}], paired by ${pair.words}` + (low <= 0 && high >= 0 ? ": not told apart" : "");
  }
  const half = Math.hypot(row.error_high - row.error_low, first.error_high - first.error_low) / 2;
  const mean = row.error - first.error;
  return `${sign(100 * mean)} [${sign(100 * (mean - half))}, ${sign(100 * (mean + half))}], not paired` + (Math.abs(mean) <= half ? ": not told apart" : "");
}

window.snsearch = { front, byTrial }; // for tests and benchmarks

async function start() {
  if (rows.length) {
    document.querySelectorAll(".card[data-trial]").forEach((card) => pinned.add(Number(card.dataset.trial)));
    $("#compare h2").after(make("div", { className: "pinned" }));
    table.start();
    await front.start();
    compare();
  }
  document.documentElement.dataset.ready = "yes"; // what can be used at once is there
  window.snsearch.ready = performance.now();
  for (const name of Object.keys(charts)) if (!charts[name].options) await embed(name, charts[name].spec);
  document.documentElement.dataset.drawn = "yes";
}
dark.addEventListener("change", async () => {
  if (rows.length) await front.draw();
  for (const name of Object.keys(charts)) if (!charts[name].options) await embed(name, charts[name].spec);
});
await start();
