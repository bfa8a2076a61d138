// The page itself: the state, how it is shown, and what people do to it.

let state = readAddress(location.hash);
let listed = AT_ONCE;
let everyNode = false;
let result = answer(state);
let opener = ""; // the law whose row had the focus when details were opened

const narrow = matchMedia("(max-width: 899px)");

/** Change the state: a new law is a step in the browser's history, a filter is not. */
function go(change) {
  const next = { ...state, ...change, ignored: [] };
  const step = next.law !== state.law ? "pushState" : "replaceState";
  history[step](null, "", writeAddress(next));
  show(next);
}

/** Show `next`; only what depends on what changed is made again. */
function show(next) {
  const before = writeAddress({ ...state, law: "" });
  const chosen = next.law !== state.law;
  state = next;
  const asked = before !== writeAddress({ ...state, law: "" });
  if (asked) {
    listed = AT_ONCE;
    result = answer(state);
    showControls();
    showMap();
  }
  if (asked || chosen) showList();
  if (asked || chosen) showDetail();
}

function showControls() {
  const field = find("search");
  if (field.value !== state.q) field.value = state.q;
  find("hw").value = state.hw;
  find("op").value = state.op;
  find("sort").value = state.sort;
  find("inherited").checked = state.inherited;
  for (const button of document.querySelectorAll(".facet button[data-facet]")) {
    const { facet, value } = button.dataset;
    button.setAttribute("aria-pressed", String(state[facet].includes(value)));
    button.querySelector(".n").textContent = number.format(result.counts[facet][value] || 0);
  }
  find("clear").disabled = writeAddress({ ...state, law: "", sort: NOTHING.sort }) === "#";
}

/** The map anew; the focus stays on the control at the same place. */
function showMap() {
  const within = find("map").contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
  const named = find("map").contains(document.activeElement) && document.activeElement.textContent;
  find("map").replaceChildren(mapTable(result.placed, state, everyNode, go));
  if (named === false) return;
  const same = [...find("map").querySelectorAll("button")].find((button) => (within ? button.getAttribute("aria-label") === within : button.textContent === named));
  (same || find("map")).focus({ preventScroll: true });
}

function showList() {
  const items = listItems(result.found.slice(0, listed), state);
  find("results").replaceChildren(...(items.length ? items : [nothingFound()]));
  showCount();
}

function showCount() {
  const left = result.found.length - listed;
  find("count").textContent = countText(result.found, listed, state);
  find("more").hidden = left <= 0;
  find("more").textContent = `Show ${number.format(Math.min(left, AT_ONCE))} more of ${number.format(left)}`;
}

function nothingFound() {
  return make("li", { class: "empty" }, "No law matches. ", make("button", { type: "button", class: "plain", onclick: clear }, "Clear all filters"));
}

function showDetail() {
  const law = LAWS.get(state.law);
  const content = law ? lawDetail(law, state, close) : state.law ? unknownLaw(state.law, close) : overview(state, result.found);
  find("detail").replaceChildren(...content.filter(Boolean));
  find("detail").classList.toggle("open", Boolean(state.law));
  document.title = law ? `${law.title} \u2013 hardware laws` : "Hardware laws";
  coverRest();
}

/** On a narrow screen details cover the page; what is below must then not be reachable. */
function coverRest() {
  const covered = narrow.matches && Boolean(state.law);
  for (const part of document.querySelectorAll(".skip, .top, .filters, .left")) part.inert = covered;
}

function focusDetail() {
  find("detail").scrollTop = 0;
  find("detail-title")?.focus({ preventScroll: true });
}

function close() {
  const back = opener || state.law;
  go({ law: "" });
  const row = [...document.querySelectorAll("a.row")].find((link) => link.dataset.law === back);
  (row || find("search")).focus();
}

function clear() {
  go({ ...NOTHING, law: state.law, sort: state.sort });
  find("search").focus();
}

function toggled(facet, value) {
  const chosen = state[facet].includes(value) ? state[facet].filter((one) => one !== value) : [...state[facet], value];
  go({ [facet]: (facet === "kind" ? KINDS : DATA.statuses).filter((one) => chosen.includes(one)) });
}

function facetButtons(facet, values) {
  return values.map((value) => make("button", { type: "button", "data-facet": facet, "data-value": value, class: `chip k-${value}`, "aria-pressed": "false", onclick: () => toggled(facet, value) },
    facet === "kind" ? mark(value, "confirmed") : mark("plain", value), value, " ", make("span", { class: "n" })));
}

function options(rows, nodes, all) {
  const indent = (depth) => "\u00a0\u00a0".repeat(depth);
  return [make("option", { value: "" }, all), ...rows.map((row) => make("option", { value: row.id }, indent(row.depth) + row.id))];
}

/** Up and down move through the list, from the search field too. */
function arrow(event) {
  const rows = [...document.querySelectorAll("a.row")];
  const at = rows.indexOf(document.activeElement);
  const inSearch = document.activeElement === find("search");
  if (at < 0 && !(inSearch && event.key === "ArrowDown")) return;
  const next = event.key === "ArrowDown" ? rows[at + 1] : rows[at - 1] || find("search");
  if (next) {
    next.focus();
    event.preventDefault();
  }
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName || "");
  if (event.key === "Escape") {
    if (state.law) close();
    else if (state.q) go({ q: "" });
    else return;
    event.preventDefault();
  } else if (event.key === "/" && !typing) {
    find("search").focus();
    event.preventDefault();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    arrow(event);
  }
}

/** A link into the page: to a law, then read on in its details; or to a filter. */
function onHash() {
  show(readAddress(location.hash));
  if (state.law) focusDetail();
}

function onRow(event) {
  const row = event.target.closest("a.row");
  if (!row || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  opener = row.dataset.law;
  go({ law: opener });
  focusDetail();
}

function start() {
  find("kinds").replaceChildren(...facetButtons("kind", KINDS));
  find("statuses").replaceChildren(...facetButtons("status", DATA.statuses));
  find("hw").replaceChildren(...options(HARDWARE_TREE, HARDWARE, "any"));
  find("op").replaceChildren(...options(OP_TREE, OPS, "any"));
  find("totals").textContent = `${plural(DATA.laws.length, "law")}, ${plural(RUNS.size, "run")}, ${number.format(HARDWARE.size)} hardware nodes, ${plural(OPS.size, "op")}`;
  find("search").addEventListener("input", (event) => go({ q: event.target.value }));
  find("search-form").addEventListener("submit", (event) => event.preventDefault());
  for (const name of ["hw", "op", "sort"]) find(name).addEventListener("change", (event) => go({ [name]: event.target.value }));
  find("inherited").addEventListener("change", (event) => go({ inherited: event.target.checked }));
  find("clear").addEventListener("click", clear);
  find("results").addEventListener("click", onRow);
  find("skip").addEventListener("click", (event) => {
    event.preventDefault();
    find("results").focus();
  });
  find("every-node").addEventListener("click", () => {
    everyNode = !everyNode;
    find("every-node").setAttribute("aria-pressed", String(everyNode));
    showMap();
  });
  find("more").addEventListener("click", () => {
    const from = listed;
    listed += AT_ONCE;
    find("results").append(...listItems(result.found.slice(from, listed), state));
    showCount();
    find("results").children[from].firstChild.focus();
  });
  addEventListener("keydown", onKey);
  addEventListener("hashchange", onHash);
  addEventListener("popstate", () => show(readAddress(location.hash)));
  narrow.addEventListener("change", coverRest);
  showControls();
  showMap();
  showList();
  showDetail();
  if (state.law) {
    document.querySelector("a.row[aria-current]")?.scrollIntoView({ block: "center" });
    focusDetail();
  }
}

start();
document.body.dataset.ready = "yes";
