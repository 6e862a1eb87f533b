/** As much PromQL as the page sends: selectors, ranges, rate, avg_over_time, sum/max/count by, arithmetic. */

const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*")|([a-zA-Z_:][a-zA-Z0-9_:]*)|(\d+(?:\.\d+)?[smh]?)|(=~|!~|!=|[-+*/(){}[\],=]))/y;

function tokens(text) {
  const out = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const found = TOKEN.exec(text);
    if (!found) throw new Error(`cannot read the query at column ${at + 1}: ${text.slice(at, at + 20)}`);
    if (found[1] !== undefined) out.push({ kind: "text", text: JSON.parse(found[1]) });
    else if (found[2] !== undefined) out.push({ kind: "name", text: found[2] });
    else if (found[3] !== undefined) out.push({ kind: "number", text: found[3] });
    else out.push({ kind: "sign", text: found[4] });
  }
  return out;
}

const AGGREGATES = ["sum", "max", "count"];
const FUNCTIONS = ["rate", "avg_over_time", "last_over_time"];
const seconds = (text) => Number.parseFloat(text) * { s: 1, m: 60, h: 3600 }[text.at(-1)];

export function parse(text) {
  const list = tokens(text);
  let at = 0;
  const is = (sign) => list[at]?.kind === "sign" && list[at].text === sign;
  const take = (sign) => {
    if (!is(sign)) throw new Error(`expected "${sign}" in: ${text}`);
    at += 1;
  };
  const names = () => {
    const out = [];
    take("(");
    while (!is(")")) {
      out.push(list[at++].text);
      if (is(",")) at += 1;
    }
    take(")");
    return out;
  };
  const matchers = () => {
    const out = [];
    if (!is("{")) return out;
    take("{");
    while (!is("}")) {
      const label = list[at++].text;
      const op = list[at++].text;
      const value = list[at++].text;
      const whole = op.endsWith("~") ? new RegExp(`^(?:${value})$`) : null;
      const test = whole ? (v) => whole.test(v) : (v) => v === value;
      out.push((labels) => test(labels[label] ?? "") === !op.startsWith("!"));
      if (is(",")) at += 1;
    }
    take("}");
    return out;
  };
  const selector = () => {
    const name = list[at]?.kind === "name" ? list[at++].text : null;
    const all = matchers();
    if (name !== null) all.push((labels) => labels.__name__ === name);
    const node = { kind: "selector", matches: (labels) => all.every((test) => test(labels)), rangeS: 0 };
    if (is("[")) {
      take("[");
      node.rangeS = seconds(list[at++].text);
      take("]");
    }
    return node;
  };
  const atom = () => {
    const token = list[at];
    if (token?.kind === "number") {
      at += 1;
      return { kind: "number", value: Number(token.text) };
    }
    if (is("(")) {
      take("(");
      const inner = sum();
      take(")");
      return inner;
    }
    if (token?.kind === "name" && AGGREGATES.includes(token.text)) {
      at += 1;
      const by = list[at]?.text === "by" ? (at++, names()) : [];
      take("(");
      const inner = sum();
      take(")");
      return { kind: "aggregate", name: token.text, by, inner };
    }
    if (token?.kind === "name" && FUNCTIONS.includes(token.text)) {
      at += 1;
      take("(");
      const inner = selector();
      take(")");
      return { kind: "function", name: token.text, inner };
    }
    return selector();
  };
  const binary = (next, signs) => () => {
    let left = next();
    while (signs.some(is)) {
      const sign = list[at++].text;
      left = { kind: "binary", sign, left, right: next() };
    }
    return left;
  };
  const product = binary(atom, ["*", "/"]);
  const sum = binary(product, ["+", "-"]);
  const node = sum();
  if (at < list.length) throw new Error(`left over in the query: ${text}`);
  return node;
}

const bare = ({ __name__: _, ...labels }) => labels;
const key = (labels) => JSON.stringify(Object.entries(labels).sort());
const MATH = { "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b };

/** `raw(series, fromS, toS)` gives samples `[s, value]` in (from, to]. */
export function evaluate(node, t, all, raw) {
  switch (node.kind) {
    case "number":
      return node.value;
    case "selector":
      return all.filter((one) => node.matches(one.labels)).flatMap((one) => {
        const last = raw(one, t - 300, t).at(-1);
        return last ? [{ labels: one.labels, value: last[1] }] : [];
      });
    case "function":
      return all.filter((one) => node.inner.matches(one.labels)).flatMap((one) => {
        const samples = raw(one, t - node.inner.rangeS, t);
        if (samples.length < (node.name === "rate" ? 2 : 1)) return [];
        const [first, last] = [samples[0], samples.at(-1)];
        if (node.name === "last_over_time") return [{ labels: one.labels, value: last[1] }];
        const value = node.name === "rate" ? (last[1] - first[1]) / (last[0] - first[0]) : samples.reduce((sum, one) => sum + one[1], 0) / samples.length;
        return [{ labels: bare(one.labels), value }];
      });
    case "aggregate": {
      const groups = new Map();
      for (const { labels, value } of evaluate(node.inner, t, all, raw)) {
        const kept = Object.fromEntries(node.by.filter((name) => name in labels).map((name) => [name, labels[name]]));
        const group = groups.get(key(kept)) ?? { labels: kept, values: [] };
        group.values.push(value);
        groups.set(key(kept), group);
      }
      const fold = { sum: (v) => v.reduce((a, b) => a + b, 0), max: (v) => Math.max(...v), count: (v) => v.length }[node.name];
      return [...groups.values()].map(({ labels, values }) => ({ labels, value: fold(values) }));
    }
    case "binary": {
      const [left, right] = [evaluate(node.left, t, all, raw), evaluate(node.right, t, all, raw)];
      const math = MATH[node.sign];
      if (typeof left === "number" && typeof right === "number") return math(left, right);
      if (typeof left === "number") return right.map(({ labels, value }) => ({ labels: bare(labels), value: math(left, value) }));
      if (typeof right === "number") return left.map(({ labels, value }) => ({ labels: bare(labels), value: math(value, right) }));
      const others = new Map(right.map(({ labels, value }) => [key(bare(labels)), value]));
      return left.flatMap(({ labels, value }) => {
        const other = others.get(key(bare(labels)));
        return other === undefined ? [] : [{ labels: bare(labels), value: math(value, other) }];
      });
    }
  }
  throw new Error(`unknown node ${node.kind}`);
}
