// The list of laws found: real links in a real list, a hundred at a time.

const AT_ONCE = 100;

/** List items for `laws`. */
function listItems(laws, state) {
  return laws.map((law) => make("li", {},
    make("a", { class: "row", href: writeAddress({ ...state, law: law.id }), "data-law": law.id, "aria-current": law.id === state.law ? "true" : null },
      mark(law.kind, law.status),
      make("span", { class: "what" },
        make("span", { class: "title" }, law.title),
        make("span", { class: "claim" }, make("b", {}, DATA.verbs[law.kind]), " ", law.claim)),
      make("span", { class: "where" },
        make("span", {}, `${law.hw} \u00b7 ${law.op}`),
        make("span", {}, pill(law.status), ` ${tally(law)}`)),
    )));
}

/** How much evidence a law has, for, against and undecided. */
function tally(law) {
  const count = (verdict) => (law.evidence || []).filter((entry) => entry.verdict === verdict).length;
  const parts = [[count("supports"), "for"], [count("refutes"), "against"], [count("inconclusive"), "undecided"]];
  return parts.filter(([n]) => n).map(([n, word]) => `${n} ${word}`).join(", ") || "no evidence";
}

/** What the live region says: how many laws, which are not listed yet, what in the address means nothing. */
function countText(found, listed, state) {
  const total = DATA.laws.length;
  const many = found.length === total ? plural(total, "law") : `${number.format(found.length)} of ${plural(total, "law")}`;
  const rest = listed < found.length ? `, first ${number.format(listed)} listed` : "";
  const ignored = state.ignored.length ? `; ignored, unknown: ${state.ignored.join(", ")}` : "";
  return many + rest + ignored;
}
