// The map: the hardware lineage as rows, ops as columns, and in each cell the laws stated there.

const MOST_MARKS = 6; // more laws than this become a bar

/** The table for the laws of `placed`; `every` keeps rows and columns that have no law at all. */
function mapTable(placed, state, every, go) {
  const cells = counted(placed, state.inherited);
  const rows = shown(every, state.hw);
  const columns = every ? OP_TREE : OP_TREE.filter((column) => USED_OPS.has(column.id) || column.id === state.op);
  const head = columns.map((column) =>
    make("th", { scope: "col" }, nodeButton(column.id, OPS, state.op === column.id, () => go({ op: state.op === column.id ? "" : column.id }))),
  );
  const body = rows.map((row) =>
    make("tr", { class: state.hw === row.id ? "chosen" : null },
      make("th", { scope: "row" }, make("span", { class: "branch", style: { "--depth": String(row.depth) } },
        nodeButton(row.id, HARDWARE, state.hw === row.id, () => go({ hw: state.hw === row.id ? "" : row.id })))),
      columns.map((column) => cell(row.id, column.id, cells.get(`${row.id} ${column.id}`), state, go)),
    ),
  );
  return make("table", {},
    make("caption", { class: "hidden" }, "Number of laws for each hardware node and op"),
    make("thead", {}, make("tr", {}, make("td", { class: "corner" }, "hardware \\ op"), head)),
    make("tbody", {}, body),
  );
}

/** "hw op" -> its laws; with `inherited`, also those of everything that the hardware and the op are. */
function counted(placed, inherited) {
  const direct = new Map();
  for (const law of placed) {
    const key = `${law.hw} ${law.op}`;
    if (direct.has(key)) direct.get(key).push(law);
    else direct.set(key, [law]);
  }
  if (!inherited) return direct;
  const all = new Map();
  for (const [hw, hardware] of HARDWARE_UP) {
    for (const [op, ops] of OP_UP) {
      const laws = [...hardware].flatMap((h) => [...ops].flatMap((o) => direct.get(`${h} ${o}`) || []));
      if (laws.length) all.set(`${hw} ${op}`, laws);
    }
  }
  return all;
}

const USED_OPS = new Set(DATA.laws.map((law) => law.op));
const USED_HARDWARE = new Set(DATA.laws.flatMap((law) => [...(HARDWARE_UP.get(law.hw) || [])]));

/** The rows that have a law, lead down to one that does, or lead to the chosen one. */
function shown(every, chosen) {
  const way = HARDWARE_UP.get(chosen) || new Set();
  return every ? HARDWARE_TREE : HARDWARE_TREE.filter((row) => USED_HARDWARE.has(row.id) || way.has(row.id));
}

function nodeButton(id, nodes, pressed, act) {
  const node = nodes.get(id);
  return make("button", { type: "button", class: "node", title: node.title, "aria-pressed": String(pressed), onclick: act }, id);
}

function cell(hw, op, laws, state, go) {
  if (!laws) return make("td");
  const pressed = state.hw === hw && state.op === op;
  const kinds = KINDS.map((kind) => [kind, laws.filter((law) => law.kind === kind)]).filter(([, some]) => some.length);
  const sorted = kinds.flatMap(([, some]) => some);
  const label = `${op} on ${hw}: ${plural(laws.length, "law")}, ${kinds.map(([kind, some]) => `${some.length} ${kind}`).join(", ")}`;
  const drawing = laws.length <= MOST_MARKS ? sorted.map((law) => mark(law.kind, law.status)) : [bar(kinds), make("b", { "aria-hidden": "true" }, number.format(laws.length))];
  const next = pressed ? { hw: "", op: "" } : { hw, op };
  return make("td", { class: pressed ? "chosen" : null },
    make("button", { type: "button", class: "cell", "aria-label": label, title: label, "aria-pressed": String(pressed), onclick: () => go(next) }, drawing));
}

/** Shares of the kinds; in each, what is confirmed stands solid before the rest. */
function bar(kinds) {
  return make("span", { class: "shares", "aria-hidden": "true" }, kinds.flatMap(([kind, laws]) => {
    const sure = laws.filter((law) => law.status === "confirmed").length;
    return [[sure, "s-confirmed"], [laws.length - sure, "s-proposed"]]
      .filter(([count]) => count)
      .map(([count, status]) => make("i", { class: `k-${kind} ${status}`, style: { "flex-grow": String(count) } }));
  }));
}
