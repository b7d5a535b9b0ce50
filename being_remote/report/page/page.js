// All of the page can be read without this; it adds the slider and the copy buttons.
(() => {
  "use strict";

  const viewer = document.getElementById("viewer");
  const slider = document.getElementById("slider");
  if (viewer && slider) {
    const figures = [...viewer.querySelectorAll("figure")];
    const names = [...viewer.querySelectorAll(".names li")].map((item) => item.textContent);
    const position = document.getElementById("position");
    const buttons = { earlier: -1, later: 1 };

    const show = (index) => {
      figures.forEach((figure, i) => figure.classList.toggle("away", i !== index));
      position.textContent = `${names[index]} · ${index + 1} of ${figures.length}`;
      slider.value = String(index);
      slider.setAttribute("aria-valuetext", position.textContent);
      document.getElementById("earlier").disabled = index === 0;
      document.getElementById("later").disabled = index === figures.length - 1;
    };
    slider.addEventListener("input", () => show(Number(slider.value)));
    for (const [id, step] of Object.entries(buttons)) {
      document.getElementById(id).addEventListener("click", () => show(Number(slider.value) + step));
    }
    viewer.classList.add("live");
    viewer.querySelector(".controls").hidden = false;
    show(0);
  }

  // Browsers may refuse the clipboard to a page opened from disk: then the text is left selected.
  const select = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };
  const copy = async (element) => {
    try {
      await navigator.clipboard.writeText(element.textContent);
      return "Copied";
    } catch {
      select(element);
      return document.execCommand("copy") ? "Copied" : "Selected: press Ctrl+C or ⌘C";
    }
  };
  for (const button of document.querySelectorAll("button.copy")) {
    const row = button.parentElement;
    button.hidden = false;
    button.addEventListener("click", async () => {
      row.querySelector(".said").textContent = await copy(row.querySelector("code"));
    });
  }
})();
