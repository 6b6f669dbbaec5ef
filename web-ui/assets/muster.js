// The page renews itself and sends its forms without leaving. Nothing here is needed: without
// this script the same forms and the Reload link do the same.
"use strict";
(() => {
  const PERIOD_MS = 3000;
  const toggle = document.getElementById("live");
  const said = document.getElementById("said");
  let turn = 0;
  let old = false;

  // Puts the main part of an answer in place of ours, and keeps the focus on what it was on.
  const show = (html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const [from, to] = [fresh.querySelector("main"), document.querySelector("main")];
    if (!from || !to) throw new Error("the balancer answers with another page");
    document.getElementById("state").replaceWith(fresh.getElementById("state"));
    document.title = fresh.title;
    if (from.innerHTML === to.innerHTML) return;
    const held = to.contains(document.activeElement) ? target(document.activeElement) : null;
    to.replaceChildren(...from.childNodes);
    if (held) refocus(to, held);
  };

  // What a button or a link is for. Its place is no name: a newcomer above would move the focus
  // to the button of another node.
  const target = (element) => {
    const of = (name) => element.form?.elements.namedItem(name)?.value;
    const names = [of("group"), of("route"), of("alias"), element.value, element.href];
    const about = JSON.stringify(names);
    return { verb: element.name, about };
  };

  // The same button, or where it is gone (Disable, once disabled) another one for the same.
  const refocus = (main, held) => {
    const same = [...main.querySelectorAll("a, button")].filter((e) => target(e).about === held.about);
    (same.find((e) => e.name === held.verb) ?? same[0])?.focus({ preventScroll: true });
  };

  const say = (text) => { said.textContent = text; };

  // The latest request wins: an older answer that comes late is dropped.
  const renew = async () => {
    const mine = ++turn;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error(`the balancer answers ${answer.status}`);
      const html = await answer.text();
      if (mine !== turn) return;
      show(html);
      if (old) say("");
      old = false;
    } catch (error) {
      if (mine !== turn) return;
      say(`Not renewed: ${error.message}. What you see may be old.`);
      old = true;
    }
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.method !== "post" || !event.submitter) return;
    event.preventDefault();
    turn++;
    say("");
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
