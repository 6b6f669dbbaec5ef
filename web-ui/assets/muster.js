// The page renews itself and sends its forms without leaving. Nothing here is needed: without
// this script the same forms and a reload do the same. Nothing moves by itself: parts change in
// place, so there is no motion to reduce.
"use strict";
(() => {
  const POLL_MS = 5000;
  const MARK = "<!--|-->";
  const stream = document.body.dataset.stream;
  const zone = document.getElementById("zone");
  const said = document.getElementById("said");
  const toggle = document.getElementById("live");
  let parts = [];
  let source = null;
  let poll = null;
  let turn = 0;
  let old = false;

  const say = (text) => { if (said.textContent !== text) said.textContent = text; };
  const current = () => { if (old) say(""); old = false; };
  const stale = (why) => { old = true; say(`Not live: ${why}. What you see may be old.`); };

  // === showing ===

  // What a button or a link is for. Its place is no name: a newcomer above would move the focus
  // to the button of another node.
  const target = (element) => {
    const of = (name) => element.form?.elements.namedItem(name)?.value;
    const names = [of("group"), of("route"), of("alias"), of("cluster"), of("key"), element.value, element.href];
    return { verb: element.name, about: JSON.stringify(names) };
  };

  // The same button, or where it is gone (Disable, once disabled) another one for the same.
  const refocus = (held) => {
    const all = [...zone.querySelectorAll("a, button")];
    const same = all.filter((e) => target(e).about === held.about);
    (same.find((e) => e.name === held.verb) ?? same[0])?.focus({ preventScroll: true });
  };

  // Makes `to` what `from` is, and leaves alone what is the same: texts keep their selection,
  // fields what was typed, details whether they are open.
  const morph = (to, from) => {
    for (const { name, value } of [...from.attributes]) {
      if (to.getAttribute(name) !== value) to.setAttribute(name, value);
    }
    for (const { name } of [...to.attributes]) {
      if (!from.hasAttribute(name) && !(name === "open" && to.tagName === "DETAILS")) to.removeAttribute(name);
    }
    const [olds, news] = [[...to.childNodes], [...from.childNodes]];
    news.forEach((fresh, at) => {
      const was = olds[at];
      if (!was) to.append(fresh);
      else if (was.nodeType !== fresh.nodeType || was.nodeName !== fresh.nodeName) was.replaceWith(fresh);
      else if (fresh.nodeType === Node.ELEMENT_NODE) { if (!was.isEqualNode(fresh)) morph(was, fresh); }
      else if (was.nodeValue !== fresh.nodeValue) was.nodeValue = fresh.nodeValue;
    });
    olds.slice(news.length).forEach((gone) => gone.remove());
  };

  const show = (html) => {
    const fresh = new DOMParser().parseFromString(`<div id="zone">${html}</div>`, "text/html");
    const active = document.activeElement;
    const held = zone.contains(active) && active.matches("a, button") ? target(active) : null;
    morph(zone, fresh.getElementById("zone"));
    const now = document.activeElement;
    const kept = held && zone.contains(now) && JSON.stringify(target(now)) === JSON.stringify(held);
    if (held && !kept) refocus(held);
  };

  // With the marks around them, as the page has them: without, each node would stand one place
  // further up than before, and be made anew with all that was typed and opened in it.
  const showParts = () => show(MARK + parts.join(MARK) + MARK);

  const showPage = (html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const from = fresh.getElementById("zone");
    if (!from) throw new Error("the balancer answers with another page");
    document.title = fresh.title;
    show(from.innerHTML);
  };

  // === live ===

  const renew = async () => {
    const mine = ++turn;
    try {
      const answer = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" } });
      if (answer.redirected) return void location.assign(answer.url);
      if (!answer.ok) throw new Error(`the balancer answers ${answer.status}`);
      const html = await answer.text();
      if (mine !== turn) return;
      showPage(html);
      current();
    } catch (error) {
      if (mine === turn) stale(error.message);
    }
  };

  const stop = () => {
    source?.close();
    source = null;
    clearInterval(poll);
    poll = null;
  };

  const start = () => {
    stop();
    if (!stream || document.hidden || !toggle.checked) return;
    source = new EventSource(stream);
    source.addEventListener("all", (event) => {
      const { title, parts: fresh } = JSON.parse(event.data);
      [parts, document.title] = [fresh, title];
      turn++;
      showParts();
      current();
    });
    source.addEventListener("some", (event) => {
      const { title, parts: fresh } = JSON.parse(event.data);
      for (const [at, part] of Object.entries(fresh)) parts[at] = part;
      document.title = title;
      turn++;
      showParts();
      current();
    });
    source.addEventListener("gone", () => { stop(); location.reload(); });
    source.onerror = () => {
      if (source?.readyState !== EventSource.CLOSED) return void stale("the connection is gone, trying again");
      // Refused: there are as many streams as there may be. Asking now and then does it too.
      stop();
      poll = setInterval(renew, POLL_MS);
      renew();
    };
  };

  // === forms ===

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const by = event.submitter;
    if (form.getAttribute("action") !== "/action" || !by || by.hasAttribute("formaction")) return;
    event.preventDefault();
    say("");
    try {
      const body = new URLSearchParams(new FormData(form, by));
      const answer = await fetch("/action", { method: "POST", body, headers: { Accept: "text/html" } });
      const html = await answer.text();
      const there = new URL(answer.url);
      if (answer.ok && answer.redirected && there.pathname + there.search === location.pathname + location.search) {
        turn++;
        showPage(html);
        // The next part of the stream is told against what was shown before: begin anew.
        if (source) start();
        return;
      }
      if (answer.ok) return void location.assign(answer.url);
      const told = new DOMParser().parseFromString(html, "text/html").querySelector("main p");
      say(`Not done: ${(told?.textContent ?? html).trim() || answer.status}`);
    } catch (error) {
      say(`Not sent: ${error.message}.`);
    }
  });

  if (!stream) return;
  toggle.closest("label").hidden = false;
  const word = toggle.nextElementSibling;
  const switched = () => { word.textContent = toggle.checked ? "Live" : "Paused"; start(); };
  toggle.addEventListener("change", switched);
  document.addEventListener("visibilitychange", start);
  addEventListener("pagehide", stop);
  addEventListener("pageshow", switched);
})();
