// Keeps the page of many runs as it is now, without moving what somebody reads in.
"use strict";

const PAUSE = 3000; // milliseconds
let etag = null;

function opened() {
  return new Map([...document.querySelectorAll("#overview details[data-keep]")].map(each => [each.dataset.keep, each.open]));
}

/** What is typed into a form stays there, also where that was begun while an answer was on its way. */
function busy() {
  return document.activeElement?.closest("#overview form") || window.getSelection()?.type === "Range";
}

async function follow() {
  if (!document.hidden && !busy()) {
    try {
      const answer = await fetch("/overview.html", {cache: "no-cache", headers: etag ? {"If-None-Match": etag} : {}});
      const told = await answer.text();
      if (answer.status === 200 && answer.headers.get("ETag") !== etag && !busy()) {
        const first = etag === null;
        etag = answer.headers.get("ETag");
        const fresh = new DOMParser().parseFromString(told, "text/html");
        if (!first || fresh.body.textContent !== document.getElementById("overview").textContent) {
          const open = opened();
          document.getElementById("overview").replaceChildren(...fresh.body.childNodes);
          for (const each of document.querySelectorAll("#overview details[data-keep]"))
            each.open = open.get(each.dataset.keep) ?? each.open;
          document.dispatchEvent(new Event("filled"));
        }
      } else if (!answer.ok && answer.status !== 304) throw new Error(`${answer.status} ${answer.statusText}`);
      document.getElementById("follows").textContent = "";
    } catch (error) {
      document.getElementById("follows").textContent = `Cannot be followed: ${error.message}; tried again.`;
    }
  }
  setTimeout(follow, PAUSE);
}

follow();
