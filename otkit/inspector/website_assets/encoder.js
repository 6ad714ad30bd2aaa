import * as ort from "./onnxruntime/ort.wasm.min.mjs";
import { Problem } from "./api.js";
import { Tokenizer } from "./tokenizer.js";

const here = (name) => new URL(name, import.meta.url).href;
const read = async (name) => {
  const response = await fetch(here(name));
  if (!response.ok) throw new Problem(`${name} is missing from this page's folder (${response.status})`);
  return response;
};

// Words to vectors: the encoder's graph in ONNX Runtime, on one thread, so that any host will do.
export class Encoder {
  static async open({ lead, after, padding, limit, states }) {
    const [tokenizer, graph] = await Promise.all([read("tokenizer.json").then((response) => response.json()), read("model.onnx").then((response) => response.arrayBuffer())]);
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = here("onnxruntime/");
    const session = await ort.InferenceSession.create(new Uint8Array(graph), { executionProviders: ["wasm"], graphOptimizationLevel: "all", logSeverityLevel: 3 });
    return Object.assign(new Encoder(), { session, lead, after, padding, limit, states, tokenizer: new Tokenizer(tokenizer) });
  }

  // For each hidden state the vectors of both sentences: `words` (words x width each), the mean of their pieces, and `pieces`
  // (words x pieces x width). The last pair is kept.
  async layers(sentences) {
    const key = JSON.stringify(sentences);
    if (this.key !== key) {
      this.key = key;
      const run = () => this.run(sentences.map((words) => words.map((word) => this.tokenizer.pieces(word))));
      this.kept = (this.kept ?? Promise.resolve()).then(run, run); // one at a time
    }
    return this.kept;
  }

  async run(pieces) {
    const rows = pieces.map((words) => [...this.lead, ...words.flat(), ...this.after]), width = Math.max(...rows.map((row) => row.length));
    if (width > this.limit) throw new Problem(`a sentence has ${width} pieces of words, and the encoder takes ${this.limit}: give less of it`);
    const tensor = (of) => new ort.Tensor("int64", BigInt64Array.from(rows.flatMap((row) => Array.from({ length: width }, (_, k) => BigInt(of(row, k))))), [rows.length, width]);
    const names = [...Array(this.states).keys()].map((layer) => `layer_${layer}`);
    const found = await this.session.run({ input_ids: tensor((row, k) => row[k] ?? this.padding), attention_mask: tensor((row, k) => (k < row.length ? 1 : 0)) }, names);
    return names.map((name) => {
      const { data, dims } = found[name];
      const sides = pieces.map((words, row) => {
        let place = (row * width + this.lead.length) * dims[2];
        return words.map((ids) => ids.map(() => { const vector = [...data.subarray(place, place + dims[2])]; place += dims[2]; return vector; }));
      });
      const mean = (vectors) => vectors[0].map((_, d) => vectors.reduce((total, vector) => total + vector[d] / vectors.length, 0));
      return { pieces: sides, words: sides.map((words) => words.map(mean)) };
    });
  }
}
