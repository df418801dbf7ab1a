// The table, the choice of a model, and the explorer of its plan. Labels are only ever written as text.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const find = (selector, inside = document) => inside.querySelector(selector);
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

// --- the table -----------------------------------------------------------------------------------------------------

function sortBy(table, column, descending) {
  const value = (row) => row.cells[column].dataset.value;
  const numeric = find("thead tr", table).cells[column].classList.contains("number");
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === ""); // what is missing stays last
    const order = numeric ? x - y : x.localeCompare(y);
    return descending ? -order : order;
  };
  find("tbody", table).append(...[...table.tBodies[0].rows].sort(compare));
  all("thead th", table).forEach((th, i) => {
    if (i === column) th.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else th.removeAttribute("aria-sort");
  });
}

function filterRows() {
  const text = find("#filter-text").value.trim().toLowerCase();
  const family = find("#filter-family").value;
  const choice = find("#choice").value;
  for (const table of all("table[data-choice]")) {
    table.hidden = table.dataset.choice !== choice;
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const named = row.cells[0].dataset.value.toLowerCase().includes(text);
      row.hidden = !named || (family !== "" && row.dataset.family !== family);
    }
    if (!table.hidden) find("#n-shown").textContent = `${rows.filter((r) => !r.hidden).length} of ${rows.length} models`;
  }
}

for (const table of all("table[data-choice]")) {
  all("thead th", table).forEach((th, column) => {
    find("button", th).addEventListener("click", () => {
      const before = th.getAttribute("aria-sort");
      const descending = before ? before === "ascending" : th.classList.contains("number"); // numbers: the largest first
      sortBy(table, column, descending);
    });
  });
}
find(".filters").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["#filter-text", "#filter-family", "#choice"]) find(id).addEventListener("input", filterRows);
filterRows();

// --- a plan --------------------------------------------------------------------------------------------------------

function unpack(text, width) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / width }, (_, i) =>
    width === 2 ? view.getUint16(2 * i, true) : view.getUint32(4 * i, true));
}

// Objects by category, those without one last.
const order = data.items.map((_, i) => i).sort((a, b) => {
  const [x, y] = [a, b].map((i) => (data.group[i] < 0 ? data.categories.length : data.group[i]));
  return x - y || a - b;
});
const placeOf = new Map(order.map((item, place) => [item, place]));
const label = (item) => data.items[item].replaceAll("_", " ");
const groupsOf = (item) => (data.memberships[item] ? data.memberships[item].split("; ") : []);
const nameOfGroup = (group) => (group < 0 ? "no category" : data.categories[group]);

class Explorer {
  constructor(root, model) {
    this.root = root;
    this.model = model;
    this.plans = Object.fromEntries(Object.entries(model.plans).map(([choice, plan]) => [choice, {
      k: plan.k, top: unpack(plan.top, data.width), mass: unpack(plan.mass, 2).map((m) => m / 65535),
    }]));
    this.choice = Object.keys(this.plans)[0];
    this.rows = order;
    this.item = order[0];
    this.pinned = false;
    this.build();
    this.draw();
    this.show(this.item);
  }

  build() {
    const id = this.root.parentElement.dataset.model;
    const controls = make("div", "controls");
    const add = (title, control) => {
      const element = make("label", "", title);
      element.append(control);
      controls.append(element);
      return control;
    };
    this.search = add("Find an object", make("input"));
    this.search.type = "search";
    this.search.autocomplete = "off";
    this.search.setAttribute("list", `items-of-${id}`);
    const list = make("datalist");
    list.id = `items-of-${id}`;
    // Only while it is typed in: options by the thousand would slow the page.
    this.search.addEventListener("input", () => {
      const text = this.search.value.trim().toLowerCase().replaceAll("_", " ");
      const found = text ? order.filter((i) => label(i).toLowerCase().includes(text)).slice(0, 12) : [];
      list.replaceChildren(...found.map((i) => Object.assign(make("option"), { value: label(i) })));
      this.lookUp(text);
    });
    controls.append(list);
    if (data.categories.length) {
      this.zoom = add("Rows", make("select"));
      this.zoom.append(new Option("all objects", ""));
      data.categories.forEach((name, i) => this.zoom.append(new Option(name, i)));
      if (data.group.includes(-1)) this.zoom.append(new Option("no category", -1));
      this.zoom.addEventListener("input", () => this.zoomTo(this.zoom.value));
    }
    if (Object.keys(this.plans).length > 1) {
      const pick = add("Solution", make("select"));
      pick.append(new Option("chosen without labels", "lowest_loss"), new Option("highest matching", "highest_matching"));
      pick.addEventListener("input", () => { this.choice = pick.value; this.draw(); this.show(this.item); });
    }
    this.message = make("p", "note message");
    this.message.setAttribute("aria-live", "polite");
    this.names = make("div", "names");
    this.names.setAttribute("aria-hidden", "true");
    this.canvas = make("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label",
      `Plan between ${data.human} (rows) and ${this.model.name} (columns), by category. Up and down arrows go from object to object.`);
    const map = make("div", "map");
    map.append(this.names, this.canvas);
    this.panel = make("div", "panel");
    this.panel.setAttribute("aria-live", "polite");
    const stage = make("div", "stage");
    const left = make("div");
    left.append(map, make("p", "note", `Rows: objects of ${data.human}; columns: of ${this.model.name}, in the same order. The darker, the larger ` +
      "the share of the row's mass, for its ten most probable counterparts. Point, tap or use the arrow keys; a click keeps an object, Escape lets it go."));
    stage.append(left, this.panel);
    this.root.replaceChildren(controls, this.message, stage);
    this.root.hidden = false;
    const point = (event) => this.at(event.offsetX / this.canvas.clientWidth, event.offsetY / this.canvas.clientHeight);
    this.canvas.addEventListener("pointermove", (event) => { if (!this.pinned) this.show(point(event)); });
    this.canvas.addEventListener("click", (event) => { this.show(point(event)); this.pinned = true; });
    this.canvas.addEventListener("pointerleave", () => this.mark());
    this.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 }[event.key];
      if (event.key === "Escape") this.pinned = false;
      if (!step) return;
      event.preventDefault();
      const place = Math.min(Math.max(this.rows.indexOf(this.item) + step, 0), this.rows.length - 1);
      this.pinned = true;
      this.show(this.rows[place]);
    });
    new ResizeObserver(() => { this.draw(); this.mark(); }).observe(this.canvas);
  }

  lookUp(text) {
    const exact = order.find((i) => label(i).toLowerCase() === text);
    const first = exact ?? order.find((i) => label(i).toLowerCase().startsWith(text)) ?? order.find((i) => label(i).toLowerCase().includes(text));
    this.message.textContent = text && first === undefined ? `No object is called “${text}”.` : "";
    if (!text || first === undefined) return;
    if (!this.rows.includes(first)) this.zoomTo("");
    this.pinned = true;
    this.show(first);
  }

  zoomTo(group) {
    this.zoom.value = group;
    this.rows = group === "" ? order : order.filter((i) => data.group[i] === Number(group));
    this.pinned = false;
    this.draw();
    this.show(this.rows.includes(this.item) ? this.item : this.rows[0]);
  }

  // The object pointed at: of the rows within reach of the pointer the one with most mass there, else the nearest row.
  at(x, y) {
    const { k, top, mass } = this.plans[this.choice];
    const height = this.canvas.clientHeight, n = this.rows.length;
    const exact = Math.min(Math.max(Math.floor(y * n), 0), n - 1);
    const reach = Math.ceil((3 / height) * n), wide = (5 / this.canvas.clientWidth) * data.items.length;
    let best = exact, most = 0.02;
    for (let row = Math.max(exact - reach, 0); row <= Math.min(exact + reach, n - 1); row += 1) {
      for (let j = 0; j < k; j += 1) {
        const cell = this.rows[row] * k + j;
        if (Math.abs(placeOf.get(top[cell]) - x * data.items.length) <= wide && mass[cell] > most) [best, most] = [row, mass[cell]];
      }
    }
    return this.rows[best];
  }

  draw() {
    const scale = window.devicePixelRatio || 1, size = this.canvas.clientWidth;
    if (!size) return;
    const side = Math.round(size * scale);
    this.canvas.width = this.canvas.height = side;
    this.picture = Object.assign(make("canvas"), { width: side, height: side });
    const paint = this.picture.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const colour = style.getPropertyValue("--plan"), n = data.items.length;
    const tall = side / this.rows.length, wide = side / n;
    const { k, top, mass } = this.plans[this.choice];
    const dot = (cell) => Math.max(cell, 1.5 * scale);
    this.rows.forEach((item, row) => {
      for (let j = k - 1; j >= 0; j -= 1) {
        const share = mass[item * k + j];
        if (share < 0.01) continue;
        paint.fillStyle = `rgba(${colour}, ${0.12 + 0.88 * Math.sqrt(share)})`;
        paint.fillRect(placeOf.get(top[item * k + j]) * wide, row * tall, dot(wide), dot(tall));
      }
    });
    paint.strokeStyle = style.getPropertyValue("--line");
    paint.lineWidth = 0.5 * scale;
    paint.beginPath();
    for (let place = 1; place < n; place += 1) {
      if (data.group[order[place]] === data.group[order[place - 1]]) continue;
      paint.moveTo(place * wide, 0);
      paint.lineTo(place * wide, side);
      if (this.rows === order) { paint.moveTo(0, place * wide); paint.lineTo(side, place * wide); }
    }
    paint.stroke();
    this.nameRows();
  }

  // Names beside their rows; where they would touch, the smaller category goes without.
  nameRows() {
    const height = this.canvas.clientHeight;
    const blocks = new Map();
    this.rows.forEach((item, row) => {
      const block = blocks.get(data.group[item]) ?? { first: row, count: 0 };
      block.count += 1;
      blocks.set(data.group[item], block);
    });
    const taken = [];
    const spans = [...blocks].sort((a, b) => b[1].count - a[1].count).flatMap(([group, { first, count }]) => {
      const middle = ((first + count / 2) / this.rows.length) * height;
      if (taken.some((other) => Math.abs(other - middle) < 11)) return [];
      taken.push(middle);
      const span = make("span", "", data.categories.length ? nameOfGroup(group) : "");
      span.style.top = `${middle}px`;
      return [span];
    });
    this.names.replaceChildren(...spans);
  }

  mark() {
    if (!this.picture) return;
    const paint = this.canvas.getContext("2d"), side = this.canvas.width;
    paint.clearRect(0, 0, side, side);
    paint.drawImage(this.picture, 0, 0);
    const row = this.rows.indexOf(this.item);
    if (row < 0) return;
    const style = getComputedStyle(document.documentElement);
    paint.strokeStyle = style.getPropertyValue("--mark");
    paint.lineWidth = 1.5 * (window.devicePixelRatio || 1);
    const y = ((row + 0.5) / this.rows.length) * side;
    paint.beginPath();
    paint.moveTo(0, y);
    paint.lineTo(side, y);
    paint.stroke();
    const { k, top } = this.plans[this.choice];
    for (let j = 0; j < Math.min(k, 5); j += 1) {
      paint.beginPath();
      paint.arc(((placeOf.get(top[this.item * k + j]) + 0.5) / data.items.length) * side, y, side / 110, 0, 2 * Math.PI);
      paint.stroke();
    }
  }

  show(item) {
    this.item = item;
    const { k, top, mass } = this.plans[this.choice];
    const mine = groupsOf(item);
    const list = make("ol", "counterparts");
    for (let j = 0; j < Math.min(k, 5); j += 1) {
      const other = top[item * k + j], share = mass[item * k + j];
      const own = other === item, same = groupsOf(other).some((c) => mine.includes(c));
      const line = make("div", "line");
      line.append(make("span", own ? "own" : same ? "same" : "", label(other) + (own ? " ✓ itself" : same ? " · same category" : "")),
        make("span", "", `${(100 * share).toFixed(share < 0.1 ? 2 : 1)} %`));
      const bar = make("div", "bar");
      bar.append(make("div"));
      bar.firstChild.style.width = `${100 * share}%`;
      const entry = make("li");
      entry.append(line, bar);
      list.append(entry);
    }
    const rank = Array.from({ length: k }, (_, j) => top[item * k + j]).indexOf(item);
    const where = rank < 0 ? `Itself is not among the ${k} most probable.` : `Itself is number ${rank + 1}.`;
    this.panel.replaceChildren(make("h4", "", label(item)), make("p", "of", mine.join(", ") || (data.categories.length ? "no category" : "")),
      make("p", "note", `Most probable counterparts in ${this.model.name}, share of its mass:`), list, make("p", "note", where));
    this.mark();
  }
}

// --- one model at a time -------------------------------------------------------------------------------------------

const explorers = new Map();

function showModel(name) {
  for (const article of all("article.model")) article.hidden = article.dataset.model !== name;
  find("#pick-model").value = name;
  const root = find(`article[data-model="${CSS.escape(name)}"] .explorer`);
  if (root && !explorers.has(name)) {
    root.hidden = false;
    explorers.set(name, new Explorer(root, data.models[name]));
  }
}

function followHash() {
  const name = location.hash.startsWith("#model-") ? decodeURIComponent(location.hash.slice(7)) : "";
  if (name in data.models) {
    showModel(name);
    find(`#model-${CSS.escape(name)}`).scrollIntoView();
  }
}

find("#pick-model").addEventListener("input", (event) => {
  history.replaceState(null, "", `#model-${event.target.value}`);
  showModel(event.target.value);
});
addEventListener("hashchange", followHash);
const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => explorers.forEach((explorer) => { explorer.draw(); explorer.mark(); }));
showModel(data.first);
followHash();
