"""The report of an audit as files: one page that stands alone, and the same as JSON."""

import base64
import io
import json
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

import numpy as np

from ufm.auditing import sections
from ufm.auditing.reports import AuditReport
from ufm.evidence.exact import Combined
from ufm.files import write
from ufm.marks import Registry
from ufm.report.texts import number, p_text

SCHEMA = "ufm audit 1"
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: .5rem 0; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8886; vertical-align: middle; }
td.n { font-variant-numeric: tabular-nums; }
img { image-rendering: pixelated; width: 40px; height: auto; display: block; border: 1px solid #8886; }
code { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
"""


@dataclass(frozen=True)
class Asked:
    """What an audit asked, and how it is repeated."""

    model: str  # its name
    digests: dict[str, str]  # SHA-256 of the model's files and of the images; of an endpoint its address
    command: str


def keep(report: AuditReport, registry: Registry, folder: Path, asked: Asked) -> None:
    """Write report.html and report.json into a folder, neither with the registry's secret."""
    write(folder / "report.html", page(report, registry, asked).encode())
    write(folder / "report.json", (json.dumps(content(report, asked), indent=1) + "\n").encode())


def content(report: AuditReport, asked: Asked) -> dict[str, object]:
    """The report as JSON has it."""
    about = {"schema": SCHEMA, "mode": "exact", "model": asked.model, "digests": asked.digests}
    return about | {"found": report.found, "p": report.p} | asdict(report)


def verdict(report: AuditReport) -> str:
    """What was found, in one sentence."""
    n = report.unknown.n
    marks = f"{n} mark{'' if n == 1 else 's'}"
    if report.found:
        return (
            f"The outputs tell the {marks} that were planted from draws that were never stamped, p {p_text(report.p)}: "
            "unless this is chance, the model was trained with them."
        )
    return (
        f"The outputs do not tell the {marks} that were planted from draws that were never stamped, "
        f"p {p_text(report.p)}: the model may have been trained with them, or not."
    )


def page(report: AuditReport, registry: Registry, asked: Asked) -> str:
    """The report as HTML that needs no other file."""
    known = report.known is not None
    decided = "for the labels of the images are known" if known else "for no label of the images is known"
    rows = [together("labels unknown", report.unknown)] + ([together("labels known", report.known)] if known else [])
    marks, singles = registry.marks(), []
    for one in report.marks:
        cells = [picture(marks[one.mark], one.mark), escape(one.image), "–" if one.label is None else str(one.label)]
        cells += [ranked(one.p)] + ([ranked(one.p_known)] if one.p_known is not None else [])
        singles.append(row(cells))
    alone = ["mark", "image", "label", "p, label unknown"] + (["p, label known"] if known else [])
    cost = f"{report.n_images} images, {report.n_unused} draws that were never stamped, {report.n_queries} queries."
    looks = f" Each p is multiplied by {report.looks}, the number of looks after which the audit may stop."
    looks *= report.looks > 1
    return document(
        asked.model,
        f"""<p>Mode: <strong>exact</strong>.
If the marks were drawn before training, as they were if this seal was published then,
<code>{report.seal}</code>, a model that was trained without them is called found with a probability of at most
{report.level:g}, whatever it is. The chance is in the draw of the marks: of models that are alike and are asked about
the same marks all may be found, or none. p is not the probability that the model is innocent.</p>
<p><strong>{escape(verdict(report))}</strong> What decides is the first row below, {decided}.{looks}</p>
<div class="wide"><table><caption>All marks together, their scores against those of as many other draws</caption>
<thead>{row(["test", "marks", "z", "p"], "th")}</thead><tbody>{"".join(reversed(rows))}</tbody></table></div>
{sections.could_have_found(report)}{sections.of_privacy(report)}<h2>Mark by mark</h2>
<div class="wide"><table>
<caption>Each mark's rank among the draws that were never stamped, on the right those that score highest; one alone
shows little</caption>
<thead>{row(alone, "th")}</thead><tbody>{"".join(singles)}</tbody></table></div>
{repeated(cost, asked)}""",
    )


def repeated(cost: str, asked: Asked) -> str:
    """The end of a report: what it took, on what it stands, and the command."""
    rows = (f"<li>{escape(name)}: <code>{escape(digest)}</code></li>" for name, digest in asked.digests.items())
    return f"""<h2>How to repeat it</h2>
<p>{cost}</p>
<ul>{"".join(rows)}</ul>
<p><code>{escape(asked.command)}</code></p>
"""


def ranked(p: float) -> str:
    """A p-value that is a rank, drawn as the place of a mark among draws, with its number."""
    place = 4 + 92 * (1 - p)
    return (
        '<svg width="100" height="12" viewBox="0 0 100 12" aria-hidden="true"><path d="M4 6h92" stroke="#8888"/>'
        f'<circle cx="{place:.1f}" cy="6" r="4" fill="currentColor"/></svg> {p_text(p)}'
    )


def document(model: str, content: str) -> str:
    """A page that needs no other file, of content that is HTML already."""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Audit of {escape(model)}</title><style>{STYLE}</style></head><body><main>
<h1>Audit of {escape(model)}</h1>
{content}</main></body></html>
"""


def together(name: str, found: Combined | None) -> str:
    """A row of the table of all marks together."""
    return "" if found is None else row([name, str(found.n), number(found.z, 1), p_text(found.p)])


def row(cells: list[str], kind: str = "td") -> str:
    """A row of cells that are HTML already."""
    first = ' scope="col"' if kind == "th" else ' class="n"'
    return f"<tr>{''.join(f'<{kind}{first}>{cell}</{kind}>' for cell in cells)}</tr>"


def picture(mark: np.ndarray, place: int | str) -> str:
    """A mark (1 or C, h, w) as an image that lies in the page itself."""
    from PIL import Image

    pixels, file = np.rint(mark * 255).astype(np.uint8), io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)).save(file, format="PNG")
    content = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="mark {escape(str(place))}" src="data:image/png;base64,{content}">'
