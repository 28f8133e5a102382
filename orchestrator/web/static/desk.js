// The desk by keyboard and without page loads. Every act here is a form of the page, sent as the page would
// send it; without this script the same forms work by themselves.
"use strict";

(() => {
  const page = document.querySelector("[data-review]");
  document.documentElement.classList.remove("no-script");
  if (!page) return;

  const one = (selector, within = document) => within.querySelector(selector);
  const every = (selector, within = document) => [...within.querySelectorAll(selector)];
  const said = one("[data-said]");
  const alertBox = one("[data-alert]");
  const help = one("[data-help]");
  let sending = false;

  const pending = () => every(".chip[data-status=pending]");
  const current = () => document.activeElement.closest?.(".chip[data-status=pending]") ?? null;

  // What happened is shown to all and read aloud; what went wrong is read at once.
  function say(text, bad = false) {
    said.classList.toggle("bad", bad);
    said.textContent = text;
    said.getAnimations().forEach((animation) => { animation.cancel(); animation.play(); });
    alertBox.textContent = bad ? text : "";
  }

  function focus(chip) {
    if (!chip) return;
    chip.focus({ preventScroll: true });
    chip.scrollIntoView({ block: "nearest" });
  }

  function move(step) {
    const chips = pending();
    const at = chips.indexOf(current());
    focus(at < 0 ? chips[0] : chips[Math.min(chips.length - 1, Math.max(0, at + step))]);
  }

  function newKey() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return "desk-" + [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  // One try more when the network fails: the key makes the server answer the repeat as it did the first.
  async function post(form, body) {
    const request = () => fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(body),
      headers: { Accept: "application/json" },
      credentials: "same-origin",
    });
    try {
      return await request();
    } catch {
      return await request();
    }
  }

  async function decide(form, button) {
    if (sending) return;
    sending = true;
    const body = new FormData(form, button);
    body.set("key", newKey());
    const ids = body.getAll("suggestion").map((pair) => pair.split(":")[0]);
    const chips = ids.map((id) => document.getElementById(`s-${id}`)).filter(Boolean);
    const after = followerOf(chips);
    chips.forEach((chip) => chip.classList.add("saving"));
    try {
      const response = await post(form, body);
      const answer = await response.json();
      if (response.status === 401) {
        location.assign(answer.sign_in);
        return;
      }
      if (!answer.chips) {
        say(answer.message, true);
        return;
      }
      show(answer, after);
    } catch {
      say("The server cannot be reached. Nothing was decided; try again in a moment.", true);
    } finally {
      chips.forEach((chip) => chip.classList.remove("saving"));
      sending = false;
    }
  }

  async function takeBack(form) {
    if (sending) return;
    if (!form) {
      say("There is nothing of yours to take back here.");
      return;
    }
    sending = true;
    try {
      const response = await post(form, new FormData(form));
      const answer = await response.json();
      if (response.status === 401) location.assign(answer.sign_in);
      else if (!answer.chips) say(answer.message, true);
      else show(answer, Object.keys(answer.chips)[0] ?? null, true);
    } catch {
      say("The server cannot be reached. Nothing was taken back; try again in a moment.", true);
    } finally {
      sending = false;
    }
  }

  // The pending chip to go on with: the first one behind those decided, else the first of all.
  function followerOf(chips) {
    const all = pending();
    const last = Math.max(...chips.map((chip) => all.indexOf(chip)));
    const rest = all.filter((chip) => !chips.includes(chip));
    return (all.slice(last + 1).find((chip) => rest.includes(chip)) ?? rest[0])?.dataset.id ?? null;
  }

  function parse(html) {
    return new DOMParser().parseFromString(`<ul>${html}</ul>`, "text/html").querySelector("ul");
  }

  function fragment(html) {
    return new DOMParser().parseFromString(html, "text/html").body;
  }

  function show(answer, after, undoing = false) {
    const hadFocus = document.activeElement === document.body || Boolean(document.activeElement.closest("[data-review]"));
    for (const [id, html] of Object.entries(answer.chips)) {
      const chip = document.getElementById(`s-${id}`);
      if (!chip) continue;
      if (html === null) chip.remove();
      else chip.replaceWith(document.importNode(parse(html).firstElementChild, true));
    }
    one("[data-applied]").replaceChildren(...[...parse(answer.applied).children].map((li) => document.importNode(li, true)));
    one("[data-decided]").textContent = answer.total - answer.pending;
    one("[data-total]").textContent = answer.total;
    one("[data-bar]").setAttribute("width", answer.total - answer.pending);
    one("[data-bar]").ownerSVGElement.setAttribute("viewBox", `0 0 ${answer.total || 1} 1`);
    one("[data-tools]").replaceChildren(...[...fragment(answer.tools).children].map((part) => document.importNode(part, true)));
    say(answer.message, answer.failed);
    one("[data-done]").hidden = answer.pending > 0;
    if (answer.pending === 0) {
      if (!answer.failed && !undoing) location.assign(answer.next);
      return;
    }
    // The follower itself may just have been cleared by what was approved.
    if (hadFocus) focus(pending().find((chip) => chip.dataset.id === after) ?? pending()[0]);
  }

  function click(chip, value) {
    const button = chip && one(`.acts button[value=${value}]`, chip);
    if (button) decide(button.form, button);
  }

  function ask(decision) {
    const details = one(`[data-confirm=${decision}]`);
    if (!details) return;
    every("[data-confirm]").forEach((other) => { other.open = other === details; });
    one("button", details).focus();
  }

  function reason(chip) {
    const details = chip && one(".why", chip);
    if (!details) return;
    details.open = true;
    one("select", details).focus();
  }

  function go(where) {
    if (page.dataset[where]) location.assign(page.dataset[where]);
    else say(where === "next" ? "This is the last image with pending suggestions." : "This is the first image with pending suggestions.");
  }

  const keys = {
    a: () => click(current() ?? pending()[0], "approve"),
    r: () => click(current() ?? pending()[0], "reject"),
    x: () => reason(current() ?? pending()[0]),
    A: () => ask("approve"),
    R: () => ask("reject"),
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    u: () => takeBack(one("[data-undo]")),
    n: () => go("next"),
    p: () => go("previous"),
    "?": () => help.showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.key === "Escape") {
      every("details[open]", page).forEach((details) => { details.open = false; });
      return;
    }
    if (event.target.closest("input, select, textarea")) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-undo]")) {
      event.preventDefault();
      takeBack(event.target);
    }
    if (!event.target.matches("[data-decide]")) return;
    event.preventDefault();
    decide(event.target, event.submitter);
  });

  document.addEventListener("click", (event) => {
    const open = event.target.closest("[data-confirm]");
    every("[data-confirm]").forEach((details) => { if (details !== open) details.open = false; });
  });

  one("[data-keys]").addEventListener("click", () => help.showModal());
  // By touch the picture comes first; a focus would scroll it away.
  if (!matchMedia("(hover: none)").matches) focus(pending()[0]);
})();
