"use strict";
// The console works without this file; with it, evidence opens beside the draft, keys move, and progress renews itself.
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);

  // A token in the address's fragment never leaves the browser; it is used once and wiped.
  const login = $("#login");
  if (login && location.hash.length > 20) {
    $("#token").value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
    login.requestSubmit();
  }

  // --- evidence beside the draft ---
  const panel = $("#panel");
  const sentences = [...document.querySelectorAll("a.sentence")];
  let current = -1;
  let asked = 0;

  const mark = (index) => {
    if (sentences[current]) sentences[current].removeAttribute("aria-current");
    current = index;
    sentences[current].setAttribute("aria-current", "true");
  };

  const open = async (link) => {
    const mine = ++asked;
    mark(sentences.indexOf(link));
    const answer = await fetch(`${link.href}?fragment=true`, { credentials: "same-origin" });
    if (mine !== asked) return; // another sentence was chosen meanwhile
    if (answer.redirected) return location.assign("/login");
    $("#evidence").innerHTML = await answer.text(); // our own template: every text in it is escaped on the server
    panel.classList.add("open");
    $(".close", panel).hidden = false;
    panel.scrollTop = 0;
    const heading = $("h2", panel);
    if (heading) heading.focus({ preventScroll: true });
  };

  const close = () => {
    panel.classList.remove("open");
    $(".close", panel).hidden = true;
    if (sentences[current]) sentences[current].focus();
  };

  if (panel) {
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a.sentence");
      if (link && !event.metaKey && !event.ctrlKey && !event.shiftKey) {
        event.preventDefault();
        open(link);
      }
    });
    $(".close", panel).addEventListener("click", close);
  }

  // --- keys ---
  const rows = sentences.length ? sentences : [...document.querySelectorAll("[data-queue] a.title, a.row")];
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && panel && panel.classList.contains("open")) return close();
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) return;
    if (event.key === "j" || event.key === "k") {
      const here = rows.indexOf(document.activeElement);
      const from = here >= 0 ? here : current;
      const next = Math.max(0, Math.min(rows.length - 1, from + (event.key === "j" ? 1 : -1)));
      if (rows[next]) {
        if (rows === sentences) mark(next);
        rows[next].focus();
        rows[next].scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      }
      event.preventDefault();
    }
    if (event.key === "Enter" && sentences[current] && (document.activeElement === document.body || panel.contains(document.activeElement))) {
      if (document.activeElement.tagName !== "A" && document.activeElement.tagName !== "SUMMARY" && document.activeElement.tagName !== "BUTTON") open(sentences[current]);
    }
    if (event.key === "d" && $("#decide")) {
      $("#decide").scrollIntoView();
      $("#note").focus();
      event.preventDefault();
    }
  });

  // --- work in progress ---
  const renew = async (list) => {
    const answer = await fetch(list.dataset.progress, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    const told = await answer.json();
    if (told.state !== "running") return location.reload();
    for (const station of told.stations) {
      const item = $(`[data-station="${CSS.escape(station.name)}"]`, list);
      item.className = station.state.replace(" ", "-");
      $("small", item).textContent = station.state === "done" ? `${station.seconds.toFixed(2)} s` : station.state;
    }
  };
  for (const list of document.querySelectorAll("[data-progress][data-state=running]")) setInterval(() => renew(list).catch(() => {}), 1500);

  // --- a decision is sent once ---
  for (const form of document.querySelectorAll("form[action$='/decide']")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) return event.preventDefault();
      form.dataset.sent = "yes";
      form.classList.add("sent");
    });
  }
  const problem = $("#problem");
  if (problem) problem.scrollIntoView();
})();
