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

const SCRIPTS = [[/[\u3040-\u30ff]/, "ja"], [/[\uac00-\ud7af]/, "ko"], [/[\u4e00-\u9fff]/, "zh"], [/[\u0600-\u06ff]/, "ar"],
  [/[\u0900-\u097f]/, "hi"], [/[\u0e00-\u0e7f]/, "th"], [/[\u0590-\u05ff]/, "he"], [/[\u0370-\u03ff]/, "el"], [/[\u0400-\u04ff]/, "ru"]];

// The language that a script tells, so that each is drawn in its own fonts; Latin letters tell none.
export function languageOf(words) {
  const text = words.join(" ");
  return SCRIPTS.find(([letters]) => letters.test(text))?.[1] ?? null;
}

// Right to left where most of the words that have a letter at all are written so.
export function directionOf(words) {
  const lettered = words.filter((word) => /\p{L}/u.test(word));
  return 2 * lettered.filter((word) => /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u.test(word)).length > lettered.length ? "rtl" : "ltr";
}

export const percent = (share) => `${Math.round(100 * share)}%`;

export const number = (value, digits = 3) => (value == null ? "–" : value.toFixed(digits).replace("-", "−"));
