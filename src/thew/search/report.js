const colours = ["#0b6e99", "#c2571a", "#2c7a4b", "#8547a8", "#9a7d0a", "#b03060", "#5d6b7c"];
const at = (id) => document.getElementById(id);
const ms = (seconds) => (1e3 * seconds).toPrecision(4) + " ms";
const us = (seconds) => (1e6 * seconds).toFixed(1);
const mb = (bytes) => (bytes / 1e6).toPrecision(4) + " MB";
const share = (x) => (100 * x).toFixed(2) + " %";
const threads = (count) => count === 1 ? "one thread" : `${count} threads`;
const breakable = (name) => name.replace(/_/g, "_\u200b");
const { best, settings } = result;
const isTime = ["latency", "throughput", "energy", "pareto"].includes(settings.objective);
const label = (v) => isTime ? ms(v) : typeof settings.objective === "string" ? mb(v) : v.toPrecision(4);

function node(name, attributes, ...content) {
  const svg = ["line", "path", "circle", "text", "title", "g"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...content.map((one) => one instanceof Node ? one : document.createTextNode(one)));
  return made;
}

// A drawing as wide as it is shown, so that its text is as large as the page's.
function canvas(id, height) {
  const svg = at(id), width = Math.max(320, Math.min(svg.clientWidth || 960, 960));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return { svg, width };
}

function heading() {
  const objective = typeof settings.objective === "string" ? settings.objective : JSON.stringify(settings.objective);
  const name = settings.model || "this network";
  at("title").textContent = `How ${breakable(name)} runs best`;
  document.title = `Thew: ${name}`;
  const all = Object.values(result.stages).reduce((sum, one) => sum + one, 0);
  const [digits, power] = Number(settings.space).toExponential(1).split("e+");
  at("machine").textContent = `${settings.device}, ${threads(settings.threads)}; objective: ${objective}; ` +
    `${digits}·10${power.replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit])} plans possible, ${settings.episodes} episodes of ${settings.agent}; ` +
    `${all.toFixed(0)} s, of which ${(result.stages.measuring || 0).toFixed(0)} to measure`;
  at("blas").textContent = settings.blas;
  const figure = (value, text) => at("figures").append(node("div", {}, node("b", {}, value), node("span", {}, text)));
  figure(ms(best.seconds), "a run");
  figure(result.speedup.toFixed(2) + "×", "the speed of BLAS fp32");
  figure(result.confirmed_over_default.toFixed(2) + "×", "that of the default plan, in rounds of their own");
  figure(mb(best.peak_memory_bytes), `arena and weights, ${result.memory_ratio.toFixed(2)}× less than BLAS fp32`);
  const seen = result.confirmation;
  if (seen) {
    figure(share(seen.found), `right of ${seen.samples} samples that nobody had seen; ${share(seen.reference)} before`);
  }
}

function compare() {
  const rows = [["found", best], ["default plan", result.default],
    ...result.rivals.map((one) => [one.name, { seconds: one.ratio * best.seconds, version: one.version }]),
    [result.baseline.name, result.baseline]];
  const most = (key) => Math.max(...rows.map(([, p]) => p[key] || 0));
  for (const [name, p] of rows) {
    const bar = (kind, key, text) => node("div", { class: "row", style: "height:auto" },
      node("div", { class: kind, style: `width:${(50 * p[key] / most(key)).toFixed(1)}%` }),
      node("small", {}, text(p[key]), p === best ? "" : `, ${(p[key] / best[key]).toFixed(2)}×`));
    const bars = [bar("time", "seconds", ms)];
    if (p.peak_memory_bytes) bars.push(bar("memory", "peak_memory_bytes", mb));
    at("compare").append(node("span", { class: "name", title: p.version || "" }, name),
      node("div", { class: "bars" }, ...bars));
  }
}

function curves() {
  const { svg, width } = canvas("curves", 300), box = { left: 80, right: width - 10, top: 10, bottom: 270 };
  const entries = Object.entries(result.history).map(([name, values]) =>
    [name, values.map((v) => v === null ? Infinity : v)]);
  const finite = entries.flatMap(([, values]) => values.filter(Number.isFinite));
  if (settings.objective === "latency") finite.push(result.optimum_seconds);
  if (!finite.length) return;
  const low = Math.min(...finite), high = Math.max(...finite), span = Math.log(high / low) || 1;
  const longest = Math.max(...entries.map(([, values]) => values.length), 2);
  const x = (i) => box.left + (box.right - box.left) * i / (longest - 1);
  const y = (v) => box.bottom - (box.bottom - box.top) * Math.log(v / low) / span;
  for (const part of [0, 1 / 3, 2 / 3, 1]) {
    const v = low * Math.exp(part * span);
    svg.append(node("line", { x1: box.left, x2: box.right, y1: y(v), y2: y(v), class: "axis" }));
    svg.append(node("text", { x: 4, y: Math.max(y(v) + 4, 12) }, label(v)));
  }
  svg.append(node("text", { x: box.left, y: 292 }, "episode 1"));
  svg.append(node("text", { x: box.right, y: 292, "text-anchor": "end" }, String(longest)));
  entries.forEach(([name, values], i) => {
    const points = values.map((v, k) => Number.isFinite(v) ? `${x(k).toFixed(1)},${y(v).toFixed(1)}` : "");
    const line = node("path", { d: points.filter(Boolean).join("L").replace(/^(?=.)/, "M"), fill: "none",
      stroke: colours[i % colours.length], "stroke-width": 2 });
    if (points.some(Boolean)) svg.append(line);
    const key = node("button", { type: "button", "aria-pressed": "true" },
      node("i", { style: `background:${colours[i % colours.length]}` }), name);
    key.addEventListener("click", () => {
      const shown = key.getAttribute("aria-pressed") !== "true";
      key.setAttribute("aria-pressed", String(shown));
      line.style.display = shown ? "" : "none";
    });
    at("keys").append(key);
  });
  if (settings.objective === "latency") {
    const v = y(result.optimum_seconds);
    svg.append(node("line", { x1: box.left, x2: box.right, y1: v, y2: v, stroke: "currentColor",
      "stroke-dasharray": "4 4" }));
  }
  const mark = node("line", { y1: box.top, y2: box.bottom, class: "axis", visibility: "hidden" });
  svg.append(mark);
  svg.addEventListener("pointermove", (event) => {
    const frame = svg.getBoundingClientRect();
    const place = (event.clientX - frame.left) / frame.width * width;
    const i = Math.min(longest - 1, Math.max(0, Math.round((place - box.left) / (box.right - box.left) * (longest - 1))));
    for (const side of ["x1", "x2"]) mark.setAttribute(side, x(i));
    mark.setAttribute("visibility", "visible");
    at("read").textContent = `episode ${i + 1}: ` + entries.map(([name, values]) => {
      const v = values[Math.min(i, values.length - 1)];
      return `${name} ${Number.isFinite(v) ? label(v) : "none"}`;
    }).join(", ");
  });
}

function regrets() {
  for (const [name, values] of Object.entries(result.regrets)) {
    const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
    const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    const cells = [share(median), share(sorted[0]), share(sorted.at(-1)), String(sorted.length)];
    document.querySelector("#regrets tbody").append(node("tr", {}, node("td", {}, name),
      ...cells.map((text, i) => node("td", { class: i < 3 ? "number" : "number wide" }, text))));
  }
}

function front() {
  const { svg, width } = canvas("front", 280), box = { left: 80, right: width - 20, top: 20, bottom: 240 };
  const points = [...result.points, result.baseline];
  const ringed = new Set(result.pareto.map((p) => p.name));
  at("volume").textContent = `Hypervolume: ${share(result.hypervolume)} of what lies below BLAS fp32.`;
  const scale = (key, from, to) => {
    const logs = points.map((p) => Math.log(p[key])), low = Math.min(...logs), span = Math.max(...logs) - low || 1;
    return (v) => from + (to - from) * (0.05 + 0.9 * (Math.log(v) - low) / span);
  };
  const x = scale("seconds", box.left, box.right), y = scale("peak_memory_bytes", box.bottom, box.top);
  svg.append(node("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "axis" }),
    node("line", { x1: box.left, x2: box.left, y1: box.top, y2: box.bottom, class: "axis" }),
    node("text", { x: (box.left + box.right) / 2, y: 276, "text-anchor": "middle" }, "time (log)"),
    node("text", { x: 4, y: 14 }, "memory (log)"));
  for (const end of [Math.min, Math.max]) {
    const [seconds, bytes] = ["seconds", "peak_memory_bytes"].map((key) => end(...points.map((p) => p[key])));
    svg.append(node("text", { x: x(seconds), y: 258, "text-anchor": "middle" }, ms(seconds)));
    svg.append(node("text", { x: 4, y: y(bytes) + 4 }, mb(bytes)));
  }
  const called = { [result.default.name]: "default plan", [result.baseline.name]: "BLAS fp32", [best.name]: "found" };
  for (const p of points) {
    const chosen = p.name === best.name;
    const text = `${p.name}: ${ms(p.seconds)}, ${mb(p.peak_memory_bytes)}` +
      (p.accuracy === null ? "" : `, ${share(p.accuracy)}`) + (chosen ? " (chosen)" : "");
    const dot = node("circle", { cx: x(p.seconds), cy: y(p.peak_memory_bytes), r: chosen ? 9 : 6, tabindex: 0,
      fill: chosen ? "var(--good)" : p.name === result.baseline.name ? "var(--soft)" : "var(--accent)" },
      node("title", {}, text));
    if (ringed.has(p.name)) {
      svg.append(node("circle", { cx: x(p.seconds), cy: y(p.peak_memory_bytes), r: 13, fill: "none",
        stroke: "var(--good)" }));
    }
    for (const event of ["pointerenter", "focus", "click"]) {
      dot.addEventListener(event, () => { at("said").textContent = text; });
    }
    svg.append(dot);
    if (called[p.name]) {
      const far = x(p.seconds) > (box.left + box.right) / 2;
      svg.append(node("text", { x: x(p.seconds) + (far ? -18 : 18), y: y(p.peak_memory_bytes) + 4,
        "text-anchor": far ? "end" : "start" }, called[p.name]));
    }
  }
}

function tried() {
  at("settings").hidden = result.tried.length === 0;
  for (const one of result.tried) {
    const said = (v) => v === null ? "loses too much accuracy" :
      one.name === "calibration" ? `error ${v.toPrecision(3)}` : label(v);
    const word = (value) => ({ True: "on", False: "off" })[value] || value;
    const worth = Object.entries(one.worth).map(([value, v]) => `${word(value)}: ${said(v)}`).join("; ");
    document.querySelector("#tried tbody").append(node("tr", {},
      ...[one.name.replace("_", " "), word(one.chosen), worth].map((text) => node("td", {}, text))));
  }
}

function why(other) {
  const alone = `${us(other.seconds)} µs alone`;
  if (other.beside === null) return alone;
  if (other.beside === "never") return `${alone}; cannot stand beside its neighbours`;
  const sum = `${other.beside < 0 ? "" : "+"}${us(other.beside)} µs`;
  if (other.beside <= 0) return `${alone}; the sum would fall (${sum}): accuracy, memory or the agent stood against it`;
  return `${alone}; with conversions the network would take ${sum}`;
}

function layers() {
  const body = document.querySelector("#layers tbody");
  const total = result.layers.reduce((sum, layer) => sum + layer.seconds, 0) || 1;
  const most = Math.max(...result.layers.map((layer) => layer.seconds), 1e-9);
  const counts = new Map();
  for (const { precision } of result.layers) counts.set(precision, (counts.get(precision) || 0) + 1);
  for (const [precision, count] of counts) {
    at("precisions").append(node("i", { class: `mark ${precision}` }), `${count} in ${precision}`);
  }
  const rows = result.layers.map((layer) => {
    const list = node("ul", {}, ...layer.others.map((other) =>
      node("li", {}, `${breakable(other.name)}: ${why(other)}`)));
    const name = breakable(layer.chosen);
    const chosen = layer.others.length ?
      node("details", {}, node("summary", {}, name), list) : node("span", {}, name);
    const tag = node("span", { class: `tag ${layer.precision}` }, layer.precision);
    const bar = node("div", { class: "bar", style: `width:${(100 * layer.seconds / most).toFixed(1)}%` });
    const row = node("tr", {}, node("td", {}, layer.name), node("td", {}, layer.op, " ", tag),
      node("td", { class: "wide" }, layer.shape.join("×")), node("td", {}, chosen),
      node("td", { class: "number" }, us(layer.seconds)),
      node("td", { class: "number wide" }, (layer.bytes / 1e3).toFixed(1)), node("td", { class: "wide" }, bar));
    const block = node("button", { type: "button", class: layer.precision, "aria-label": layer.name,
      style: `flex:${layer.seconds / total} 1 0` });
    const text = `${layer.name} (${layer.op}, ${layer.precision}): ${us(layer.seconds)} µs, ` +
      `${share(layer.seconds / total)} of the sum, by ${layer.chosen}`;
    for (const event of ["pointerenter", "focus"]) {
      block.addEventListener(event, () => { at("layer").textContent = text; });
    }
    block.addEventListener("click", () => {
      row.querySelectorAll("details").forEach((one) => { one.open = true; });
      row.scrollIntoView({ block: "center" });
    });
    at("network").append(block);
    body.append(row);
    return { row, layer };
  });
  at("filter").addEventListener("input", () => {
    const wanted = at("filter").value.toLowerCase();
    for (const { row, layer } of rows) {
      row.hidden = ![layer.name, layer.op, layer.chosen, layer.precision].join(" ").toLowerCase().includes(wanted);
    }
  });
  let slowest = false;
  at("order").addEventListener("click", () => {
    slowest = !slowest;
    at("order").textContent = slowest ? "in order" : "slowest first";
    const order = slowest ? [...rows].sort((a, b) => b.layer.seconds - a.layer.seconds) : rows;
    body.append(...order.map(({ row }) => row));
  });
  at("open").addEventListener("click", () => {
    const all = [...body.querySelectorAll("details")], open = all.some((one) => !one.open);
    all.forEach((one) => { one.open = open; });
    at("open").textContent = open ? "close all" : "open all";
  });
}

[heading, compare, curves, regrets, front, tried, layers].forEach((draw) => draw());
document.body.dataset.drawn = "yes";
