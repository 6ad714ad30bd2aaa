// SentencePiece's unigram pieces as Hugging Face's `tokenizers` cuts them: a charsmap, then Metaspace, then the best path.
export class Tokenizer {
  constructor({ model, normalizer }) {
    this.names = model.vocab.map(([piece]) => piece);
    this.scores = new Map(model.vocab.map(([piece, score], id) => [piece, [id, score]]));
    this.unknown = model.unk_id;
    this.penalty = model.vocab.reduce((low, entry) => Math.min(low, entry[1]), Infinity) - 10;
    this.longest = model.vocab.reduce((most, [piece]) => Math.max(most, piece.length), 1);
    this.steps = (normalizer?.normalizers ?? [normalizer]).filter(Boolean).map((step) => (step.type === "Precompiled" ? charsmap(step.precompiled_charsmap) : (text) => text.replace(new RegExp(step.pattern.Regex, "gu"), step.content)));
    this.known = new Map();
  }

  // The ids of a word, never none.
  pieces(word) {
    if (!this.known.has(word)) {
      const text = this.steps.reduce((result, step) => step(result), word.replace(/\p{Surrogate}/gu, "?"));
      const marked = text ? `\u2581${text.replaceAll(" ", "\u2581")}`.replace(/^\u2581\u2581/, "\u2581") : "";
      const ids = marked.split(/(?=\u2581)/u).filter(Boolean).flatMap((part) => this.best(part));
      this.known.set(word, ids.length ? ids : [this.unknown]);
    }
    return this.known.get(word);
  }

  // The words, the first in lower case where that is fewer pieces.
  truecase(words) {
    const place = words.findIndex((word) => /\p{L}/u.test(word) || word.toLowerCase() !== word.toUpperCase());
    const [first, ...rest] = place < 0 ? [] : words[place].match(/\p{L}/gu) ?? [];
    if (!/^\p{Lu}$/u.test(first ?? "") || rest.some((letter) => /\p{Lu}/u.test(letter))) return words;
    const small = words[place].toLowerCase();
    return this.pieces(small).length < this.pieces(words[place]).length ? words.with(place, small) : words;
  }

  // A piece as a person reads it; one without letters of its own by its name.
  spelled(id) {
    const name = this.names[id];
    return name.replaceAll("\u2581", " ").trim() || name.replace(/^\u2581+/, "") || name;
  }

  best(text) {
    const ends = Array(text.length + 1).fill(null);
    ends[0] = { score: 0 };
    for (let start = 0; start < text.length; ) {
      const width = text.codePointAt(start) > 0xffff ? 2 : 1, before = ends[start].score;
      let single = false;
      const reach = (length, score, id) => { if (!ends[start + length] || score > ends[start + length].score) ends[start + length] = { score, id, start }; };
      for (let length = 1; length <= this.longest && start + length <= text.length; length += 1) {
        const found = this.scores.get(text.slice(start, start + length));
        if (!found) continue;
        reach(length, found[1] + before, found[0]);
        single ||= length === width;
      }
      if (!single) reach(width, this.penalty + before, this.unknown);
      start += width;
    }
    const ids = [];
    for (let end = text.length; end > 0; end = ends[end].start) if (ends[end].id !== this.unknown || ids[0] !== this.unknown) ids.unshift(ends[end].id); // unknown ones in a row are one
    return ids;
  }
}

// SentencePiece's table of replacements: a double array (a trie of bytes) that leads into text.
function charsmap(encoded) {
  const raw = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0)), view = new DataView(raw.buffer);
  const size = view.getUint32(0, true), units = Array.from({ length: size / 4 }, (_, k) => view.getUint32(4 + 4 * k, true)), texts = raw.subarray(4 + size);
  const [encoder, decoder, letters] = [new TextEncoder(), new TextDecoder(), new Intl.Segmenter("en", { granularity: "grapheme" })];
  const offset = (unit) => (unit >>> 10) << ((unit & 512) >>> 6);
  const replaced = (key) => {
    let unit = units[0], node = offset(unit);
    for (const byte of key) {
      if (!byte) return null;
      node ^= byte;
      unit = units[node];
      if (((unit & 0x800000ff) >>> 0) !== byte) return null;
      node ^= offset(unit);
      if ((unit >>> 8) & 1) { const from = units[node] & 0x7fffffff; return decoder.decode(texts.subarray(from, texts.indexOf(0, from))); }
    }
    return null;
  };
  return (text) => [...letters.segment(text)].map(({ segment }) => {
    const key = encoder.encode(segment);
    return (key.length < 6 ? replaced(key) : null) ?? [...segment].map((letter) => replaced(encoder.encode(letter)) ?? letter).join("");
  }).join("");
}

// The words of a text, between spaces as other aligners and gold sets have them.
export const wordsOf = (text) => text.split(/[ \t\n\r\v\f]+/).filter(Boolean);

// Letters of a word, wide ones counting three; 0 for punctuation. `wide` are ranges of code points, from and to by turns.
export function lettersOf(word, wide) {
  if (!/[\p{L}\p{N}]/u.test(word)) return 0;
  return [...word].reduce((total, letter) => { const code = letter.codePointAt(0); return total + (wide.some((from, k) => k % 2 === 0 && from <= code && code <= wide[k + 1]) ? 3 : 1); }, 0);
}
