// The document that the page came with, and what is worked out of it once.

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%.()*+-;,=>?@^_/{|}~";

/** What a text in base 85 stands for: five digits are four bytes, the last group lacks as many digits as it lacks bytes. */
function decoded(text) {
  const lacking = (5 - (text.length % 5)) % 5;
  const words = (text + "~".repeat(lacking)).match(/.{5}/g) || [];
  const view = new DataView(new ArrayBuffer(4 * words.length));
  words.forEach((word, place) => view.setUint32(4 * place, [...word].reduce((sum, digit) => 85 * sum + DIGITS.indexOf(digit), 0)));
  return view.buffer.slice(0, 4 * words.length - lacking);
}

/** The document: gzip in base 85, which keeps a page of many laws small enough to send. */
async function unpacked(text) {
  const stream = new Blob([decoded(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return restored(JSON.parse(await new Response(stream).text()));
}

/** The document with each law's evidence in it, which came in columns over all laws. */
function restored({ evidence, ...data }) {
  let next = 0;
  const entry = () => {
    const place = next++;
    const found = Object.entries(evidence).map(([name, column]) => [name, column[place]]).filter(([, value]) => value !== null);
    const { run, ...rest } = Object.fromEntries(found);
    return { run: data.runs[run]?.id ?? run, ...rest };
  };
  for (const law of data.laws) if (law.evidence) law.evidence = Array.from({ length: law.evidence }, entry);
  return data;
}

const DATA = await unpacked(document.getElementById("data").textContent);
const KINDS = Object.keys(DATA.verbs);
const GLYPHS = { invariant: "!", positive: "+", negative: "\u2212", indifferent: "\u2248", transformation: "\u2192" };

const byId = (items) => new Map(items.map((item) => [item.id, item]));
const HARDWARE = byId(DATA.hardware);
const OPS = byId(DATA.ops);
const SYSTEMS = byId(DATA.systems);
const RUNS = byId(DATA.runs);
const LAWS = byId(DATA.laws);
const FORMER = new Map(DATA.laws.flatMap((law) => (law.former || []).map((id) => [id, law])));

/** Every node that `start` is, itself first; cycles end the walk. */
function ancestors(nodes, start) {
  const seen = new Set([start]);
  for (const id of seen) {
    for (const parent of nodes.get(id)?.is_a || []) {
      if (nodes.has(parent)) seen.add(parent);
    }
  }
  return seen;
}

/** The nodes of a taxonomy in the order of its tree (below the first parent): {id, depth, up: ancestors}. */
function tree(nodes) {
  const children = new Map();
  const roots = [];
  const names = [...nodes.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  for (const id of names) {
    const parent = (nodes.get(id).is_a || []).find((other) => nodes.has(other));
    if (parent === undefined) roots.push(id);
    else if (children.has(parent)) children.get(parent).push(id);
    else children.set(parent, [id]);
  }
  const rows = new Map();
  const visit = (id, depth) => {
    if (rows.has(id)) return;
    rows.set(id, { id, depth, up: ancestors(nodes, id) });
    for (const child of children.get(id) || []) visit(child, depth + 1);
  };
  roots.forEach((id) => visit(id, 0));
  names.forEach((id) => visit(id, 0)); // what only a cycle reaches
  return [...rows.values()];
}

const HARDWARE_TREE = tree(HARDWARE);
const OP_TREE = tree(OPS);
const HARDWARE_UP = new Map(HARDWARE_TREE.map((row) => [row.id, row.up]));
const OP_UP = new Map(OP_TREE.map((row) => [row.id, row.up]));

const place = (rows) => new Map(rows.map((row, index) => [row.id, index]));
const HARDWARE_PLACE = place(HARDWARE_TREE);
const OP_PLACE = place(OP_TREE);

/** What a search looks through, in lower case; best-known names first. */
function searchText(law) {
  const scope = [HARDWARE.get(law.hw), OPS.get(law.op)].flatMap((node) =>
    node ? [node.id, node.title, ...(node.aliases || [])] : [],
  );
  const runs = (law.evidence || []).flatMap((entry) => [entry.run, entry.tier, entry.toolchain || ""]);
  return [
    law.id, law.title, law.sentence, law.kind, DATA.verbs[law.kind], law.status, law.because || "",
    ...scope, ...runs, ...(law.knobs || []), ...(law.former || []), ...(law.systems || []), law.path,
  ].join("\n").toLowerCase();
}

const ENTRIES = DATA.laws.map((law) => ({ law, text: searchText(law), head: `${law.id}\n${law.title}`.toLowerCase() }));

const number = new Intl.NumberFormat("en");
const precise = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });
const plural = (count, noun) => `${number.format(count)} ${noun}${count === 1 ? "" : "s"}`;
const words = (name) => name.replaceAll("-", " ");
