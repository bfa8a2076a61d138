// Elements made of names, properties and text. Text stays text: nothing from a law file is ever parsed as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: properties beginning with "on" listen, `style` sets single properties, the rest are attributes. */
function make(name, properties, ...content) {
  return filled(document.createElement(name), properties, content);
}

/** The same for a drawing. */
function draw(name, properties, ...content) {
  return filled(document.createElementNS(SVG, name), properties, content);
}

function filled(element, properties, content) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, part] of Object.entries(value)) element.style.setProperty(key, part);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...content.flat().filter((part) => part !== null && part !== undefined && part !== ""));
  return element;
}

const find = (id) => document.getElementById(id);

/** The square that stands for a law: its colour and sign are the kind, how it is filled is the status. */
function mark(kind, status) {
  return make("span", { class: `mark k-${kind} s-${status}`, "aria-hidden": "true" }, KINDS.includes(kind) ? GLYPHS[kind] ?? "\u2022" : "");
}

const pill = (status) => make("span", { class: `pill s-${status}` }, status);

/** A link that only leads to the web: anything else that a law file calls an address stays text. */
function outward(reference) {
  const web = /^https?:\/\//i.test(reference.url || "");
  const title = web
    ? make("a", { href: reference.url, rel: "noreferrer noopener", target: "_blank" }, reference.title)
    : make("span", {}, reference.title, reference.url ? ` (${reference.url})` : "");
  return [title, reference.note ? make("span", { class: "note" }, ` ${reference.note}`) : ""];
}
