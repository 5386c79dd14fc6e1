// Tables that sort and filter, citations that show their entry, references that show their figure or table, and figures that say that they
// scroll. No other file, no other host.
(function () {
  "use strict";
  const LONG = 15; // rows from which a table gets a filter and a height of its own
  const SHORT = 18; // letters of a cell that stays on one line
  const WAIT = 200; // milliseconds that the pointer rests before a card comes or goes
  const GAP = 6; // pixels between a link and its card

  function value(cell) {
    const text = (cell ? cell.textContent : "").trim();
    const found = text.replace("\u2212", "-").replace(/,(?=\d{3})/g, "").match(/^[+-]?\d+(\.\d+)?/);
    return { text, number: found ? parseFloat(found[0]) : NaN };
  }

  function compare(a, b) {
    const bothNumbers = !isNaN(a.number) && !isNaN(b.number);
    if (bothNumbers && a.number !== b.number) return a.number - b.number;
    if (isNaN(a.number) !== isNaN(b.number)) return isNaN(a.number) ? 1 : -1;
    return a.text.localeCompare(b.text);
  }

  function sortBy(table, column) {
    const heads = [...table.tHead.rows[0].cells];
    const order = heads[column].getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => sign * compare(value(a.cells[column]), value(b.cells[column])));
    table.tBodies[0].append(...rows);
  }

  function filter(table, box) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    label.className = "table-filter";
    label.textContent = "Rows with";
    input.type = "search";
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase();
      for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
    label.append(input);
    box.before(label);
    box.classList.add("tall-table");
    box.tabIndex = 0; // a box that scrolls can be reached by keyboard
  }

  // Numbers stand at the right, a missing one (a dash) with them; short words are not broken at their hyphens.
  function align(table) {
    const rows = [...table.tBodies[0].rows];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const cells = rows.map((row) => row.cells[column]).filter(Boolean);
      const texts = cells.map((cell) => cell.textContent.trim()).filter((text) => !/^\u2013?$/.test(text));
      const numbers = texts.length && texts.every((text) => /^[+\u2212-]?\d[\d,]*(\.\d+)?\s?%?$/.test(text));
      if (numbers) [head, ...cells].forEach((cell) => cell.classList.add("number"));
      cells.forEach((cell) => cell.classList.toggle("short", cell.textContent.length <= SHORT));
    });
  }

  // pandas writes the name of an index into a row of its own.
  function joinHeads(table) {
    const [first, second] = table.tHead.rows;
    if (table.tHead.rows.length !== 2 || [...second.cells].slice(1).some((cell) => cell.textContent.trim())) return;
    first.cells[0].textContent = second.cells[0].textContent;
    second.remove();
  }

  function prepare(table) {
    if (!table.tHead || !table.tBodies.length) return;
    joinHeads(table);
    if (table.tHead.rows.length !== 1) return; // columns of several levels keep their order
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortBy(table, column));
      head.append(button);
    });
    align(table);
    if (table.tBodies[0].rows.length > LONG) filter(table, table.closest(".text_html") || table);
  }

  // Browsers repeat the head of a table on each sheet of paper, but not the buttons in it.
  function takeButtonsOut() {
    const buttons = [...document.querySelectorAll("th button")];
    const heads = buttons.map((button) => button.parentElement);
    buttons.forEach((button) => button.replaceWith(...button.childNodes));
    const putBack = () => buttons.forEach((button, place) => {
      button.append(...heads[place].childNodes);
      heads[place].append(button);
    });
    window.addEventListener("afterprint", putBack, { once: true });
  }

  // A card beside a link, while the pointer is on either of them or the link has the focus; Escape closes it.
  // `fill` puts its content in and returns the element that describes the link, or nothing where there is none to show.
  function attachCard(link, kind, fill) {
    let card = null;
    let timer = 0;
    const inTime = (act) => () => {
      clearTimeout(timer);
      timer = setTimeout(act, WAIT);
    };
    const closeByKey = (event) => event.key === "Escape" && hide();
    function show() {
      clearTimeout(timer);
      if (card) return;
      const made = document.createElement("div");
      made.className = `hover-card ${kind}`;
      const description = fill(made);
      if (!description) return;
      card = made;
      description.id = kind;
      card.setAttribute("role", "tooltip");
      link.closest("main, body").append(card); // all of a page lies in landmarks
      place(card, link);
      link.setAttribute("aria-describedby", kind);
      card.addEventListener("pointerenter", show);
      card.addEventListener("pointerleave", inTime(hide));
      document.addEventListener("keydown", closeByKey);
    }
    function hide() {
      clearTimeout(timer);
      if (card) card.remove();
      card = null;
      link.removeAttribute("aria-describedby");
      document.removeEventListener("keydown", closeByKey);
    }
    link.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && inTime(show)());
    link.addEventListener("pointerleave", inTime(hide));
    link.addEventListener("focus", () => link.matches(":focus-visible") && show()); // by keyboard, not by a finger
    link.addEventListener("blur", hide);
  }

  // Below the link, or above it where there is more room.
  function place(card, link) {
    const at = link.getBoundingClientRect();
    const left = Math.min(at.left, document.documentElement.clientWidth - card.offsetWidth - 16);
    const below = window.innerHeight - at.bottom >= Math.min(card.offsetHeight + GAP, at.top);
    const top = below ? at.bottom + GAP : at.top - card.offsetHeight - GAP;
    const origin = card.offsetParent.getBoundingClientRect();
    card.style.left = `${Math.max(left, 8) - origin.left}px`;
    card.style.top = `${top - origin.top}px`;
  }

  function citation(link) {
    const entry = link.title;
    link.removeAttribute("title"); // the browser's own tooltip would cover the card
    attachCard(link, "citation-card", (card) => {
      card.textContent = entry;
      return card;
    });
  }

  // A reference to a figure or a table of the page shows it, unless it is in view.
  function preview(link) {
    const figure = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (!figure || figure.tagName !== "FIGURE") return;
    attachCard(link, "preview-card", (card) => {
      if (isInView(figure)) return null;
      const copy = figure.cloneNode(true);
      for (const element of [copy, ...copy.querySelectorAll("[id]")]) element.removeAttribute("id");
      for (const element of copy.querySelectorAll("[tabindex]")) element.removeAttribute("tabindex");
      copy.querySelectorAll(".table-filter, .figure-links, .headerlink").forEach((element) => element.remove());
      copy.querySelectorAll("a, button").forEach((element) => element.replaceWith(...element.childNodes));
      card.classList.add("bd-article"); // for the style of figures and tables
      card.append(copy);
      return copy.querySelector("figcaption");
    });
  }

  function isInView(element) {
    const at = element.getBoundingClientRect();
    return at.height > 0 && at.top >= 0 && at.bottom <= window.innerHeight;
  }

  function findAddressed() {
    return location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  }

  // Buttons that show the cells of one tag and hide those of the others, unless the address asks for one of these.
  function prepareSwitch(box) {
    const buttons = [...box.querySelectorAll("button")];
    const cells = (button) => [...document.querySelectorAll(`.tag_${button.dataset.tag}`)];
    function choose(chosen) {
      for (const button of buttons) {
        button.setAttribute("aria-pressed", String(button === chosen));
        cells(button).forEach((cell) => cell.classList.toggle("switched-off", button !== chosen));
      }
    }
    function follow() {
      const target = findAddressed();
      const asked = target && buttons.find((button) => cells(button).some((cell) => cell.contains(target)));
      if (asked) choose(asked);
      if (asked) target.scrollIntoView();
    }
    buttons.forEach((button) => button.addEventListener("click", () => choose(button)));
    window.addEventListener("hashchange", follow);
    choose(buttons[0]);
    follow();
  }

  // A folded section opens where the address leads into it, and on paper.
  function openFolds() {
    const target = findAddressed();
    if (!target) return;
    // A section's second name is an empty element before its head.
    const around = [target, target.parentElement].map((each) => each.querySelector(":scope > details.fold"));
    for (let at = target.closest("details.fold"); at; at = at.parentElement.closest("details.fold")) around.push(at);
    const closed = around.filter((fold) => fold && !fold.open);
    closed.forEach((fold) => (fold.open = true));
    if (closed.length) target.scrollIntoView();
  }

  function openFoldsForPaper() {
    const closed = [...document.querySelectorAll("details.fold:not([open])")];
    closed.forEach((fold) => (fold.open = true));
    window.addEventListener("afterprint", () => closed.forEach((fold) => (fold.open = false)), { once: true });
  }

  // A figure in a fold has a size when that is opened.
  const widths = new ResizeObserver((seen) => {
    seen.forEach(({ target }) => target.classList.toggle("scrolls", target.scrollWidth > target.clientWidth));
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".bd-article figure").forEach((figure) => widths.observe(figure));
    window.addEventListener("hashchange", openFolds);
    window.addEventListener("beforeprint", openFoldsForPaper);
    openFolds();
    document.querySelectorAll(".switch").forEach(prepareSwitch);
    // All of a page lies in landmarks; the theme's side bar is none.
    document.querySelectorAll(".bd-sidebar-primary").forEach((bar) => {
      bar.setAttribute("role", "navigation");
      bar.setAttribute("aria-label", "Book");
    });
    // The mode's button has a text that changes; its name must hold it.
    document.querySelectorAll("button.theme-switch-button").forEach((button) => button.removeAttribute("aria-label"));
    document.querySelectorAll("table.sortable, .cell_output table.dataframe").forEach(prepare);
    window.addEventListener("beforeprint", takeButtonsOut);
    document.querySelectorAll("a.reference.internal[title][href*='#id']").forEach(citation);
    document.querySelectorAll("a.reference.internal[href^='#']:has(.std-numref)").forEach(preview);
  });
})();
