// Fills the page of a run with its data, and goes on doing so while the run goes on.
"use strict";

const PAUSE = 2000; // milliseconds from one answer to the next question
const PAUSE_OF_DEAD = 15000; // it may be gone on with
const $ = id => document.getElementById(id);
const read = id => JSON.parse($(id).textContent);
const colours = read("colours");
const number = new Intl.NumberFormat("en-US");
let end = null; // of the axis of time, as we set it last
let etag = null;

/** Make an element; text is only ever text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function show(id, ...children) {
  $(id).replaceChildren(...children);
  $(id).hidden = children.length === 0;
}

function key(colour, text, style = {}) {
  return make("span", {class: "key"}, make("i", {style: {background: colour, ...style}}), text);
}

function row(cells) {
  return make("tr", {}, ...cells.map(([tag, text, kind = ""]) => make(tag, {class: kind}, text)));
}

function outcomes(counts) {
  const total = Object.values(counts).reduce((sum, each) => sum + each, 0);
  if (!total) return [row([["td", "No iteration is over."]])];
  const rows = Object.entries(counts).map(([name, count]) => make("tr", {},
    make("td", {}, key(colours.outcomes[name], name)),
    make("td", {class: "n"}, number.format(count)),
    make("td", {class: "n"}, `${(100 * count / total).toFixed(2)} %`)));
  return [row([["th", "outcome"], ["th", "iterations", "n"], ["th", "share", "n"]]), ...rows,
    row([["td", "all"], ["td", number.format(total), "n"], ["td", ""]])];
}

/** What the server made of a finding: text in it is escaped there, and no script of it would run. */
function html(text) {
  return [...new DOMParser().parseFromString(text, "text/html").body.childNodes];
}

let findingsShown = "";
function findings(data) {
  const now = JSON.stringify([data.findings, data.more, data.untold]);
  if (now === findingsShown) return; // who reads in them is not disturbed
  findingsShown = now;
  const parts = data.findings.flatMap(html);
  if (data.more.length) parts.push(make("ul", {}, ...data.more.map(line => make("li", {}, line))));
  if (data.untold) parts.push(make("p", {}, `And ${number.format(data.untold)} more.`));
  $("findings").replaceChildren(...(parts.length ? parts : [make("p", {}, "None.")]));
}

/** Give every source of the charts its columns anew; what has none is not shown. The axis follows unless somebody has moved it. */
function draw(columns, titles) {
  for (const document of Bokeh.documents) {
    for (const model of document.all_models) {
      const name = (model.name ?? "").replace("chart-", ""); // a figure's; a source has the bare name
      if (name in columns && model.type === "ColumnDataSource") model.data = columns[name];
      if (name in columns && model.type === "Figure") model.visible = Object.values(columns[name])[0].length > 0;
      if (model.type === "Title" && titles[(model.name ?? "").replace("title-", "")]) model.text = titles[model.name.replace("title-", "")];
      if (model.type === "FactorRange" && model.name === "lanes") model.factors = [...new Set(columns.acts.actor)];
      if (name === "acts" && model.type === "Figure") model.height = 66 + 20 * new Set(columns.acts.actor).size;
      if (model.type === "Range1d" && model.name === "time") {
        const [until] = columns.time.end;
        if (end === null || (model.start === 0 && model.end === end)) model.setv({start: 0, end: until});
        model.reset_end = until;
        end = until;
      }
    }
  }
}

function fill(data) {
  const {columns} = data;
  const word = data.state === "ended" || data.state === "damaged" ? data.verdict : data.state.toUpperCase();
  $("verdict").textContent = word;
  $("verdict").className = `verdict ${word.toLowerCase().replace(" ", "-")}`;
  $("because").textContent = data.because;
  show("so-far", ...(data.so_far.length ? [data.so_far.join(" · ")] : []));
  $("report").hidden = !data.report;
  document.title = `${word} ${document.title.split(" ").at(-1)}`;
  show("problem", ...(data.problem ? [data.problem] : []));
  show("diagnosis", ...html(data.diagnosis));
  $("facts").replaceChildren(...Object.entries(data.facts).flatMap(([name, value]) =>
    [make("dt", {}, name), make("dd", {}, value)]));
  $("keys").replaceChildren(
    ...Object.keys(data.outcomes).map(name => key(colours.outcomes[name], name)),
    ...Object.entries(data.shades).map(([actor, colour]) => key(colour, `${actor} acts`, {})),
    ...(columns.findings.at.length ? [key(colours.outcomes.hang, "where a finding was", {width: "2px"})] : []));
  $("outcomes").replaceChildren(...outcomes(data.outcomes));
  $("leak").textContent = data.leak;
  $("hazard-section").hidden = !data.hazard;
  $("hazard").replaceChildren(...html(data.hazard));
  $("tails-section").hidden = columns.tails.count.length === 0;
  $("audits-section").hidden = columns.audits.lasting.length === 0;
  findings(data);
  draw(columns, data.titles);
}

async function follow() {
  let pause = PAUSE;
  if (!document.hidden) try {
    const answer = await fetch("data.json", {cache: "no-cache"}); // the browser asks whether it is still what it has
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    if (answer.headers.get("ETag") !== etag) {
      const data = await answer.json();
      fill(data);
      etag = answer.headers.get("ETag");
      document.body.dataset.state = data.state;
    }
    const {state} = document.body.dataset;
    if (state === "died") pause = PAUSE_OF_DEAD;
    $("follows").textContent = state === "goes on"
      ? `follows the run; last looked at ${new Date().toISOString().slice(11, 19)} UTC`
      : state === "died" ? "the run stands still" : "";
    if (state === "ended" || state === "damaged") return;
  } catch (error) {
    $("follows").textContent = `cannot be followed: ${error.message}; tried again`;
  }
  setTimeout(follow, pause);
}

async function begin() {
  for (const item of read("charts")) await Bokeh.embed.embed_item(item);
  await follow();
}

begin();
