// Tables that scroll sideways can be reached and moved by the keyboard.
addEventListener("load", () => document.querySelectorAll(".md-typeset__scrollwrap").forEach((box) => { box.tabIndex = 0; }));
