// Elements without markup: what anyone wrote stays text.
export function el(tag, attributes = {}, ...children) {
  const node = tag.startsWith("svg:") ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "vars") for (const [key, of] of Object.entries(value)) node.style.setProperty(key, of);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null));
  return node;
}

export const byId = (id) => document.getElementById(id);

// Letters, and the languages that are written in them; the first is meant where nobody says which.
const SCRIPTS = [[/[\u3040-\u30ff]/, ["ja"]], [/[\uac00-\ud7af]/, ["ko"]], [/[\u4e00-\u9fff]/, ["zh", "ja", "yue", "ko"]], [/[\u0600-\u06ff]/, ["ar", "fa", "ur", "ps", "ug", "sd", "ckb"]],
  [/[\u0900-\u097f]/, ["hi", "mr", "ne", "sa"]], [/[\u0980-\u09ff]/, ["bn", "as"]], [/[\u0b80-\u0bff]/, ["ta"]], [/[\u0c00-\u0c7f]/, ["te"]], [/[\u0e00-\u0e7f]/, ["th"]], [/[\u0590-\u05ff]/, ["he", "yi"]],
  [/[\u10a0-\u10ff]/, ["ka"]], [/[\u0530-\u058f]/, ["hy"]], [/[\u0370-\u03ff]/, ["el"]], [/[\u0400-\u04ff]/, ["ru", "bg", "uk", "sr", "mk", "be", "kk", "ky", "tg", "mn"]]];
const known = { source: null, target: null };

// The languages of both sides as browsers call them, where the command or the name of the corpus says them.
export function setLanguages(languages) { [known.source, known.target] = languages ?? [null, null]; }

// The language of words, so that each is drawn in its own fonts: the one that is known if their letters agree, else the
// first of those that are written so. Latin letters tell none.
export function languageOf(words, side) {
  const text = words.join(" "), own = known[side], spoken = own?.split("-")[0];
  const written = SCRIPTS.find(([letters]) => letters.test(text))?.[1];
  if (written) return written.includes(spoken) ? own : written[0];
  return own && !SCRIPTS.some(([, languages]) => languages.includes(spoken)) ? own : null;
}

// Right to left where most of the words that have a letter at all are written so.
export function directionOf(words) {
  const lettered = words.filter((word) => /\p{L}/u.test(word));
  return 2 * lettered.filter((word) => /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u.test(word)).length > lettered.length ? "rtl" : "ltr";
}

export const percent = (share) => `${Math.round(100 * share)}%`;

export const number = (value, digits = 3) => (value == null ? "–" : value.toFixed(digits).replace("-", "−"));
