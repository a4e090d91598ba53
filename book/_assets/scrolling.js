// A table or formula that is wider than the screen can be reached, and so scrolled, by keyboard in every browser. The
// theme sees to that for code and for outputs of a page's own cells.
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  const reach = () => {
    for (const one of document.querySelectorAll(".bd-article :is(.output, mjx-container[display])")) {
      if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
    }
  };
  reach();
  addEventListener("resize", reach);
});
