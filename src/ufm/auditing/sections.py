"""Sections of an audit's report, in words: what it could have found, and what it says of differential privacy."""

from ufm.auditing.reports import AuditReport
from ufm.report.texts import number


def could_have_found(report: AuditReport) -> str:
    """How much the marks would have had to move the outputs, beside how much they did."""
    told, n = report.power, report.unknown.n
    if told is None:
        return ""
    spreads = [number(one, 2) for one in (told.smallest, told.measured)]
    if told.smallest_nats is None or told.measured_nats is None:
        had, mean, beside = f"scored {spreads[0]} standard deviations higher", spreads[1], ""
    else:
        nats = [number(one, 2) for one in (told.smallest_nats, told.measured_nats)]
        had, mean = f"raised the output for its label by {nats[0]} nats more", f"{nats[1]} nats"
        beside = f" In standard deviations of such draws' scores these are {spreads[0]} and {spreads[1]}."
    each = "the mark" if n == 1 else f"each of the {n} marks"
    return f"""<h2>What it could have found</h2>
<p>Had {each} {had} than draws that were never stamped do, the test that decides would have found it
with a probability of about {told.power:g}; measured is a mean of {mean}.{beside} Less than that may be there and
not be found.</p>
<p>This takes the mean of the scores to be normal, as that of many marks nearly is, and all marks to be learnt alike;
where a few are and others are not, it takes a larger mean.</p>
"""


def of_privacy(report: AuditReport) -> str:
    """Lower bounds on the parameters of differential privacy, or why there are none."""
    told, head = report.privacy, "<h2>Differential privacy</h2>\n"
    if told is None:
        return f"{head}<p>Nothing is said of it: {report.no_privacy}.</p>\n"
    confidence, most = f"{100 * (1 - told.level):g} %", "so few guesses could exclude none"
    if told.largest:
        most = f"had all guesses been right, none below {number(told.largest, 2)} would"
    shown = "no ε is excluded" if not told.epsilon else f"no ε below {number(told.epsilon, 2)} nats holds"
    gaussian = "no μ is excluded"
    if told.mu:
        epsilon = number(told.epsilon_of_mu, 2)
        gaussian = f"no μ below {number(told.mu, 2)} holds, which of Gaussian noise is an ε of {epsilon} at this δ"
    return f"""{head}<p>Of {told.n} coins, each of which decided whether one image was handed over with its mark or as
it was, {told.guesses} were guessed by the scores, {told.correct} of them rightly. At a confidence of {confidence}, of
(ε, {told.delta:g})-differential privacy <strong>{shown}</strong> for this training; {most}. Of Gaussian differential
privacy, at the same confidence by itself, {gaussian}.</p>
<p>Two data sets are neighbours here if one record is replaced: an image with its mark by the same image without, under
one label. What is claimed for records that are added or removed is to be doubled first. This rests on coins that nobody
looked at when images and labels were chosen, and on all images having been handed over. A small bound does not say that
the training is private.</p>
"""
