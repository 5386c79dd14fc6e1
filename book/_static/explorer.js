// The explorer: a matrix, the languages of one of its cells, and what a model answered in one of them. It is drawn in
// the element `.explorer`; `stilts/publish/explorer.py` writes its data and says what they hold. No other host.
(function () {
  "use strict";
  const SOURCE = "en";
  const BASELINE = "none";
  const LAYER = "layer_";
  const MEAN = "mean"; // in place of a target, in rows of the table
  const METRICS = { score: "score of each task", exact_match: "exact match", token_accuracy: "token accuracy" };

  const { Contrast, add, estimate, estimateSample, sampleMean, tabulate } = window.explorerIntervals;

  // --- Small helpers -------------------------------------------------------------------------------------------------

  function make(tag, settings = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(settings)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "key") element.dataset.key = value;
      else if (name === "mix") element.style.setProperty("--mix", value);
      else if (value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  const percent = (share) => `${(100 * share).toFixed(2)}%`;

  function format(value, sign) {
    if (value === undefined || isNaN(value)) return "\u2013";
    const text = value.toFixed(1).replace(/^-0\.0$/, "0.0");
    return (sign && parseFloat(text) > 0 ? "+" : "") + text.replace("-", "\u2212");
  }

  const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

  const capital = (text) => text[0].toUpperCase() + text.slice(1);

  function csv(rows) {
    const cell = (value) => (/[",\n]/.test(value) ? `"${String(value).replace(/"/g, '""')}"` : value);
    return rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Not every browser lets a page that was opened from disk write to the clipboard this way.
      const area = make("textarea", { "aria-hidden": "true" });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  }

  // --- The page ------------------------------------------------------------------------------------------------------

  class Explorer {
    constructor(root) {
      this.root = root;
      this.studies = JSON.parse(root.dataset.studies);
      this.loading = new Map();
      this.estimates = new Map();
      this.tip = make("div", { class: "tip", role: "tooltip", hidden: true });
      this.status = make("p", { class: "status", role: "status" });
      this.parts = Object.fromEntries(
        ["controls", "matrix", "dots", "examples", "rows"].map((name) => [name, make("section", { class: name })]),
      );
      root.replaceChildren(...Object.values(this.parts), this.status, this.tip);
      root.addEventListener("mouseover", (event) => this.showTip(event.target.closest("[data-tip]")));
      root.addEventListener("focusin", (event) => this.showTip(event.target.closest("[data-tip]")));
      root.addEventListener("mouseleave", () => this.showTip(null));
      root.addEventListener("focusout", () => this.showTip(null));
      root.addEventListener("keydown", (event) => this.move(event));
      window.addEventListener("hashchange", () => this.restore());
      this.restore();
    }

    // Data that are not there are loaded, and what needs them is drawn again when they have come.
    need(...names) {
      const data = window.explorerData || {};
      for (const name of names.filter((wanted) => !(wanted in data) && !this.loading.has(wanted))) {
        const source = `${this.root.dataset.folder}/${encodeURIComponent(name)}.js?v=${this.root.dataset.version}`;
        this.loading.set(name, source);
        const done = () => (clearTimeout(this.waiting), (this.waiting = setTimeout(() => this.draw(), 20)));
        const failed = () => (this.status.textContent = `${source} cannot be loaded.`);
        document.head.append(make("script", { src: source, onload: done, onerror: failed }));
      }
      return names.every((name) => name in data) ? names.map((name) => data[name]) : null;
    }

    // --- State: what the reader chose stands in the address ---

    restore() {
      const given = location.hash.includes("=") ? new URLSearchParams(location.hash.slice(1)) : [];
      this.state = Object.fromEntries(given);
      this.draw();
    }

    choose(changes, focus) {
      const kept = Object.entries({ ...this.state, ...changes }).filter(([, value]) => value);
      this.state = Object.fromEntries(kept);
      const query = new URLSearchParams(this.state).toString();
      history[focus ? "pushState" : "replaceState"](
        null,
        "",
        query ? `#${query}` : location.pathname + location.search,
      );
      this.draw();
      if (focus) this.focus(focus);
    }

    focus(part) {
      const heading = this.parts[part].querySelector("h2");
      heading.focus({ preventScroll: true });
      heading.scrollIntoView({ block: "start" });
    }

    get study() {
      const names = this.studies.map((study) => study.name);
      return names.includes(this.state.study) ? this.state.study : names[0];
    }

    pick(name, known, fallback) {
      return known.includes(this.state[name]) ? this.state[name] : fallback;
    }

    // All that was chosen, where what the address lacks or gets wrong is what a first visit shows.
    settle() {
      const targets = Object.keys(this.about.targets);
      const conditions = Object.keys(this.about.conditions);
      const measure = this.pick("measure", ["score"], "gain");
      const offered = conditions.filter((name) => measure === "score" || name !== BASELINE);
      const metrics = [...new Set(Object.values(this.about.targets).flatMap((target) => target.metrics))];
      const metric = this.pick("metric", metrics, "score");
      const shown = targets.filter((target) => this.about.targets[target].metrics.includes(metric));
      const target = this.pick("target", shown, shown[0]);
      const usual = offered.includes("multi") ? "multi" : offered[offered.length - 1];
      const condition = this.pick("condition", offered, usual);
      this.now = { measure, metric, metrics, target, condition, shown, offered, sign: measure === "gain" };
      this.now.chosen = this.listChosen(); // none, if the address names a family or a script that no language has
      this.now.language = this.pick("language", this.about.targets[target].languages, "");
    }

    listChosen() {
      const others = Object.keys(this.about.languages).filter((code) => code !== SOURCE);
      if (this.state.languages) {
        const wanted = this.state.languages.split(",");
        return others.filter((code) => wanted.includes(code));
      }
      const { family, script } = this.state;
      return others.filter((code) =>
        [family, script].every((wanted, place) => !wanted || this.about.languages[code][place + 1] === wanted),
      );
    }

    // --- Numbers ---

    pairs(condition, measure, factor = 1) {
      return measure === "gain"
        ? [
            [condition, factor],
            [BASELINE, -factor],
          ]
        : [[condition, factor]];
    }

    others(target) {
      return this.about.targets[target].languages.filter((code) => code !== SOURCE);
    }

    members(target) {
      return this.others(target).filter((code) => this.now.chosen.includes(code));
    }

    isWhole(target) {
      return this.members(target).length === this.others(target).length;
    }

    remember(key, compute) {
      const whole = [this.study, this.now.measure, this.now.metric, this.now.chosen.join(), ...key].join("|");
      if (!this.estimates.has(whole)) {
        const found = compute();
        if (found === null) return null;
        this.estimates.set(whole, found);
      }
      return this.estimates.get(whole);
    }

    // Mean over the chosen languages; null while its data are loaded, undefined if there is nothing to average.
    cell(target, condition) {
      const { measure, metric } = this.now;
      const languages = this.members(target);
      if (!languages.length || !this.hasRuns(target, condition)) return undefined;
      const known = this.about.cells[target][condition][measure];
      if (metric === "score" && this.isWhole(target)) return this.unpack(known);
      return this.remember([target, condition], () => {
        if (metric === "score") return this.sum([target], condition);
        const data = this.need(`${this.study}.${target}`);
        return (
          data &&
          tabulate(new Contrast(data[0], metric, this.pairs(condition, measure)), languages, this.about.quantiles)
        );
      });
    }

    sum(targets, condition) {
      const data = targets.map((target) =>
        this.need(`${this.study}.draws`, `${this.study}.${target}`, `${this.study}.${target}.replicates`),
      );
      if (data.includes(null)) return null;
      const samples = data.map(([draws, scores, replicates], place) => {
        const contrast = new Contrast(scores, "score", this.pairs(condition, this.now.measure, 1 / targets.length));
        return sampleMean(contrast, replicates, draws, this.members(targets[place]));
      });
      return estimateSample(samples.reduce(add), this.about.quantiles);
    }

    unpack([value, low, high, seeds]) {
      return { value, low, high, seeds };
    }

    hasRuns(target, condition) {
      const own = this.about.cells[target][condition];
      return Boolean(own && own[this.now.measure]);
    }

    // Targets that a mean counts: those that count under a condition, in which a chosen language is tested.
    counted(condition) {
      const own = this.about.means[condition];
      return own ? own.targets.filter((target) => this.members(target).length && this.hasRuns(target, condition)) : [];
    }

    average(condition) {
      const targets = this.counted(condition);
      if (!targets.length) return undefined;
      const own = this.about.means[condition];
      if (targets.length === own.targets.length && targets.every((target) => this.isWhole(target)))
        return this.unpack(own[this.now.measure]);
      return this.remember(["mean", condition], () => this.sum(targets, condition));
    }

    ofLanguage(scores, language) {
      const { measure, metric, condition } = this.now;
      const contrast = new Contrast(scores, metric, this.pairs(condition, measure));
      const value = contrast.observed(language);
      const seeds = contrast.seeds && contrast.bySeed(language);
      const ofRows = metric === "score" ? scores.noise[condition][measure][scores.languages.indexOf(language)] : NaN;
      const found = estimate(value, ofRows, Infinity, seeds, [], this.about.quantiles);
      const before =
        condition === BASELINE || !this.about.cells[this.now.target][BASELINE]
          ? NaN
          : new Contrast(scores, metric, [[BASELINE, 1]]).observed(language);
      return { ...found, before, after: new Contrast(scores, metric, [[condition, 1]]).observed(language) };
    }

    whyNotCounted(target, condition) {
      const { uncounted } = this.about.targets[target];
      return uncounted[condition] || uncounted[BASELINE];
    }

    // --- Words ---

    get unit() {
      return this.now.sign ? "points" : "percent";
    }

    describe(found) {
      if (found === null) return "is being computed";
      if (found === undefined) return "none of the chosen languages";
      const [value, low, high] = [found.value, found.low, found.high].map((number) => format(number, this.now.sign));
      return isNaN(found.low) ? `${value} ${this.unit}` : `${value} ${this.unit} (${low} to ${high})`;
    }

    describeSeeds(found) {
      return found.seeds ? plural(found.seeds, "seed") : "no training, and so no seed";
    }

    get metricTitle() {
      const { metric, target } = this.now;
      if (metric === "score") return this.about.targets[target].metric;
      return metric.startsWith(LAYER)
        ? `retrieval accuracy after layer ${metric.slice(LAYER.length)}`
        : METRICS[metric];
    }

    // --- Drawing ---

    draw() {
      const found = this.need(this.study);
      if (found) this.drawStudy(found[0]);
      this.root.setAttribute(
        "aria-busy",
        [...this.loading.keys()].some((name) => !(name in (window.explorerData || {}))),
      );
    }

    drawStudy(about) {
      this.about = about;
      this.settle();
      const key = document.activeElement && document.activeElement.dataset.key;
      this.drawControls();
      this.drawMatrix();
      this.drawDots();
      this.drawExamples();
      this.drawRows();
      this.showTip(null);
      const again = key && this.root.querySelector(`[data-key="${CSS.escape(key)}"]`);
      if (again && again !== document.activeElement) again.focus({ preventScroll: true });
    }

    // A key is what an element that has the focus is found by when its part is drawn again.
    title(part, text) {
      return make("h2", { tabindex: -1, key: `title ${part}` }, text);
    }

    select(label, name, options, value, extra = {}, key = name) {
      const change = (event) => this.choose({ [name]: event.target.value, ...extra });
      const box = make("select", { key, onchange: change });
      for (const [own, text] of options) box.append(make("option", { value: own, selected: own === value }, text));
      return make("label", {}, make("span", {}, label), box);
    }

    // Controls are made anew only where what they offer or hold has changed, so that an open list stays open.
    drawControls() {
      const { measure, metric, metrics, target, condition, shown, offered, chosen } = this.now;
      const held = JSON.stringify([this.study, this.state, target, condition]);
      if (held === this.held) return;
      this.held = held;
      const layers = metrics.filter((name) => name.startsWith(LAYER));
      const named = metrics.filter((name) => !name.startsWith(LAYER)).map((name) => [name, METRICS[name]]);
      if (layers.length) named.push([layers[layers.length - 1], "retrieval by layer"]);
      const atLayer = metric.startsWith(LAYER);
      const title = (of) => (name) => [name, of[name].title || of[name]];
      const ofStudy = ["metric", "target", "condition", "language", "languages", "family", "script", "seed"];
      const fresh = Object.fromEntries(ofStudy.map((name) => [name, ""]));
      const count = (place) => {
        const found = {};
        for (const [code, facts] of Object.entries(this.about.languages))
          if (code !== SOURCE) found[facts[place]] = (found[facts[place]] || 0) + 1;
        return [
          ["", "all"],
          ...Object.keys(found)
            .sort()
            .map((name) => [name, `${name} (${found[name]})`]),
        ];
      };
      const open = this.root.querySelector("details.languages")?.open;
      this.parts.controls.replaceChildren(
        ...[
          this.select(
            "Study",
            "study",
            this.studies.map((study) => [study.name, study.title]),
            this.study,
            fresh,
          ),
          this.select(
            "Show",
            "measure",
            [
              ["gain", "gain over none"],
              ["score", "score"],
            ],
            measure,
          ),
          this.select("Metric", "metric", named, atLayer ? layers[layers.length - 1] : metric),
          atLayer
            ? this.select(
                "Retrieval layer",
                "metric",
                layers.map((name) => [name, name.slice(LAYER.length)]),
                metric,
                {},
                "layer",
              )
            : null,
          this.select("Target task", "target", shown.map(title(this.about.targets)), target, { language: "" }),
          this.select("Intermediate task", "condition", offered.map(title(this.about.conditions)), condition),
          this.select("Family", "family", count(1), this.state.languages ? "" : this.state.family || "", {
            languages: "",
          }),
          this.select("Script", "script", count(2), this.state.languages ? "" : this.state.script || "", {
            languages: "",
          }),
          this.makeCheckboxes(chosen, open),
        ].filter(Boolean),
      );
    }

    makeCheckboxes(chosen, open) {
      const every = Object.keys(this.about.languages).filter((code) => code !== SOURCE);
      const byHand = (codes) => this.choose({ languages: codes.length ? codes.join() : "-", family: "", script: "" });
      const change = (code) => (event) =>
        byHand(every.filter((other) => (other === code ? event.target.checked : chosen.includes(other))));
      const sorted = [...every].sort((a, b) => this.about.languages[a][0].localeCompare(this.about.languages[b][0]));
      const boxes = sorted.map((code) =>
        make(
          "label",
          {},
          make("input", {
            type: "checkbox",
            value: code,
            key: `language-${code}`,
            checked: chosen.includes(code),
            onchange: change(code),
          }),
          ` ${this.about.languages[code][0]}`,
        ),
      );
      const buttons = [
        make(
          "button",
          { type: "button", key: "all", onclick: () => this.choose({ languages: "", family: "", script: "" }) },
          "All",
        ),
        make("button", { type: "button", key: "no", onclick: () => byHand([]) }, "None"),
      ];
      const summary = make("summary", { key: "languages" }, `Languages: ${chosen.length} of ${every.length} chosen`);
      return make(
        "details",
        { class: "languages", open },
        summary,
        make("p", { class: "buttons" }, ...buttons),
        make("div", { class: "boxes" }, ...boxes),
      );
    }

    drawMatrix() {
      const { shown, offered, metric, sign } = this.now;
      const cells = offered.map((condition) => shown.map((target) => this.cell(target, condition)));
      const counts = (value, row, column) => value && !this.whyNotCounted(shown[column], offered[row]);
      const values = cells.flatMap((row, at) =>
        row.filter((found, column) => counts(found, at, column)).map((found) => Math.abs(found.value)),
      );
      const top = sign ? Math.max(5, ...values) : 100;
      const means = metric === "score";
      const head = make("tr", {}, make("th", { scope: "col" }, "Intermediate task"));
      for (const target of shown) {
        const mark = this.whyNotCounted(target, BASELINE) ? " \u2020" : "";
        head.append(
          make(
            "th",
            { scope: "col" },
            this.about.targets[target].title + mark,
            make("small", {}, plural(this.members(target).length, "language")),
          ),
        );
      }
      if (means) head.append(make("th", { scope: "col", class: "mean" }, "Mean", make("small", {}, "targets that count")));
      const body = offered.map((condition, at) => {
        const row = make("tr", {}, make("th", { scope: "row" }, this.about.conditions[condition]));
        shown.forEach((target, column) =>
          row.append(make("td", {}, this.makeCell(target, condition, cells[at][column], top))),
        );
        if (means) row.append(this.makeMean(condition));
        return row;
      });
      const marked = offered.some((condition) => shown.some((target) => this.whyNotCounted(target, condition)));
      this.parts.matrix.replaceChildren(
        this.title("matrix", `${sign ? "Gain" : "Score"} by intermediate task and target task`),
        make(
          "div",
          { class: "box" },
          make(
            "table",
            { role: "grid", "aria-label": "Matrix of intermediate tasks and target tasks" },
            make("thead", {}, head),
            make("tbody", {}, ...body),
          ),
        ),
        make(
          "p",
          { class: "note" },
          `Mean over ${plural(this.now.chosen.length, "language")} in ${this.unit}, and its 95 % interval. ` +
            (sign ? "Framed and bold: the interval excludes zero. " : "") +
            (marked ? "\u2020 In no mean: not learned in English, or no room for an effect; the cell says which. " : "") +
            "Arrow keys move, Enter shows the languages.",
        ),
      );
    }

    makeCell(target, condition, found, top) {
      const { sign } = this.now;
      const why = this.whyNotCounted(target, condition);
      const size = this.members(target).length;
      const title = `${this.about.conditions[condition]} \u2192 ${this.about.targets[target].title}`;
      const most = this.about.targets[target].examples;
      const basis = found
        ? `; ${plural(size, "language")} of up to ${most} examples, ${this.describeSeeds(found)}`
        : "";
      const text = `${title}: ${this.describe(found)}${basis}${why ? `. Not counted: ${why}` : ""}`;
      const current = target === this.now.target && condition === this.now.condition;
      const clear = found && sign && (found.low > 0 || found.high < 0) && !why;
      const kinds = [found && (!sign ? "score" : found.value < 0 ? "down" : "up"), why && "pale", clear && "clear"]
        .filter(Boolean)
        .join(" ");
      const settings = {
        type: "button",
        class: kinds,
        key: `cell ${target} ${condition}`,
        tabindex: current ? 0 : -1,
        "data-tip": text,
        "aria-description": text,
        "aria-current": current && "true",
        mix: `${found ? Math.min(1, Math.abs(found.value) / top) * 55 : 0}%`,
        onclick: () => this.choose({ target, condition, language: "", table: "languages" }, "dots"),
      };
      return make("button", settings, ...this.showNumbers(found, why ? "\u2020" : ""));
    }

    showNumbers(found, mark) {
      const { sign } = this.now;
      if (!found) return [found === null ? "\u2026" : "\u2013"];
      const ends = isNaN(found.low) ? "" : `${format(found.low, sign)} to ${format(found.high, sign)}`;
      return [make("span", {}, format(found.value, sign) + mark), make("small", {}, ends)];
    }

    makeMean(condition) {
      const found = this.average(condition);
      const targets = `${plural(this.counted(condition).length, "target")} that count`;
      const text = `${this.about.conditions[condition]}, mean of ${targets}: ${this.describe(found)}`;
      return make("td", { class: "mean", "data-tip": text }, ...this.showNumbers(found, ""));
    }

    // Languages of the chosen cell with their estimates, in the order that was chosen; null while they are loaded.
    listLanguages() {
      const { target, condition } = this.now;
      const data = this.hasRuns(target, condition) && this.need(`${this.study}.${target}`);
      if (!data) return null;
      const own = this.about.targets[target].languages.filter(
        (code) => code === SOURCE || this.now.chosen.includes(code),
      );
      const rows = own.map((code) => {
        const [name, family, script] = this.about.languages[code];
        return {
          code,
          name,
          family,
          script,
          examples: data[0].examples[data[0].languages.indexOf(code)],
          ...this.ofLanguage(data[0], code),
        };
      });
      const order = {
        name: () => 0,
        family: (a, b) => a.family.localeCompare(b.family),
        "": (a, b) => b.value - a.value,
      };
      return rows.sort(
        (a, b) => order[this.pick("sort", ["name", "family"], "")](a, b) || a.name.localeCompare(b.name),
      );
    }

    drawDots() {
      const { target, condition, sign } = this.now;
      const title = `${this.about.conditions[condition]} \u2192 ${this.about.targets[target].title}, by language`;
      const heading = this.title("dots", title);
      const rows = this.listLanguages();
      if (!rows) {
        const missing = this.hasRuns(target, condition)
          ? "Loading\u2026"
          : "This intermediate task was not run for this target.";
        this.parts.dots.replaceChildren(heading, make("p", { class: "note" }, missing));
        return;
      }
      const whole = this.cell(target, condition);
      const ends = [...rows, ...(whole ? [whole] : [])]
        .flatMap((row) => [row.value, row.low, row.high])
        .filter((end) => !isNaN(end));
      const low = sign ? Math.min(0, ...ends) : Math.max(0, Math.min(...ends));
      const high = sign ? Math.max(0, ...ends) : Math.min(100, Math.max(...ends));
      const at = (value) => percent((Math.min(Math.max(value, low), high) - low) / (high - low || 1));
      const current = rows.some((row) => row.code === this.now.language)
        ? this.now.language
        : rows.length && rows[0].code;
      const list = make("ol", {}, ...rows.map((row) => make("li", {}, this.makeDot(row, at, row.code === current))));
      const seeds = whole ? `, ${this.describeSeeds(whole)}` : "";
      const average = `Mean of ${plural(this.members(target).length, "language")}: ${this.describe(whole)}${seeds}`;
      const why = this.whyNotCounted(target, condition);
      this.parts.dots.replaceChildren(
        heading,
        make("p", { class: "note" }, `${capital(this.metricTitle)}. ${average}.${why ? ` Not counted: ${why}.` : ""}`),
        this.select(
          "Order",
          "sort",
          [
            ["", sign ? "by gain" : "by score"],
            ["name", "by name"],
            ["family", "by family"],
          ],
          this.pick("sort", ["name", "family"], ""),
        ),
        this.makeAxis(low, high, at),
        list,
        make(
          "p",
          { class: "note" },
          "Point: the language; line: its 95 % interval over examples and seeds. Press one to see what was predicted.",
        ),
      );
    }

    makeAxis(low, high, at) {
      const step = [1, 2, 5, 10, 20, 25, 50, 100].find((size) => (high - low) / size <= 5);
      const first = Math.ceil(low / step);
      const ticks = Array.from({ length: Math.floor(high / step) - first + 1 }, (_, place) => (first + place) * step);
      const marks = ticks.map((tick) => {
        const mark = make("span", {}, format(tick, this.now.sign).replace(/\.0$/, ""));
        mark.style.left = at(tick);
        return mark;
      });
      return make(
        "div",
        { class: "axis", "aria-hidden": "true" },
        make("span", {}),
        make("div", {}, ...marks),
        make("span", {}),
      );
    }

    makeDot(row, at, current) {
      const { sign, condition } = this.now;
      const line = make("span", { class: "line" });
      if (!isNaN(row.low)) Object.assign(line.style, { left: at(row.low), right: `calc(100% - ${at(row.high)})` });
      const dot = make("span", { class: "dot" });
      dot.style.left = at(row.value);
      const zero = make("span", { class: "zero" });
      zero.style.left = at(0);
      const source = row.code === SOURCE ? ", the training language, not in the mean" : "";
      const change = sign ? `; score ${format(row.before)} without, ${format(row.after)} with` : "";
      const basis = `${plural(row.examples, "example")}, ${this.describeSeeds(row)}`;
      const text = `${row.name} (${row.family}, ${row.script}${source}): ${this.describe(row)}, ${basis}${change}`;
      const settings = {
        type: "button",
        key: `dot ${row.code}`,
        "data-tip": text,
        "aria-label": text,
        tabindex: current ? 0 : -1,
        "aria-current": row.code === this.now.language && "true",
        class: row.code === SOURCE ? "source" : false,
        onclick: () => this.choose({ target: this.now.target, condition, language: row.code }, "examples"),
      };
      const clear = sign && (row.low > 0 || row.high < 0) ? " clear" : "";
      return make(
        "button",
        settings,
        make("span", { class: "name" }, row.name),
        make("span", { class: `plot${clear}` }, sign ? zero : null, line, dot),
        make("span", { class: "value" }, format(row.value, sign)),
      );
    }

    // --- Predictions ---

    // What a run predicted in the chosen language: example number -> text and share that is right.
    readPredictions(data, seed) {
      const place = Math.max(0, data.seeds.indexOf(seed));
      const own = data.languages[this.now.language];
      const shares = own.shares[place].split(";");
      const texts = own.predictions[place].split(";").map(
        (text) =>
          text &&
          text
            .split(" ")
            .map((number) => data.words[number])
            .join(" "),
      );
      return new Map(
        own.examples.map((example, at) => [
          example,
          { text: texts[at] || "", share: shares[at] === "" ? NaN : Number(shares[at]) },
        ]),
      );
    }

    drawExamples() {
      const { target, condition, language } = this.now;
      const part = this.parts.examples;
      if (!language) {
        part.replaceChildren(
          this.title("examples", "Predictions"),
          make("p", { class: "note" }, "Press a language above to see what was predicted in it."),
        );
        return;
      }
      const runs = [...new Set([BASELINE, condition])].filter((name) => this.about.cells[target][name]);
      const heading = this.title(
        "examples",
        `Predictions in ${this.about.languages[language][0]}: ${this.about.targets[target].title}`,
      );
      const data = this.need(...runs.map((name) => `${this.study}.${target}.${name}`));
      if (!data) {
        part.replaceChildren(heading, make("p", { class: "note" }, "Loading\u2026"));
        return;
      }
      const seeds = data[data.length - 1].seeds;
      const seed = Number(this.pick("seed", seeds.map(String), String(seeds[0])));
      const columns = data.map((own) => this.readPredictions(own, seed));
      const differ = this.state.differ && columns.length > 1;
      const changed = (example) => columns[0].get(example).text !== columns[1].get(example).text;
      const kept = [...columns[0].keys()].filter((example) => !differ || changed(example));
      const head = make(
        "tr",
        {},
        make("th", { scope: "col" }, "Example"),
        ...runs.map((name) => make("th", { scope: "col" }, this.about.conditions[name])),
      );
      const body = kept.map((example) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, String(example)),
          ...columns.map((own) => this.makeVerdict(own.get(example))),
        ),
      );
      const toggle = make("input", {
        type: "checkbox",
        key: "differ",
        checked: Boolean(differ),
        onchange: (event) => this.choose({ differ: event.target.checked ? "1" : "" }),
      });
      part.replaceChildren(
        heading,
        make(
          "p",
          { class: "note" },
          `${plural(kept.length, "example")} of ${columns[0].size}. ` +
            "Records keep predictions and how much of each is right, not the texts themselves.",
        ),
        make(
          "div",
          { class: "choices" },
          seeds.length > 1
            ? this.select(
                "Seed",
                "seed",
                seeds.map((own) => [String(own), String(own)]),
                String(seed),
              )
            : null,
          columns.length > 1 ? make("label", {}, toggle, " only where the two differ") : null,
        ),
        make(
          "div",
          { class: "box tall", tabindex: 0, role: "region", "aria-label": "Predictions" },
          make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)),
        ),
      );
    }

    makeVerdict({ text, share }) {
      const word = isNaN(share)
        ? "nothing to find"
        : share === 100
          ? "right"
          : share === 0
            ? "wrong"
            : `${share} % right`;
      return make("td", { class: share < 100 ? "wrong" : "right" }, make("small", {}, word), text || "(no answer)");
    }

    // --- The table, and what can be copied ---

    // Rows of the table: of the matrix, or of the languages of its chosen cell. Numbers keep their digits.
    tabulate() {
      const { target, condition, measure, metric, shown, offered } = this.now;
      const number = (value) => (value === undefined || isNaN(value) ? "" : value.toFixed(4));
      const ends = (found) => [found.value, found.low, found.high].map(number);
      if (this.pick("table", ["languages"], "") === "languages") {
        const rows = (this.listLanguages() || []).map((row) => [
          condition,
          target,
          metric,
          row.code,
          row.name,
          row.family,
          row.script,
          ...ends(row),
          row.examples,
          row.seeds,
        ]);
        return {
          head: [
            "condition",
            "target",
            "metric",
            "code",
            "language",
            "family",
            "script",
            measure,
            "low",
            "high",
            "examples",
            "seeds",
          ],
          rows,
          hidden: 4,
        };
      }
      const rows = offered.flatMap((name) =>
        shown
          .filter((own) => this.cell(own, name))
          .map((own) => {
            const found = this.cell(own, name);
            return [
              name,
              own,
              metric,
              ...ends(found),
              this.members(own).length,
              found.seeds,
              this.whyNotCounted(own, name) ? "no" : "yes",
            ];
          }),
      );
      for (const name of metric === "score" ? offered : []) {
        const found = this.average(name);
        if (found) rows.push([name, MEAN, metric, ...ends(found), this.now.chosen.length, found.seeds, "yes"]);
      }
      return {
        head: ["condition", "target", "metric", measure, "low", "high", "languages", "seeds", "counts"],
        rows,
        hidden: 0,
      };
    }

    drawRows() {
      const { head, rows, hidden } = this.tabulate();
      const texts = ["condition", "target", "metric", "code", "language", "family", "script", "counts"];
      const attributes = (name) => ({ class: texts.includes(name) ? false : "number" });
      const names = head
        .map((name, place) => [name, place])
        .filter(([name, place]) => place >= hidden && name !== "metric");
      const titles = names.map(([name]) => make("th", { scope: "col", ...attributes(name) }, name));
      const show = (row) =>
        make("tr", {}, ...names.map(([name, place]) => make("td", attributes(name), this.showEntry(name, row[place]))));
      const table = make(
        "table",
        {},
        make("thead", {}, make("tr", {}, ...titles)),
        make("tbody", {}, ...rows.map(show)),
      );
      const say = (text) => (this.status.textContent = text);
      const copyRows = () => copy(csv([head, ...rows])).then(() => say(`Copied ${plural(rows.length, "row")} as CSV.`));
      const copyAddress = () => copy(location.href).then(() => say("Copied the address of this view."));
      const kinds = [
        ["", "cells of the matrix"],
        ["languages", "languages of the chosen cell"],
      ];
      this.parts.rows.replaceChildren(
        this.title("rows", "Table"),
        make(
          "div",
          { class: "choices" },
          this.select("Rows", "table", kinds, this.pick("table", ["languages"], "")),
          make("button", { type: "button", key: "csv", onclick: copyRows }, "Copy as CSV"),
          make("button", { type: "button", key: "address", onclick: copyAddress }, "Copy the address"),
        ),
        make("div", { class: "box tall", tabindex: 0, role: "region", "aria-label": "Table" }, table),
      );
    }

    showEntry(name, value) {
      if (name === "condition") return this.about.conditions[value];
      if (name === "target") return value === MEAN ? "Mean of targets that count" : this.about.targets[value].title;
      return [this.now.measure, "low", "high"].includes(name)
        ? format(parseFloat(value), this.now.sign)
        : String(value);
    }

    // --- Keyboard and pointer ---

    move(event) {
      if (event.key === "Escape") this.showTip(null);
      const steps = {
        ArrowUp: [-1, 0],
        ArrowDown: [1, 0],
        ArrowLeft: [0, -1],
        ArrowRight: [0, 1],
        Home: [0, -99],
        End: [0, 99],
      };
      const button = event.target.closest(".matrix td button, .dots li button");
      if (!button || !steps[event.key]) return;
      event.preventDefault();
      const [down, right] = steps[event.key];
      const lines = [...this.root.querySelectorAll(button.closest("li") ? ".dots li" : ".matrix tbody tr")].map(
        (line) => [...line.querySelectorAll("button")],
      );
      const row = lines.findIndex((line) => line.includes(button));
      const clamp = (place, list) => list[Math.min(Math.max(place, 0), list.length - 1)];
      const next = clamp(lines[row].indexOf(button) + right, clamp(row + down, lines));
      lines.flat().forEach((other) => (other.tabIndex = other === next ? 0 : -1));
      next.focus();
    }

    showTip(element) {
      this.tip.hidden = !element;
      if (!element) return;
      this.tip.textContent = element.dataset.tip;
      const [own, all] = [element.getBoundingClientRect(), this.root.getBoundingClientRect()];
      const left = Math.min(own.left - all.left, all.width - this.tip.offsetWidth);
      Object.assign(this.tip.style, { left: `${Math.max(left, 0)}px`, top: `${own.bottom - all.top + 4}px` });
    }
  }

  document.addEventListener("DOMContentLoaded", () =>
    document.querySelectorAll(".explorer[data-studies]").forEach((root) => new Explorer(root)),
  );
})();
