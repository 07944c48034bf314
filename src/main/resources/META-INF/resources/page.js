/** The page at `/`: the variants answer one prompt side by side, through the server's own HTTP interface. */

const $ = id => document.getElementById(id);
let running = null; // an AbortController, while answers come

function headers() {
  const token = $("token").value.trim();
  return token ? { authorization: `Bearer ${token}` } : {};
}

/** Asks the server; what it refuses is an error with its own words. */
async function ask(path, options = {}) {
  const response = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    const error = new Error(body.error?.message ?? `the server answers with status ${response.status}`);
    error.status = response.status;
    throw error;
  }
  return response;
}

function json(method, body) {
  return { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

function say(id, text, bad = false) {
  $(id).textContent = text;
  $(id).classList.toggle("bad", bad);
}

/** The data of server-sent events, as they come. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const parts = (rest + read.value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, "");
      if (data !== "[DONE]") {
        yield JSON.parse(data);
      }
    }
  }
}

/** A variant's answer on the page. */
class Answer {
  constructor(variant) {
    this.variant = variant;
    this.element = $("answer").content.cloneNode(true).firstElementChild;
    this.element.querySelector("h2").textContent = variant;
    this.element.dataset.variant = variant;
    this.clear();
  }

  clear() {
    this.pieces = []; // { text, tokens }
    this.tokens = [];
    this.started = this.first = this.last = 0; // milliseconds
    this.differing = new Set();
    this.done = false;
  }

  async stream(request, signal) {
    this.element.setAttribute("aria-busy", "true");
    this.started = performance.now();
    try {
      const response = await ask("v1/completions", { ...json("POST", { ...request, model: this.variant }), signal });
      for await (const event of events(response)) {
        if (event.error) {
          throw new Error(event.error.message);
        }
        this.take(event.choices[0]);
        draw();
      }
    } finally {
      this.element.removeAttribute("aria-busy");
    }
  }

  take(choice) {
    const tokens = choice.logprobs?.tokens ?? [];
    this.last = performance.now();
    this.first ||= this.last;
    this.pieces.push({ text: choice.text, tokens });
    this.tokens.push(...tokens);
  }

  figures() {
    const seconds = (this.last - this.first) / 1000;
    return {
      ttft: this.first ? `${(this.first - this.started).toFixed(0)} ms` : "–",
      rate: seconds > 0 && this.tokens.length > 1 ? ((this.tokens.length - 1) / seconds).toFixed(0) : "–",
      count: this.tokens.length || "–",
    };
  }

  show() {
    for (const [name, value] of Object.entries(this.figures())) {
      this.element.querySelector(`.${name}`).textContent = value;
    }
    const spans = []; // neighbours that are marked alike are one
    let at = 0;
    for (const { text, tokens } of this.pieces) {
      const differs = tokens.some((_, i) => this.differing.has(at + i));
      at += tokens.length;
      if (spans.at(-1)?.differs === differs) {
        spans.at(-1).text += text;
      } else {
        spans.push({ text, differs });
      }
    }
    this.element.querySelector(".text").replaceChildren(...spans.map(({ text, differs }) => {
      const node = document.createElement(differs ? "mark" : "span");
      node.textContent = text;
      return node;
    }));
  }
}

let answers = [];
let drawing = false;

function draw() {
  if (!drawing) {
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      mark();
      answers.forEach(answer => answer.show());
    });
  }
}

/** Marks what an answer and the first have not in common; of what only one has said so far, nothing is known. */
function mark() {
  const [base, ...others] = answers;
  for (const other of others) {
    const [a, b] = differences(base.tokens, other.tokens, base.done && other.done);
    other.differing = b;
    if (others.length === 1) {
      base.differing = a;
    }
  }
}

/** Positions in `a` and in `b` that are in no longest common subsequence. Unless both are whole, the rest of the longer is left out. */
function differences(a, b, whole) {
  const common = Math.min(a.length, b.length);
  const [x, y] = whole ? [a, b] : [a.slice(0, common), b.slice(0, common)];
  const length = Array.from({ length: x.length + 1 }, () => new Uint16Array(y.length + 1));
  for (let i = x.length - 1; i >= 0; i--) {
    for (let j = y.length - 1; j >= 0; j--) {
      length[i][j] = x[i] === y[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
    }
  }
  const [inA, inB] = [new Set(x.keys()), new Set(y.keys())];
  for (let i = 0, j = 0; i < x.length && j < y.length;) {
    if (x[i] === y[j]) {
      inA.delete(i++);
      inB.delete(j++);
    } else if (length[i + 1][j] >= length[i][j + 1]) {
      i++;
    } else {
      j++;
    }
  }
  return [inA, inB];
}

function summary() {
  const [base, ...others] = answers;
  return others.map(other => {
    const first = base.tokens.findIndex((token, i) => token !== other.tokens[i]);
    const same = first < 0 ? base.tokens.length : first;
    return first < 0 && base.tokens.length === other.tokens.length
      ? `${other.variant} says the same`
      : `${other.variant} says the same for ${same} tokens; ${other.differing.size} of its ${other.tokens.length} are not in ${base.variant}'s answer`;
  }).join(". ");
}

async function compare() {
  const request = {
    prompt: $("prompt").value,
    max_tokens: $("tokens").valueAsNumber,
    temperature: $("temperature").valueAsNumber,
    seed: $("seed").valueAsNumber,
    stream: true,
    logprobs: 0,
  };
  running = new AbortController();
  $("compare").disabled = true;
  $("stop").hidden = false;
  const one = answer => answer.stream(request, running.signal).then(() => { answer.done = true; });
  try {
    if (answers.length === 0) {
      await load();
    }
    say("status", "answers come");
    answers.forEach(answer => answer.clear());
    draw();
    if ($("turns").checked) {
      for (const answer of answers) {
        await one(answer);
      }
    } else {
      await Promise.all(answers.map(one));
    }
    mark();
    say("status", summary());
  } catch (error) {
    running.abort();
    say("status", error.name === "AbortError" ? "stopped" : error.message, error.name !== "AbortError");
  } finally {
    running = null;
    $("compare").disabled = false;
    $("stop").hidden = true;
    draw();
  }
  load().catch(() => {});
}

/** Shows the split, and has a place for each variant's answer. */
function show(split) {
  const names = split.shares.map(share => share.variant);
  if (names.join() !== answers.map(answer => answer.variant).join()) {
    answers = names.map(name => new Answer(name));
    $("answers").replaceChildren(...answers.map(answer => answer.element));
    $("shares").replaceChildren(...split.shares.map(share => {
      const row = $("share").content.cloneNode(true).firstElementChild;
      row.querySelector("th").textContent = share.variant;
      row.querySelector("input").setAttribute("aria-label", `weight of ${share.variant}`);
      row.querySelector("input").value = +(100 * share.share).toFixed(2);
      return row;
    }));
  }
  [...$("shares").children].forEach((row, i) => {
    row.querySelector(".part").textContent = `${+(100 * split.shares[i].share).toFixed(2)} %`;
    row.querySelector(".drawn").textContent = split.shares[i].drawn;
  });
  $("report").hidden = !split.report;
  if (split.sample_ratio.mismatch) {
    say("split-status", "What was drawn is not what the weights say; a comparison of the variants would mislead.", true);
  }
}

async function load() {
  show(await (await ask("v1/split")).json());
}

async function reweigh() {
  const rows = [...$("shares").children];
  const weights = Object.fromEntries(rows.map(row => [row.querySelector("th").textContent, row.querySelector("input").valueAsNumber]));
  try {
    const split = await (await ask("v1/split", json("PUT", { weights }))).json();
    say("split-status", "changed");
    show(split);
  } catch (error) {
    say("split-status", error.message, true);
  }
}

/** A link cannot carry a token: with one, the report is fetched, and shown in the tab that the click may open. */
async function report(click) {
  if (!headers().authorization) {
    return;
  }
  click.preventDefault();
  const tab = open();
  try {
    const html = await (await ask("v1/report")).blob();
    if (!tab) {
      throw new Error("the browser opens no new tab for the report; allow this page to");
    }
    tab.location = URL.createObjectURL(html);
  } catch (error) {
    tab?.close();
    say("status", error.message, true);
  }
}

/** Asks until the models are loaded. */
async function start() {
  try {
    await load();
    say("status", "");
  } catch (error) {
    say("status", error.message, true);
    if (error.status === 503) {
      setTimeout(start, 2000);
    }
  }
}

$("ask").addEventListener("submit", submitted => {
  submitted.preventDefault();
  if (!running) {
    compare();
  }
});
$("split").addEventListener("submit", submitted => {
  submitted.preventDefault();
  reweigh();
});
$("stop").addEventListener("click", () => running?.abort());
$("report").addEventListener("click", report);
$("token").addEventListener("change", start);
start();
