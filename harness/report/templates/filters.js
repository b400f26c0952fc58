// Filters the page of many runs by what its rows say of themselves; the choice is kept in the address.
"use strict";

{
  const form = document.getElementById("filters");
  const fields = ["scenario", "version", "state"];
  const rows = () => [...document.querySelectorAll("#overview [data-scenario]")];
  const values = (row, name) => (row.dataset[name] ?? "").split("\n").filter(Boolean);

  const narrow = matchMedia("(max-width: 600px)"); // a row is as high there as five elsewhere
  const more = new Map(); // by the place of a table: how many rows of it are shown, once somebody has asked for more

  /** Show the first rows of a long table, and a button for more. */
  function page() {
    for (const [place, table] of [...document.querySelectorAll("#overview table[data-rows]")].entries()) {
      const size = Number(narrow.matches ? table.dataset.narrow : table.dataset.rows);
      const fitting = [...table.rows].filter(row => "run" in row.dataset && !row.hidden);
      const shown = more.get(place) ?? size;
      for (const row of fitting.slice(shown)) row.hidden = true;
      table.nextElementSibling?.matches("button.more") && table.nextElementSibling.remove();
      if (fitting.length <= shown) continue;
      const button = document.createElement("button");
      button.className = "more";
      button.textContent = `${Math.min(5 * size, fitting.length - shown)} more of ${fitting.length - shown}`;
      button.addEventListener("click", () => { more.set(place, shown + 5 * size); filter(); });
      table.after(button);
    }
  }

  /** Offer what there is; what was chosen stays chosen. */
  function offer() {
    for (const name of fields) {
      const select = form.elements[name];
      const known = new Set([...select.options].map(each => each.value));
      const found = new Set(rows().flatMap(row => values(row, name)));
      for (const value of [...found].sort()) if (!known.has(value)) select.add(new Option(value, value));
    }
  }

  function filter() {
    const text = form.elements.text.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows()) {
      const fits = fields.every(name => !form.elements[name].value || !(name in row.dataset) || values(row, name).includes(form.elements[name].value));
      row.hidden = !fits || !row.textContent.toLowerCase().includes(text);
      shown += !row.hidden && "run" in row.dataset;
    }
    page();
    const chosen = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    form.querySelector("output").textContent = chosen.size ? `${shown} runs` : "";
    try {
      history.replaceState(null, "", chosen.size ? `?${chosen}` : location.pathname);
    } catch { /* a file's page has no address of its own */ }
  }

  function begin() {
    offer();
    for (const [name, value] of new URLSearchParams(location.search)) if (form.elements[name]) form.elements[name].value = value;
    filter();
  }

  form.addEventListener("input", () => { more.clear(); filter(); });
  form.addEventListener("submit", event => event.preventDefault());
  document.addEventListener("filled", () => { offer(); filter(); });
  begin();
}
