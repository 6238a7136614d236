// The viewer of flipped questions. Everything from rows and models is set as text, never as markup.
"use strict";
(() => {
  const root = document.getElementById("flips");
  if (!root) return;
  // b benchmark, t task, i number, q question, a target, u first arm better, x both sides: s score, r refused, o output
  const all = JSON.parse(document.getElementById("flip-data").textContent);
  const arms = [root.dataset.first, root.dataset.second];
  const get = (id) => document.getElementById(id);
  const [benchmark, direction, refusal, text] = ["benchmark", "direction", "refusal", "text"].map((n) => get(`f-${n}`));
  const list = get("f-list"), more = get("f-more"), count = get("f-count");
  const PAGE = 20;
  let found = all, shown = 0;

  for (const flip of all) {
    flip.key = `${flip.t}/${flip.i}`;
    flip.text = `${flip.t} ${flip.q}\n${flip.a}\n${flip.x[0].o}\n${flip.x[1].o}`.toLowerCase();
  }
  for (const name of new Set(all.map((flip) => flip.b))) benchmark.append(new Option(name, name));

  const make = (tag, name, content) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (content !== undefined) element.textContent = content;
    return element;
  };

  const said = (content, label) => {
    const box = make("div", "said", content === "" ? "(nothing)" : content);
    box.dir = "auto";
    box.tabIndex = 0;
    box.role = "group";
    box.ariaLabel = label;
    return box;
  };

  const card = (flip) => {
    const article = make("article", "flip");
    const title = make("div", "title");
    title.append(make("h3", "", `${flip.t === flip.b ? flip.b : `${flip.b} · ${flip.t}`} · question ${flip.i}`));
    const link = make("a", "", "link");
    link.href = `#q=${encodeURIComponent(flip.key)}`;
    link.ariaLabel = `Link to ${flip.t} question ${flip.i}`;
    title.append(link);
    article.append(title, said(flip.q, "Question"), make("p", "target", `Target: ${flip.a}`));
    const sides = make("div", "sides");
    flip.x.forEach((side, i) => {
      const column = make("div");
      const won = (i === 0) === flip.u;
      const verdict = side.s === 1 ? "1" : side.s === 0 ? "0" : side.s.toFixed(3);
      const declines = side.r === 1 ? ", declines" : "";
      column.append(make("h4", won ? "won" : "lost", `${won ? "▲" : "▽"} ${arms[i]}: ${verdict}${declines}`));
      column.append(said(side.o, `Answer of ${arms[i]}`));
      sides.append(column);
    });
    article.append(sides);
    return article;
  };

  const grow = () => {
    const next = found.slice(shown, shown + PAGE);
    list.append(...next.map(card));
    shown += next.length;
    more.hidden = shown >= found.length;
    more.textContent = `Show ${Math.min(PAGE, found.length - shown)} more`;
    return next.length;
  };

  const show = (flips, words) => {
    found = flips;
    shown = 0;
    list.replaceChildren();
    grow();
    count.textContent = words;
  };

  const declines = {
    "": () => true,
    first: (flip) => flip.x[0].r === 1,
    second: (flip) => flip.x[1].r === 1,
    none: (flip) => flip.x[0].r === 0 && flip.x[1].r === 0,
    unknown: (flip) => flip.x[0].r === null || flip.x[1].r === null,
  };

  const filter = () => {
    const words = text.value.toLowerCase();
    const flips = all.filter((flip) =>
      (!benchmark.value || flip.b === benchmark.value) &&
      (!direction.value || flip.u === (direction.value === "1")) &&
      declines[refusal.value](flip) &&
      (!words || flip.text.includes(words)));
    show(flips, `${flips.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} questions`);
  };

  // #q=task/number shows one question.
  const follow = () => {
    if (!location.hash.startsWith("#q=")) return false;
    let key = "";
    try { key = decodeURIComponent(location.hash.slice(3)); } catch { return false; }
    const flips = all.filter((flip) => flip.key === key);
    show(flips, flips.length ? "One question, by its link. " : "No flipped question has this link. ");
    const back = make("a", "", "Show all");
    back.href = "#flipped";
    count.append(back);
    document.getElementById("flipped").scrollIntoView();
    return true;
  };

  for (const select of [benchmark, direction, refusal]) select.addEventListener("change", filter);
  text.addEventListener("input", filter);
  root.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    const before = list.children.length;
    grow();
    // The button may be gone: go on from the first question that is new.
    list.children[before].querySelector("a").focus();
  });
  addEventListener("hashchange", () => follow() || (location.hash === "#flipped" && filter()));
  root.hidden = false;
  follow() || filter();
})();
