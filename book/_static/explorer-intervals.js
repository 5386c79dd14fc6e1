// The explorer's intervals, computed as stilts/analysis/bootstrap.py and stilts/analysis/estimates.py do, from the
// scores and replicates that stilts/publish/explorer.py writes.
(function () {
  "use strict";
  const BASELINE = "none";
  const LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const LEVEL_OF = new Uint8Array(128);
  [...LEVELS].forEach((character, level) => (LEVEL_OF[character.charCodeAt(0)] = level));

  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const mean = (values) => sum(values) / values.length;

  function variance(values, lost = 1) {
    const centre = mean(values);
    return sum(values.map((value) => (value - centre) ** 2)) / (values.length - lost);
  }

  // Quantile of Student's t: from the table (df 1, 2, ..., infinity), beyond it by Fisher and Cornish's expansion.
  function quantile(df, table) {
    const normal = table[table.length - 1];
    if (df === Infinity) return normal;
    if (df < table.length) return table[df - 1];
    const cube = (normal ** 3 + normal) / 4;
    return normal + cube / df + (5 * normal ** 5 + 16 * normal ** 3 + 3 * normal) / (96 * df * df);
  }

  function combine(ofRows, ofSeeds, residual, freeRows, freeSeeds) {
    const seedsAlone = Math.max(ofSeeds - residual, 0);
    const rowsAlone = Math.max(ofRows - residual, 0);
    const whole = Math.max(rowsAlone + seedsAlone + residual, ofRows);
    const least = Math.min(freeRows, freeSeeds);
    const most = freeRows * freeSeeds;
    let uncertain = ofRows ** 2 / freeRows;
    if (seedsAlone) uncertain += ofSeeds ** 2 / freeSeeds + residual ** 2 / most;
    const df = uncertain ? whole ** 2 / uncertain : most;
    return { variance: whole, df: df >= most ? most : Math.max(Math.floor(df), least) };
  }

  // Interaction of rows (languages) and seeds; each row holds its deviation from the mean at each seed.
  function residualOf(deviations) {
    const rows = deviations.length;
    if (rows < 2) return 0;
    const seeds = deviations[0].length;
    const left = sum(deviations.map((row) => variance(row, 0) * seeds));
    return (left * rows) / (rows - 1) / (seeds * (seeds - 1));
  }

  function estimate(value, ofRows, freeRows, seeds, deviations, table) {
    const count = seeds ? seeds.length : 0;
    let part = { variance: ofRows, df: freeRows };
    if (count > 1) part = combine(ofRows, variance(seeds) / count, residualOf(deviations), freeRows, count - 1);
    const half = Math.sqrt(part.variance) * quantile(part.df, table);
    return { value, low: value - half, high: value + half, seeds: count };
  }

  function estimateSample(sample, table) {
    const drawn = Array.from(sample.draws).filter((value) => !isNaN(value)); // NaN where no language was drawn
    const seeds = sample.seeds && [...sample.seeds.values()];
    const deviations = seeds && [...sample.deviations.values()].map((row) => [...row.values()]);
    return estimate(sample.value, variance(drawn, 0), sample.rows.size - 1 || Infinity, seeds, deviations, table);
  }

  function add(first, second) {
    const value = first.value + second.value;
    const draws = first.draws.map((drawn, place) => drawn + second.draws[place]);
    const rows = new Set([...first.rows, ...second.rows]);
    if (!first.seeds || !second.seeds) {
      const [seeded, constant] = first.seeds ? [first, second] : [second, first];
      const moved = seeded.seeds && new Map([...seeded.seeds].map(([seed, own]) => [seed, own + constant.value]));
      return { value, draws, rows, seeds: moved, deviations: seeded.deviations };
    }
    const shared = [...first.seeds.keys()].filter((seed) => second.seeds.has(seed));
    const seeds = new Map(shared.map((seed) => [seed, first.seeds.get(seed) + second.seeds.get(seed)]));
    const at = (part, row, seed) => (part.deviations.has(row) ? part.deviations.get(row).get(seed) : 0);
    const both = new Set([...first.deviations.keys(), ...second.deviations.keys()]);
    const sums = (row) => new Map(shared.map((seed) => [seed, at(first, row, seed) + at(second, row, seed)]));
    return { value, draws, rows, seeds, deviations: new Map([...both].map((row) => [row, sums(row)])) };
  }

  // A contrast of one target: [condition, weight] pairs, with what its score file says of one metric.
  class Contrast {
    constructor(scores, metric, pairs) {
      Object.assign(this, { scores, pairs, rows: scores.metrics[metric] });
      this.columns = new Map(pairs.map(([name]) => [name, new Map()]));
      scores.runs.forEach(([name, seed], place) => this.columns.has(name) && this.columns.get(name).set(seed, place));
      // A condition without training has the seed 0 alone, and the same score for every seed of the others.
      const trained = [...this.columns.values()].filter((own) => !(own.size === 1 && own.has(0)));
      this.seeds = trained.length
        ? [...trained[0].keys()].filter((seed) => trained.every((own) => own.has(seed)))
        : null;
    }

    observed(language) {
      const row = this.rows[this.scores.languages.indexOf(language)];
      return sum(
        this.pairs.map(([name, weight]) => weight * mean([...this.columns.get(name).values()].map((at) => row[at]))),
      );
    }

    // Value of a language at each seed.
    bySeed(language, seeds = this.seeds) {
      const row = this.rows[this.scores.languages.indexOf(language)];
      const at = (own, seed) => row[own.has(seed) ? own.get(seed) : own.get(0)];
      return seeds.map((seed) => sum(this.pairs.map(([name, weight]) => weight * at(this.columns.get(name), seed))));
    }

    // Means over languages at each seed, and each language's contribution to them.
    split(languages, seeds) {
      const table = languages.map((language) => this.bySeed(language, seeds));
      const means = seeds.map((_, place) => mean(table.map((row) => row[place])));
      return {
        means,
        deviations: table.map((row) => row.map((value, place) => (value - means[place]) / table.length)),
      };
    }
  }

  function decode([low, step, levels], into, weight) {
    for (let place = 0; place < levels.length; place++)
      into[place] += weight * (low + step * LEVEL_OF[levels.charCodeAt(place)]);
  }

  // The noise of a language's items in each replicate: that of a gain, and for a score that of the baseline besides.
  function noiseOf(replicates, pairs, language) {
    const noise = new Float64Array(Object.values(replicates)[0][language][2].length);
    const [[condition, weight]] = pairs;
    decode(replicates[condition][language], noise, weight);
    if (pairs.length === 1 && condition !== BASELINE && replicates[BASELINE])
      decode(replicates[BASELINE][language], noise, weight);
    return noise;
  }

  // The mean of a contrast over languages, with languages and items resampled.
  function sampleMean(contrast, replicates, draws, languages) {
    const observed = languages.map((language) => contrast.observed(language));
    const centre = mean(observed);
    const size = draws[languages[0]].length;
    const [total, squares, drawn, count] = [0, 1, 2, 3].map(() => new Float64Array(size));
    languages.forEach((language, place) => {
      const noise = noiseOf(replicates, contrast.pairs, language);
      const times = draws[language];
      for (let at = 0; at < size; at++) {
        const often = LEVEL_OF[times.charCodeAt(at)];
        total[at] += noise[at];
        squares[at] += noise[at] ** 2;
        drawn[at] += often * (observed[place] - centre);
        count[at] += often;
      }
    });
    const many = languages.length;
    let shrinkage = 1;
    if (many > 1 && variance(observed, 0)) {
      const within = mean(Array.from(total, (own, at) => (squares[at] - own ** 2 / many) / (many - 1)));
      shrinkage = Math.sqrt(Math.max(variance(observed) - within, 0) / variance(observed, 0));
    }
    const values = total.map((own, at) => centre + (shrinkage * drawn[at]) / count[at] + own / many);
    const sample = { value: centre, draws: values, rows: new Set(languages), seeds: null, deviations: null };
    if (contrast.seeds) {
      const { means, deviations } = contrast.split(languages, contrast.seeds);
      const keyed = (row) => new Map(contrast.seeds.map((seed, place) => [seed, row[place]]));
      sample.seeds = keyed(means);
      sample.deviations = new Map(languages.map((language, place) => [language, keyed(deviations[place])]));
    }
    return sample;
  }

  // The mean of a metric without replicates: the noise of items is in the variance between languages.
  function tabulate(contrast, languages, table) {
    const seeds = contrast.seeds || [0];
    const { means, deviations } = contrast.split(languages, seeds);
    const value = mean(means);
    if (languages.length < 2) return { value, low: NaN, high: NaN, seeds: contrast.seeds ? seeds.length : 0 };
    const ofRows = variance(languages.map((language) => mean(contrast.bySeed(language, seeds)))) / languages.length;
    const found = estimate(value, ofRows, languages.length - 1, means, deviations, table);
    return { ...found, seeds: contrast.seeds ? seeds.length : 0 };
  }

  window.explorerIntervals = { Contrast, add, estimate, estimateSample, sampleMean, tabulate };
})();
