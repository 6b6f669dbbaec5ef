// The page renews itself and sends its forms without leaving. Nothing here is needed: without
// this script the same forms and the Reload link do the same.
"use strict";
(() => {
  const PERIOD_MS = 3000;
  const toggle = document.getElementById("live");
  const said = document.getElementById("said");
  let turn = 0;

  // Puts the main part of an answer in place of ours, and keeps the focus where it was.
  const show = (html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const [from, to] = [fresh.querySelector("main"), document.querySelector("main")];
    if (!from || !to || from.innerHTML === to.innerHTML) return;
    const all = () => [...to.querySelectorAll("a, button")];
    const focused = all().indexOf(document.activeElement);
    to.replaceChildren(...from.childNodes);
    if (focused >= 0) all()[focused]?.focus({ preventScroll: true });
    document.title = fresh.title;
    for (const id of ["state"]) {
      document.getElementById(id)?.replaceWith(fresh.getElementById(id));
    }
  };

  const say = (text) => { said.textContent = text; };

  // The latest request wins: an older answer that comes late is dropped.
  const renew = async () => {
    const mine = ++turn;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error(`the balancer answers ${answer.status}`);
      const html = await answer.text();
      if (mine === turn) { show(html); say(""); }
    } catch (error) {
      if (mine === turn) say(`Not renewed: ${error.message}. What you see may be old.`);
    }
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.method !== "post" || !event.submitter) return;
    event.preventDefault();
    turn++;
    try {
      const body = new URLSearchParams(new FormData(form, event.submitter));
      const answer = await fetch(form.action, { method: "POST", body });
      if (answer.ok) return void await renew();
      say(`Not done: ${(await answer.text()).trim() || answer.status}`);
    } catch (error) {
      say(`Not sent: ${error.message}.`);
    }
  });

  toggle.closest("label").hidden = false;
  setInterval(() => {
    if (toggle.checked && !document.hidden) renew();
  }, PERIOD_MS);
  document.addEventListener("visibilitychange", () => {
    if (toggle.checked && !document.hidden) renew();
  });
})();
