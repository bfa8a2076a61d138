// The right side: one law whole; or, while none is chosen, what the filters are about and how to read the page.

const section = (title, ...content) => make("section", {}, make("h3", {}, title), ...content);

/** Names and values as a description list; empty values are left out. */
function facts(pairs) {
  const kept = pairs.filter(([, value]) => value && value.length !== 0);
  return make("dl", {}, kept.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

const code = (text) => make("code", {}, text);

function lawDetail(law, state, close) {
  const to = (change) => writeAddress({ ...NOTHING, sort: state.sort, ...change });
  const chain = (id, up) => [...(up.get(id) || [id])].slice(1).join(" \u203a ");
  const heading = make("h2", { id: "detail-title", tabindex: "-1" }, law.title);
  return [
    make("div", { class: "detail-head" },
      make("p", { class: "badges" }, mark(law.kind, law.status), make("span", { class: `kind k-${law.kind}` }, law.kind), pill(law.status)),
      make("button", { type: "button", id: "close", class: "plain", onclick: close }, "Close", make("kbd", { "aria-hidden": "true" }, "Esc")),
      heading,
      make("p", { class: "id" }, make("a", { href: to({ law: law.id }), title: "Link to this law alone" }, law.id))),
    make("p", { class: `claim-box k-${law.kind}` }, make("b", {}, DATA.verbs[law.kind]), " ", code(law.claim)),
    make("p", {}, law.sentence),
    make("p", { class: "standing" }, pill(law.status), ` ${law.reason}`),
    section("Scope", facts([
      ["Hardware", [make("a", { href: to({ hw: law.hw }) }, law.hw), ` ${chain(law.hw, HARDWARE_UP) && `\u203a ${chain(law.hw, HARDWARE_UP)}`}`]],
      ["Op", [make("a", { href: to({ op: law.op }) }, law.op), ` ${chain(law.op, OP_UP) && `\u203a ${chain(law.op, OP_UP)}`}`]],
      ["Inputs", (law.dtype || []).join(", ")],
      ["When", law.when && [code(law.when)]],
      ["Toolchain", law.toolchain && [code(law.toolchain)]],
      ["Because", law.because && words(law.because)],
      ["Claimed effect", Object.entries(law.bounds || {}).map(([name, ends]) => make("div", {}, code(boundText(name, ends))))],
      ["Avoids", (law.avoided || []).map((text) => make("div", {}, code(text)))],
      ["Admits", (law.admitted || []).map((text) => make("div", {}, code(text)))],
    ])),
    evidenceSection(law),
    make("section", {}, make("h3", {}, "Neighbours"), make("div", { class: "graph-scroll" }, neighbourhood(law, state)), relations(law, to)),
    law.references ? section("References", make("ul", {}, law.references.map((one) => make("li", {}, outward(one))))) : "",
    section("File", facts([
      ["Path", [code(law.path)]],
      ["Layer", law.layer],
      ["Supersedes", (law.superseded || []).map((text) => make("div", {}, text))],
      ["In a terminal", [code(`kg explain ${law.id}`)]],
      ["Formerly", (law.former || []).join(", ")],
      ["Withdrawn", law.withdrawn && `${law.withdrawn.date}: ${law.withdrawn.reason}`],
      ["Acknowledges", (law.acknowledges || []).map((text) => make("div", {}, text))],
    ])),
  ];
}

function boundText(name, [least, most]) {
  const low = least === null ? "" : precise.format(least);
  const high = most === null ? "" : precise.format(most);
  return low && high ? `${low} <= ${name} <= ${high}` : low ? `${name} >= ${low}` : `${name} <= ${high}`;
}

function evidenceSection(law) {
  const entries = law.evidence || [];
  if (!entries.length) return section("Evidence", make("p", {}, "None: nobody has run this yet."));
  const axes = scales(law);
  const drawn = [...axes].some(([name]) => (law.bounds || {})[name]);
  const key = drawn ? make("p", { class: "note" }, "Each effect has one scale for all runs; the shaded part is what the law claims, a line is a 95 % interval.") : "";
  return section(`Evidence (${tally(law)})`, key, make("ol", { class: "evidence" }, entries.map((entry) => evidenceItem(entry, law, axes))));
}

function evidenceItem(entry, law, axes) {
  const run = RUNS.get(entry.run);
  const problems = entry.problems || [];
  const effects = Object.entries(entry.effect || {}).map(([name, value]) => {
    const interval = (entry.interval || {})[name];
    const range = interval ? ` (${precise.format(interval[0])} to ${precise.format(interval[1])}, 95 %)` : "";
    return make("div", { class: "effect" },
      make("span", {}, make("b", {}, precise.format(value)), ` ${name}${range}`, axes.get(name).log ? make("small", {}, " log scale") : ""),
      track(value, interval, (law.bounds || {})[name], axes.get(name)));
  });
  return make("li", { class: `v-${entry.verdict}` },
    make("div", { class: "verdict" }, make("b", {}, entry.verdict), ` \u00b7 ${entry.tier} \u00b7 ${entry.role}`, entry.toolchain ? ` \u00b7 ${entry.toolchain}` : ""),
    make("div", { class: "run" }, code(entry.run)),
    effects,
    entry.note ? make("p", { class: "note" }, entry.note) : "",
    problems.length ? make("details", {}, make("summary", {}, plural(problems.length, "problem size")), make("ul", { class: "problems" }, problems.map((text) => make("li", {}, code(text.replaceAll(",", ", ")))))) : "",
    run ? runDetail(run) : "");
}

function runDetail(run) {
  const outcomes = Object.entries(run.outcomes || {}).map(([name, count]) => `${number.format(count)} ${name}`).join(", ");
  return make("details", {}, make("summary", {}, "How the run was made"), facts([
    ["Made", run.created],
    ["For", `${run.op} on ${run.hw}`],
    ["Device", run.device],
    ["Toolchain", run.toolchain],
    ["Trials", outcomes],
    ["Commit", run.commit && [code(run.commit.slice(0, 12))]],
    ["Repeat", run.reproduce && [code(run.reproduce)]],
    ["Source", run.source],
    ["Note", run.note],
  ]));
}

function relations(law, to) {
  const laws = (law.links || []).map((link) => make("li", {}, `${link.verb} `, make("a", { href: to({ law: link.law }) }, link.law), link.note ? make("span", { class: "note" }, ` ${link.note}`) : ""));
  const systems = (law.systems || []).map((id) => make("li", {}, "inherited by ", make("a", { href: to({ q: id }) }, SYSTEMS.get(id)?.title || id), ` (${SYSTEMS.get(id)?.state || "system"})`));
  const same = DATA.laws.filter((other) => other.hw === law.hw && other.op === law.op).length - 1;
  const beside = same ? make("li", {}, make("a", { href: to({ hw: law.hw, op: law.op }) }, `${plural(same, "other law")} of ${law.op} on ${law.hw}`)) : "";
  return make("ul", { class: "relations" }, laws, systems, beside);
}

/** What stands there for a law that does not exist. */
function unknownLaw(id, close) {
  return [
    make("h2", { id: "detail-title", tabindex: "-1" }, "No such law"),
    make("p", { role: "alert" }, "No law here is called ", code(id), ". It may have been added after this page was made."),
    make("button", { type: "button", id: "close", class: "plain", onclick: close }, "Show all laws"),
  ];
}

function overview(state, found) {
  const nodes = [[state.hw, HARDWARE, HARDWARE_UP], [state.op, OPS, OP_UP]].filter(([id]) => id);
  return [...nodes.map(([id, all, up]) => nodeCard(all.get(id), up)), standings(found), legend()];
}

function nodeCard(node, up) {
  const above = [...up.get(node.id)].slice(1).join(" \u203a ");
  const rows = Object.entries(node.facts || {}).map(([name, fact]) => make("tr", {},
    make("th", { scope: "row" }, code(name)),
    make("td", { class: "value" }, typeof fact.value === "number" ? number.format(fact.value) : String(fact.value), fact.confirmed === false ? " (not confirmed)" : ""),
    make("td", { class: "note" }, fact.source)));
  return make("section", { class: "card" }, make("h2", {}, node.title),
    facts([["Level", node.kind && words(node.kind)], ["Is a", above], ["Part of", (node.part_of || []).join(", ")], ["Also called", (node.aliases || []).join(", ")]]),
    rows.length ? make("table", { class: "facts" }, make("thead", {}, make("tr", {}, ["Fact", "Value", "Source"].map((name) => make("th", { scope: "col" }, name)))), make("tbody", {}, rows)) : "");
}

/** Kinds by statuses, of the laws that are found. */
function standings(found) {
  const used = DATA.statuses.filter((status) => found.some((law) => law.status === status));
  const rows = KINDS.map((kind) => {
    const own = found.filter((law) => law.kind === kind);
    const cells = used.map((status) => own.filter((law) => law.status === status).length);
    return make("tr", {}, make("th", { scope: "row" }, mark(kind, "confirmed"), kind), cells.map((count) => make("td", {}, count ? number.format(count) : "\u00b7")), make("td", {}, make("b", {}, number.format(own.length))));
  });
  return make("section", { class: "card" }, make("h2", {}, "How sure are they"), make("table", { class: "standings" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Kind"), [...used, "all"].map((name) => make("th", { scope: "col" }, name)))), make("tbody", {}, rows)));
}

const STANDINGS = {
  confirmed: "a run that did not suggest it, of the tier that the claim needs, agrees on sizes or devices it was not found on; each law says on how many, and on how many devices and occasions",
  proposed: "reported, or seen only in the run that suggested it",
  contested: "credible evidence for and against",
  refuted: "credible evidence against and none for",
  withdrawn: "retired by hand, with a reason",
};

function legend() {
  const kinds = KINDS.map((kind) => make("li", {}, mark(kind, "confirmed"), make("b", {}, kind), ` ${DATA.verbs[kind]}`));
  const statuses = DATA.statuses.map((status) => make("li", {}, mark("negative", status), make("b", {}, status), ` ${STANDINGS[status]}`));
  return make("section", { class: "card" }, make("h2", {}, "How to read it"),
    make("p", {}, "A square is a law: its colour and sign are the kind, how it is filled is the status, which follows from the evidence alone. Choose a law for its claim, scope and evidence; choose a cell, a row or a column of the map to see only its laws."),
    make("ul", { class: "legend" }, kinds), make("ul", { class: "legend" }, statuses));
}
