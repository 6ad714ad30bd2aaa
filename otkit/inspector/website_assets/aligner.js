// The aligner's transport "unbalanced" with word order and the strategies that read a plan, as otkit/alignment and
// otkit/transport compute them for one pair. Matrices are arrays of rows.
const map = (matrix, of) => matrix.map((row, i) => row.map((value, j) => of(value, i, j)));
const turned = (matrix) => matrix[0].map((_, j) => matrix.map((row) => row[j]));
const sum = (row) => row.reduce((total, value) => total + value, 0);
const sums = (matrix) => [matrix.map(sum), turned(matrix).map(sum)];
const limited = (value, low, high) => Math.min(high, Math.max(low, value));

function unitVectors(side) {
  return side.map((vector) => { const size = Math.sqrt(vector.reduce((total, x) => total + x * x, 0)) || 1; return vector.map((x) => x / size); });
}

// transport/cost.py and encoders/pooling.py: cosines after the mean of both sentences is taken off.
export function cosines(source, target, center) {
  const every = [...source, ...target], mean = source[0].map((_, d) => (center === "sentence" ? every.reduce((total, vector) => total + vector[d], 0) / every.length : 0));
  const sides = [source, target].map((side) => side.map((vector) => vector.map((x, d) => x - mean[d])));
  const [x, y] = sides.map(unitVectors);
  return { cosine: x.map((one) => y.map((other) => one.reduce((total, value, d) => total + value * other[d], 0))), vectors: sides };
}

// transport/approximate.py: soft_plan, with the same weight for every word and one penalty for both sides.
export function softPlan(cost, epsilon, tau, iterations) {
  const [n, m] = [cost.length, cost[0].length], [a, b] = [1 / n, 1 / m];
  const lowF = cost.map((row) => Math.min(...row)), reduced = map(cost, (value, i) => value - lowF[i]), lowG = turned(reduced).map((row) => Math.min(...row));
  const kernel = map(reduced, (value, i, j) => Math.exp((lowG[j] - value) / epsilon)), back = turned(kernel), rate = tau / (tau + epsilon);
  const step = (rows, scaling, weight, low) => rows.map((row, k) => weight * Math.exp(limited(-rate * Math.log(Math.max(row.reduce((total, value, l) => total + value * scaling[l], 0), 1e-30)) - low[k] / (tau + epsilon), -40, 40)));
  let u = Array(n).fill(a), v = Array(m).fill(b);
  for (let k = 0; k < iterations; k += 1) { v = step(back, u, b, lowG); u = step(kernel, v, a, lowF); }
  return map(kernel, (value, i, j) => u[i] * value * v[j]);
}

export function shares(plan) {
  const [rows, columns] = sums(plan);
  return map(plan, (mass, i, j) => (rows[i] * columns[j] > 0 ? Math.min(1, mass / Math.sqrt(rows[i] * columns[j])) : 0));
}

// transport/order.py
function astray(weight) {
  const [n, m] = [weight.length, weight[0].length], mass = weight.map(sum), offset = (i, j) => (j * n) / m - i;
  const mean = weight.map((row, i) => row.reduce((total, value, j) => total + value * offset(i, j), 0) / Math.max(mass[i], 1e-6));
  return weight.map((row, i) => {
    let total = 0.02, first = 0, second = 0;
    for (let k = 0; k < n; k += 1) if (k !== i) { const near = mass[k] * Math.exp(-((k - i) ** 2) / 32); total += near; first += near * mean[k]; second += near * mean[k] ** 2; }
    const expected = first / total, variance = Math.max(0, second / total - expected ** 2);
    return row.map((_, j) => (offset(i, j) - expected) ** 2 / (200 + variance));
  });
}

export function distortionCost(share) {
  const weight = map(share, (value) => value ** 4), [ahead, back] = [astray(weight), turned(astray(turned(weight)))];
  return map(ahead, (value, i, j) => Math.min(16, (value + back[i][j]) / 2));
}

export function neighbourSupport(share) {
  const near = (s, t) => Math.exp(-((s - t) ** 2) / 2 - (s + t) ** 2 / 8), unit = near(1, 1);
  return map(share, (_, i, j) => {
    let total = 0;
    for (let s = -3; s <= 3; s += 1) for (let t = -3; t <= 3; t += 1) if (s || t) total += ((share[i + s]?.[j + t] ?? 0) * near(s, t)) / unit;
    return total;
  });
}

// transport/phrases.py: what the letters of both words say of a link between them.
function leans(linked, letters) {
  return linked.map((row, i) => {
    const short = letters[i] > 0 && letters[i] < 4, after = row.map((_, j) => short && Boolean(linked[i + 1]?.[j]));
    return row.some((own, j) => own && !after[j]) ? row.map(() => false) : after;
  });
}

export function strengths(share, letters, { length_power: power, attach_factor: factor, threshold }) {
  if (!power && factor === 1) return share;
  const size = letters.map((side) => side.map((count) => (Math.max(2, count) / 4) ** power)), linked = map(share, (value) => value > threshold);
  const [ahead, back] = [leans(linked, letters[0]), turned(leans(turned(linked), letters[1]))];
  return map(share, (value, i, j) => value * (ahead[i][j] || back[i][j] ? factor : 1) * size[0][i] * size[1][j]);
}

// alignment/links.py: less where both words have a stronger link.
export function lessRivals(weighed, factor) {
  const rows = weighed.map((row) => Math.max(...row)), columns = turned(weighed).map((column) => Math.max(...column));
  return map(weighed, (value, i, j) => (value === rows[i] || value === columns[j] ? value : value * factor));
}

// alignment/strategies.py: of equal masses the first is the largest.
const best = (matrix) => matrix.map((row) => { const top = row.indexOf(Math.max(...row)); return row.map((_, j) => j === top); });
const both = (plan, of) => { const back = turned(best(turned(plan))); return map(best(plan), (own, i, j) => of(own, back[i][j])); };
export const STRATEGIES = {
  forward: (plan) => both(plan, (ahead) => ahead),
  backward: (plan) => both(plan, (ahead, back) => back),
  mutual: (plan) => both(plan, (ahead, back) => ahead && back),
  union: (plan) => both(plan, (ahead, back) => ahead || back),
};

// alignment/partners.py: a rule for words that are linked, for those that are not, and for marks that are not.
function noPartner(share, left, linked, letters, rules) {
  return share.map((row, i) => {
    const top = limited(Math.max(...row), 0.02, 0.98), [constant, byShare, byNull, byMoved] = rules[linked[i].some(Boolean) ? "linked" : letters[i] > 0 ? "unlinked" : "mark"];
    const stayed = Math.log(Math.max(left[i], 0.02)), moved = Math.log(Math.max(1 - left[i], 0.02));
    return 1 / (1 + Math.exp(-(constant + byShare * Math.log(top / (1 - top)) + byNull * stayed + byMoved * moved)));
  });
}

// Everything that was weighed for two sentences: their words' vectors, and the letters of each word.
export function trace([source, target], letters, settings, rules) {
  const { cosine, vectors } = cosines(source, target, settings.center), ground = map(cosine, (value) => 1 - value);
  const mean = sum(ground.map(sum)) / (ground.length * ground[0].length), unit = mean > 0 ? mean : 1, scale = settings.unit === "mean-cost" ? unit : 1;
  const [epsilon, tau] = [settings.epsilon * scale, settings.tau * scale];
  const iterations = limited(Math.ceil(-Math.log(1e-3) / (2 * Math.log1p(settings.epsilon / settings.tau))), 3, 500), solve = (cost) => softPlan(cost, epsilon, tau, iterations);
  let paid = ground, price = map(ground, () => 0);
  const rounds = settings.agreement ? settings.rounds : 0;
  for (let k = 0; k < (rounds || settings.distortion ? Math.max(rounds, 1) : 0); k += 1) {
    const share = shares(solve(paid));
    price = map(distortionCost(share), (value) => unit * settings.distortion * value);
    const support = rounds ? neighbourSupport(map(share, (value, i, j) => (letters[0][i] && letters[1][j] ? value : 0))) : map(share, () => 0);
    paid = map(ground, (value, i, j) => value + price[i][j] - unit * settings.agreement * support[i][j]);
  }
  const plan = solve(paid), share = shares(plan), [rows, columns] = sums(plan), weighed = settings.strategy === "threshold";
  const long = weighed ? strengths(share, letters, settings) : plan, strength = weighed ? lessRivals(long, settings.rival_factor) : plan;
  const linked = weighed ? map(strength, (value) => value > settings.threshold) : map(STRATEGIES[settings.strategy](plan), (is, i, j) => is && plan[i][j] > 0);
  const left = [rows, columns].map((moved) => moved.map((mass) => limited(1 - mass * moved.length, 0, 1)));
  return {
    cosine, cost: ground, order_price: price, paid, plan, share, strength, linked, vectors, epsilon, tau, mass: plan,
    neighbours_bonus: map(ground, (value, i, j) => value + price[i][j] - paid[i][j]),
    source_share: map(plan, (mass, i) => mass / (rows[i] || 1)), target_share: map(plan, (mass, _, j) => mass / (columns[j] || 1)),
    length_factor: map(share, (value, i, j) => (weighed && value > 0 ? long[i][j] / value : 1)),
    rival_factor: map(long, (value, i, j) => (weighed && value > 0 ? strength[i][j] / value : 1)),
    links: linked.flatMap((row, i) => row.flatMap((is, j) => (is ? [[i, j, share[i][j]]] : []))),
    source_no_partner: noPartner(share, left[0], linked, letters[0], rules), target_no_partner: noPartner(turned(share), left[1], turned(linked), letters[1], rules),
    mean_cost: sum(map(plan, (mass, i, j) => mass * ground[i][j]).map(sum)) / sum(rows),
  };
}

// The share of words that are each other's nearest.
export function mutualShare(cosine) {
  const [ahead, back] = [cosine, turned(cosine)].map((matrix) => matrix.map((row) => row.indexOf(Math.max(...row))));
  return (2 * ahead.filter((j, i) => back[j] === i).length) / (ahead.length + back.length);
}

// Two coordinates of every word along the main axes of both clouds: the first eigenvectors of the products of their vectors.
export function inSpace([source, target]) {
  const every = unitVectors([...source, ...target]), mean = every[0].map((_, d) => sum(every.map((vector) => vector[d])) / every.length);
  const centred = every.map((vector) => vector.map((x, d) => x - mean[d]));
  let products = centred.map((one) => centred.map((other) => one.reduce((total, x, d) => total + x * other[d], 0)));
  const whole = sum(products.map((row, k) => row[k])) || 1, axes = [];
  for (let axis = 0; axis < 2; axis += 1) {
    let vector = products.map((_, k) => Math.cos(k + axis + 1)), size = 0;
    for (let k = 0; k < 300; k += 1) {
      const next = products.map((row) => row.reduce((total, value, l) => total + value * vector[l], 0));
      size = Math.sqrt(sum(next.map((x) => x * x)));
      vector = next.map((x) => x / (size || 1));
    }
    axes.push(vector.map((x) => x * Math.sqrt(size)));
    products = map(products, (value, i, j) => value - size * vector[i] * vector[j]);
  }
  const places = every.map((_, k) => axes.map((axis) => axis[k]));
  return { source: places.slice(0, source.length), target: places.slice(source.length), variance: sum(axes.flat().map((x) => x * x)) / whole };
}
