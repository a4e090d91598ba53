// For keyboards and screen readers, what the theme leaves out. It gives no name to what unfolds pages in the sidebar, and
// sees to it that code and outputs wider than the screen can be reached, and so scrolled, but not to tables that another
// page shows or to formulas.
addEventListener("load", async () => {
  for (const fold of document.querySelectorAll(".bd-sidebar summary")) {
    const page = fold.closest("li").querySelector("a").textContent.trim();
    fold.setAttribute("aria-label", `Pages under ${page}`);
  }
  await window.MathJax?.startup?.promise;
  const reach = () => {
    for (const one of document.querySelectorAll(".bd-article :is(.output, mjx-container[display])")) {
      if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
    }
  };
  reach();
  addEventListener("resize", reach);
});
