// Drawings of one law: its effects on a common scale, and its neighbours in the graph.

/** Where each effect's axis begins and ends: effect -> {at(value): percent, low, high}; over all its evidence and the claim. */
function scales(law) {
  const seen = new Map();
  const see = (name, values) => seen.set(name, (seen.get(name) || []).concat(values.filter((v) => v !== null && Number.isFinite(v))));
  for (const entry of law.evidence || []) {
    for (const [name, value] of Object.entries(entry.effect || {})) see(name, [value, ...((entry.interval || {})[name] || [])]);
  }
  for (const [name, ends] of Object.entries(law.bounds || {})) if (seen.has(name)) see(name, ends);
  return new Map([...seen].map(([name, values]) => [name, scale(values)]));
}

/** Linear; logarithmic where positive values span more than a factor of 50. */
function scale(values) {
  const least = Math.min(...values);
  const most = Math.max(...values);
  const log = least > 0 && most / least > 50;
  const bend = log ? Math.log : (value) => value;
  const margin = (bend(most) - bend(least)) * 0.08 || Math.abs(bend(most)) * 0.1 || 1;
  const [low, high] = [bend(least) - margin, bend(most) + margin];
  const at = (value) => Math.min(100, Math.max(0, ((bend(value) - low) / (high - low)) * 100));
  return { at, log };
}

/** One effect of one evidence entry: what is claimed as an area, the 95 % interval as a line, the value as a dot. */
function track(value, interval, bound, axis) {
  const span = (name, from, to) => make("i", { class: name, style: { left: `${from}%`, width: `${Math.max(to - from, 0)}%` } });
  const [least, most] = bound || [null, null];
  return make("span", { class: "track", "aria-hidden": "true" },
    bound ? span("claimed", least === null ? 0 : axis.at(least), most === null ? 100 : axis.at(most)) : "",
    interval ? span("whisker", axis.at(interval[0]), axis.at(interval[1])) : "",
    make("i", { class: "dot", style: { left: `${axis.at(value)}%` } }));
}

const BOX = { width: 196, height: 38, gap: 8, columns: [4, 252, 500], total: 700, most: 7 };

/** The law in the middle, its scope and systems on the left, runs and other laws on the right. */
function neighbourhood(law, state) {
  const [left, right] = neighbours(law, state).map((side) => trimmed(side));
  const rows = Math.max(left.length, right.length, 1);
  const height = rows * (BOX.height + BOX.gap) + BOX.gap;
  const middle = height / 2;
  const tops = (side) => side.map((_, i) => middle + (i - (side.length - 1) / 2) * (BOX.height + BOX.gap));
  const [leftTops, rightTops] = [tops(left), tops(right)];
  const edges = [
    ...left.map((node, i) => edge(node, BOX.columns[0] + BOX.width, leftTops[i], BOX.columns[1], middle)),
    ...right.map((node, i) => edge(node, BOX.columns[1] + BOX.width, middle, BOX.columns[2], rightTops[i])),
  ];
  const self = { name: law.id, verb: `${law.kind}, ${law.status}`, css: `self k-${law.kind} s-${law.status}` };
  return draw("svg", { viewBox: `0 0 ${BOX.total} ${height}`, class: "graph", role: "img", "aria-label": "Neighbours in the graph, listed in full below" },
    edges, box(self, BOX.columns[1], middle),
    left.map((node, i) => box(node, BOX.columns[0], leftTops[i])), right.map((node, i) => box(node, BOX.columns[2], rightTops[i])));
}

/** Both sides of the drawing: {name, verb, css, href, edge}. */
function neighbours(law, state) {
  const to = (change) => writeAddress({ ...NOTHING, sort: state.sort, ...change });
  const above = [...(HARDWARE_UP.get(law.hw) || [])].slice(1);
  const left = [
    { name: law.hw, verb: above.length ? `applies to, is a ${above[0]}` : "applies to", css: "hardware", href: to({ hw: law.hw }) },
    { name: law.op, verb: "applies to", css: "op", href: to({ op: law.op }) },
    ...(law.systems || []).map((id) => ({ name: id, verb: "inherited by", css: "system", href: to({ q: id }) })),
  ];
  const right = [
    ...(law.links || []).map((link) => ({
      name: link.law, verb: link.verb, css: `law k-${LAWS.get(link.law).kind}`,
      edge: link.verb === "conflicts with" ? "against" : "", href: to({ law: link.law }),
    })),
    ...(law.evidence || []).map((entry) => ({
      name: entry.run, verb: `${entry.verdict}, ${entry.tier}`, css: "run", href: to({ q: entry.run }),
      edge: { supports: "for", refutes: "against" }[entry.verdict] || "",
    })),
  ];
  return [left, right];
}

function trimmed(side) {
  if (side.length <= BOX.most) return side;
  const rest = side.length - BOX.most + 1;
  return [...side.slice(0, BOX.most - 1), { name: `and ${rest} more`, verb: "listed below", css: "rest" }];
}

function edge(node, x1, y1, x2, y2) {
  const bend = (x1 + x2) / 2;
  return draw("path", { class: `edge ${node.edge || ""}`, d: `M${x1} ${y1} C${bend} ${y1} ${bend} ${y2} ${x2} ${y2}` });
}

/** A node; what it leads to is also a link in the text below, so the drawing itself takes no place in the tab order. */
function box(node, x, middle) {
  const group = draw("g", { class: `box ${node.css}` },
    draw("title", {}, `${node.verb}: ${node.name}`),
    draw("rect", { x, y: middle - BOX.height / 2, width: BOX.width, height: BOX.height, rx: 5 }),
    draw("text", { x: x + 9, y: middle - 4, class: "verb" }, node.verb),
    draw("text", { x: x + 9, y: middle + 12 }, shortened(node.name)));
  return node.href ? draw("a", { href: node.href, tabindex: "-1" }, group) : group;
}

const shortened = (text) => (text.length > 29 ? `${text.slice(0, 17)}\u2026${text.slice(-11)}` : text);
