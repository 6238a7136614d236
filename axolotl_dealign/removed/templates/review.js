// Review of removed rows. Everything from rows is set as text, never as markup.
"use strict";
(() => {
  // h hash, d place, k kind, s score, c action, w why, p prompt, a [before, match, after], r the whole row
  const all = JSON.parse(document.getElementById("data").textContent);
  const get = (id) => document.getElementById(id);
  const [kind, order, judged, text] = ["kind", "order", "judged", "text"].map(get);
  const card = get("card");
  let found = [], at = 0;

  // By content hash, so that a page made again from the same data goes on where this one stopped.
  const KEY = "axolotl-dealign review";
  let verdicts = {};
  try { verdicts = JSON.parse(localStorage.getItem(KEY)) || {}; } catch { /* no storage here: until the page closes */ }
  const remember = () => { try { localStorage.setItem(KEY, JSON.stringify(verdicts)); } catch { /* as above */ } };

  for (const row of all) row.text = `${row.p}\n${row.a.join("")}`.toLowerCase();
  for (const name of new Set(all.map((row) => row.k))) kind.append(new Option(name, name));
  const surest = (row) => row.s === null ? -1 : row.s;

  const count = (verdict) => all.filter((row) => verdicts[row.h] === verdict && (verdict === "wrong" || row.c === "removed"));

  const show = () => {
    const row = found[at];
    card.hidden = !row;
    const done = all.filter((one) => verdicts[one.h]).length;
    const place = row ? `Row ${(at + 1).toLocaleString("en")} of ${found.length.toLocaleString("en")}` : "No row matches";
    get("count").textContent = `${place}; ${done.toLocaleString("en")} of ${all.length.toLocaleString("en")} judged.`;
    get("n-wrong").textContent = count("wrong").length;
    get("n-right").textContent = count("right").length;
    for (const id of ["right", "wrong", "undo"]) get(id).disabled = !row;
    get("previous").disabled = !row || at === 0;
    get("next").disabled = !row || at === found.length - 1;
    if (!row) return;
    const verdict = verdicts[row.h] || "";
    get("what").textContent = `${row.k}${row.s === null ? "" : ` ${row.s.toFixed(2)}`}, ${row.c}`;
    get("verdict").textContent = verdict === "right" ? "✓ right" : verdict === "wrong" ? "✗ wrong" : "";
    get("verdict").className = verdict;
    get("where").textContent = `${row.d}. ${row.w}. ${row.h}`;
    get("prompt").textContent = row.p || "(none)";
    const mark = document.createElement("mark");
    mark.textContent = row.a[1];
    get("answer").replaceChildren(row.a[0], mark, row.a[2]);
    get("row").textContent = row.r;
    get("answer").scrollTop = Math.max(0, mark.offsetTop - get("answer").offsetTop - 60);
  };

  const go = (step) => {
    at = Math.min(Math.max(at + step, 0), Math.max(found.length - 1, 0));
    show();
  };

  const judge = (verdict) => {
    const row = found[at];
    if (!row) return;
    if (verdict) verdicts[row.h] = verdict; else delete verdicts[row.h];
    remember();
    if (verdict) go(1); else show();
  };

  const filter = () => {
    const words = text.value.toLowerCase();
    found = all.filter((row) =>
      (!kind.value || row.k === kind.value) &&
      (!judged.value || (verdicts[row.h] || "no") === judged.value) &&
      (!words || row.text.includes(words)));
    if (order.value) found.sort((one, other) => surest(one) - surest(other));
    at = 0;
    show();
  };

  const save = (name, verdict) => {
    // The same content may stand in several rows.
    const rows = new Map(count(verdict).map((row) => [row.h, row]));
    const lines = [...rows.values()].map((row) => `${row.h}  # ${row.k}: ${row.d.replace(/\s+/g, " ")}\n`);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(lines, { type: "text/plain" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  const keys = {
    j: () => go(1), ArrowRight: () => go(1), k: () => go(-1), ArrowLeft: () => go(-1),
    r: () => judge("right"), w: () => judge("wrong"), u: () => judge(""),
  };
  addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  get("next").addEventListener("click", () => go(1));
  get("previous").addEventListener("click", () => go(-1));
  get("right").addEventListener("click", () => judge("right"));
  get("wrong").addEventListener("click", () => judge("wrong"));
  get("undo").addEventListener("click", () => judge(""));
  get("keep").addEventListener("click", () => save("keep_file.txt", "wrong"));
  get("remove").addEventListener("click", () => save("remove_file.txt", "right"));
  for (const select of [kind, order, judged]) select.addEventListener("change", filter);
  text.addEventListener("input", filter);
  get("filters").addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
