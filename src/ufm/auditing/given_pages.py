"""The report of an audit by a given mark as files."""

import json
from dataclasses import asdict
from html import escape
from pathlib import Path

import numpy as np

from ufm import features
from ufm.auditing.given import CalibratedReport
from ufm.auditing.pages import SCHEMA, Asked, document, picture, repeated, row
from ufm.files import write
from ufm.report.texts import number, p_text


def keep(report: CalibratedReport, folder: Path, asked: Asked) -> None:
    """Write report.html and report.json into a folder."""
    write(folder / "report.html", page(report, asked).encode())
    about = {"schema": SCHEMA, "mode": "calibrated", "model": asked.model, "digests": asked.digests}
    content = about | {"found": report.found} | asdict(report)
    write(folder / "report.json", (json.dumps(content, indent=1) + "\n").encode())


def mode(report: CalibratedReport) -> str:
    """What kind of evidence this is, in words."""
    if report.p is None:
        return "A given mark has no p-value: models that never saw it answer to it too, each in its own way."
    n = len(report.innocent)
    return (
        f"The rank of the score among {n} reference model{'s' * (n > 1)} is a p-value if innocent and trained as "
        f"this one is said to have been; {n} can give none below {report.resolution:.2g}."
    )


def verdict(report: CalibratedReport) -> str:
    """What was found, in one sentence."""
    said = f"The model answers the mark with a score of {number(report.score, 2)}"
    if report.p is not None:
        if report.resolution > report.level:
            needed = int(np.ceil(1 / report.level)) - 1
            return f"{said}, p {p_text(report.p)}: too few reference models for {report.level:g}, which takes {needed}."
        told = "higher than innocent models do" if report.found else "as innocent models may"
        return f"{said}, p {p_text(report.p)} among the reference models: {told}."
    most = max(report.beside, key=lambda one: one.innocent)
    told = "a share that is small in all of the populations" if report.found else "too many to say anything"
    return (
        f"{said}, which up to {percent(most.innocent)} of the book's innocent models reach as well "
        f"({most.population}, {most.host} hosts): {told}."
    )


def page(report: CalibratedReport, asked: Asked) -> str:
    """The report as HTML that needs no other file."""
    mark = np.nan_to_num(features.feature(report.feature))[None]
    cells = [
        [one.population, one.host, f"{percent(one.innocent)} of {one.n_innocent}"]
        + [f"{percent(one.trained)} of {one.n_trained}"]
        for one in report.beside
    ]
    other = {one.n_classes for one in report.beside} - {report.n_classes}
    classes = f" This model has {report.n_classes} classes, theirs {min(other)}." if other else ""
    ranked = ""
    if report.innocent:
        scores = ", ".join(number(one, 2) for one in sorted(report.innocent, reverse=True))
        ranked = f"<h2>Reference models</h2>\n<p>p {p_text(report.p or 1.0)}; their scores: {scores}.</p>\n"
    label = "unknown" if report.label is None else str(report.label)
    heads = ["population", "hosts", "innocent models that score as high", "models trained with their mark that do"]
    return document(
        asked.model,
        f"""<p>Mode: <strong>calibrated</strong>. {mode(report)}</p>
<p><strong>{escape(verdict(report))}</strong></p>
<p>The mark, {escape(report.feature)}:</p>
{picture(mark, report.feature)}
<p>Label of its image: {label}. {report.n_images} images.</p>
{ranked}<h2>Beside the book's models</h2>
<div class="wide"><table>
<caption>Shares of the book's plain MLPs, with the letter A on one training image or without it, that score at least as
high. They say what such a score means of models like these, and nothing of others.{classes}</caption>
<thead>{row(heads, "th")}</thead><tbody>{"".join(map(row, cells))}</tbody></table></div>
{repeated(f"{report.n_queries} queries.", asked)}""",
    )


def percent(share: float) -> str:
    """A share as text, "12 %"; one below a per cent with a digit more."""
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.01 else f"{100 * share:.1f} %"
