// What is asked of the page. Everything after # holds it, so that any view can be sent as a link.

const SORTS = ["lineage", "status", "kind", "evidence", "id"];
const NOTHING = { q: "", kind: [], status: [], hw: "", op: "", inherited: false, sort: "lineage", law: "" };

/** The id in `nodes` that `name` means: an id or an alias, whatever its case. */
function resolve(nodes, name) {
  if (nodes.has(name)) return name;
  const wanted = name.toLowerCase();
  for (const node of nodes.values()) {
    if ([node.id, node.title, ...(node.aliases || [])].some((other) => other.toLowerCase() === wanted)) return node.id;
  }
  return "";
}

/** The state an address means; what it names that does not exist is listed in `ignored`. */
function readAddress(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const state = { ...NOTHING, ignored: [] };
  const chosen = (name, known) => {
    const names = (given.get(name) || "").split(",").filter(Boolean);
    state.ignored.push(...names.filter((one) => !known.includes(one)).map((one) => `${name}=${one}`));
    return known.filter((one) => names.includes(one));
  };
  const node = (name, nodes) => {
    const wanted = given.get(name) || "";
    const found = wanted && resolve(nodes, wanted);
    if (wanted && !found) state.ignored.push(`${name}=${wanted}`);
    return found;
  };
  state.q = given.get("q") || "";
  state.kind = chosen("kind", KINDS);
  state.status = chosen("status", DATA.statuses);
  state.hw = node("hw", HARDWARE);
  state.op = node("op", OPS);
  state.inherited = given.get("inherited") === "1";
  state.sort = chosen("sort", SORTS)[0] || NOTHING.sort;
  const law = given.get("law") || "";
  state.law = FORMER.has(law) && !LAWS.has(law) ? FORMER.get(law).id : law;
  return state;
}

/** The address of a state: only what differs from asking nothing, in a fixed order. */
function writeAddress(state) {
  const written = [];
  const put = (name, value) => value && written.push(`${name}=${encodeURIComponent(value).replaceAll("%2C", ",")}`);
  put("law", state.law);
  put("q", state.q);
  put("kind", state.kind.join(","));
  put("status", state.status.join(","));
  put("hw", state.hw);
  put("op", state.op);
  put("inherited", state.inherited ? "1" : "");
  put("sort", state.sort === NOTHING.sort ? "" : state.sort);
  return `#${written.join("&")}`;
}

/** The laws that a state asks for, in its order, with what the controls around them show. */
function answer(state) {
  const asked = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const hardware = allowed(state.hw, HARDWARE_UP, state.inherited);
  const ops = allowed(state.op, OP_UP, state.inherited);
  const counts = { kind: {}, status: {} };
  const found = [[], []]; // by whether the id or the title has every word
  const placed = []; // what the map shows: everything but its own filter
  for (const { law, text, head } of inOrder(state.sort)) {
    if (!asked.every((word) => text.includes(word))) continue;
    const kind = !state.kind.length || state.kind.includes(law.kind);
    const status = !state.status.length || state.status.includes(law.status);
    const here = (!hardware || hardware.has(law.hw)) && (!ops || ops.has(law.op));
    if (here && status) counts.kind[law.kind] = (counts.kind[law.kind] || 0) + 1;
    if (here && kind) counts.status[law.status] = (counts.status[law.status] || 0) + 1;
    if (kind && status) placed.push(law);
    if (kind && status && here) found[asked.every((word) => head.includes(word)) ? 0 : 1].push(law);
  }
  return { found: found.flat(), placed, counts };
}

const sorted = new Map();

/** All entries in the order of a sort, made once for each. */
function inOrder(sort) {
  if (!sorted.has(sort)) {
    sorted.set(sort, [...ENTRIES].sort((a, b) => ORDERS[sort](a.law, b.law) || byName(a.law, b.law)));
  }
  return sorted.get(sort);
}

/** Ids that a scope filter lets through; null lets everything through. */
function allowed(id, up, inherited) {
  return id ? (inherited ? up.get(id) : new Set([id])) : null;
}

const byName = (a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
const byPlace = (a, b) =>
  HARDWARE_PLACE.get(a.hw) - HARDWARE_PLACE.get(b.hw) || OP_PLACE.get(a.op) - OP_PLACE.get(b.op);
const byKind = (a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind);
const byStatus = (a, b) => DATA.statuses.indexOf(a.status) - DATA.statuses.indexOf(b.status);
const ORDERS = {
  lineage: (a, b) => byPlace(a, b) || byKind(a, b) || byStatus(a, b),
  status: (a, b) => byStatus(a, b) || byPlace(a, b),
  kind: (a, b) => byKind(a, b) || byPlace(a, b),
  evidence: (a, b) => (b.evidence || []).length - (a.evidence || []).length,
  id: byName,
};
