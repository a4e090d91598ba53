"""Audits of trained models by marks."""

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

INTERRUPTED = 128 + signal.SIGINT  # exit code


def audit(
    images: Annotated[Path, typer.Option(help="a folder of images of one size, best none of the training set's")],
    out: Annotated[Path, typer.Option(help="a folder for report.html and report.json")],
    registry: Annotated[
        Path | None, typer.Option(help="the file that `ufm mark new` wrote and `ufm mark stamp` filled")
    ] = None,
    feature: Annotated[str, typer.Option(help="in place of a registry: a letter, a text or a PNG file")] = "",
    onnx: Annotated[Path | None, typer.Option(help="a model as an ONNX file")] = None,
    torch: Annotated[str, typer.Option(help="module:function that makes a network of PyTorch")] = "",
    weights: Annotated[Path | None, typer.Option(help="its weights, as torch.save wrote them")] = None,
    endpoint: Annotated[str, typer.Option(help="address of a server of the Open Inference Protocol (KServe v2)")] = "",
    model: Annotated[str, typer.Option(help="the model's name there")] = "",
    input: Annotated[str, typer.Option(help="which input takes the images, where there are several")] = "",
    output: Annotated[str, typer.Option(help="which output is looked at, where there are several")] = "",
    constant: Annotated[list[str] | None, typer.Option(help="another input of an ONNX model, as name=number")] = None,
    gives: Annotated[str, typer.Option(help="probabilities (also rounded ones), logits or class")] = "probabilities",
    n_classes: Annotated[int | None, typer.Option(help="how many classes there are, where a class is given")] = None,
    position: Annotated[str, typer.Option(help="of a feature: row,column of its top-left pixel [1,1]")] = "",
    label: Annotated[int | None, typer.Option(help="of a feature: its image's label in training, from 0")] = None,
    innocent: Annotated[
        list[str] | None,
        typer.Option(help="of a feature: a model that never saw it, a file or a name as the audited one has"),
    ] = None,
    n_images: Annotated[int, typer.Option(help="so many of the images, the first by name")] = 500,
    n_unused: Annotated[int, typer.Option(help="marks that were never stamped, to compare with")] = 400,
    stop_early: Annotated[bool, typer.Option(help="of a registry: look at few of the unused marks first")] = False,
    level: Annotated[float, typer.Option(help="share of other models that may be called found")] = 0.05,
    delta: Annotated[float, typer.Option(help="of a registry: the δ for which a bound on ε is given")] = 1e-5,
    batch_size: Annotated[int, typer.Option(help="images that are sent at once")] = 1_000,
    resume: Annotated[bool, typer.Option(help="go on where an audit into this folder was broken off")] = False,
) -> None:
    """Ask a trained model whether it was trained with the marks of a registry, or with a feature that is given.

    Marks of a registry have exact p-values. A given feature has none: the report says how often models that never saw
    theirs score as high, in the book's populations or among models that are named as innocent.

    Exit code 0: nothing was found; 3: they were; 4: its outputs say nothing of any mark.
    """
    import shlex
    import sys

    from ufm import auditing, marks
    from ufm.auditing import given_pages, journals, pages
    from ufm.auditing.pools import in_logits
    from ufm.cli.marks import pair
    from ufm.evidence.marks import n_queries
    from ufm.features import FIXED
    from ufm.marks.images import read_folder

    kind: Any = gives
    in_logits(lambda batch: batch, kind, n_classes)  # which refuses another kind
    if batch_size < 1:
        raise ValueError(f"batch_size: must be at least 1, not {batch_size}")
    if out.exists() and not out.is_dir():
        raise ValueError(f"out: {out} is no folder")
    if not 0 < level < 1:
        raise ValueError(f"level: must lie between 0 and 1, not {level:g}")
    if not 0 < delta < 1:
        raise ValueError(f"delta: must lie between 0 and 1, not {delta:g}")
    if (registry is None) == (not feature):
        raise ValueError("registry: name one with --registry, or in its place a mark with --feature")
    if registry is not None and (position or label is not None or innocent):
        raise ValueError(
            "position, label, innocent: are of --feature; a registry says the first two and needs no third"
        )
    if feature and stop_early:
        raise ValueError("stop_early: is of --registry; a feature has no unused marks")
    lot = None if registry is None else marks.read(registry)
    some = read_folder(images, n_images)
    named: dict[str, Any] = {"onnx": onnx, "torch": torch, "weights": weights, "endpoint": endpoint, "model": model}
    how: dict[str, Any] = {"input": input, "output": output, "constants": constant or []}
    predict, of = audited(**named, **how)
    others = [audited(**reference(named, one), **how) for one in innocent or []]
    place = pair(position, ",", "position") if position else (1, 1)
    question: dict[str, Any] = {"images": digest(some), "gives": gives, "n_classes": n_classes}
    if lot is not None:
        question |= {"marks": lot.seal, "n_unused": n_unused}
        n = n_queries(lot.n + n_unused, len(some)) + stop_early * (1 + len(some))
    else:
        question |= {"marks": feature, "position": list(place)}
        n = (1 + len(others)) * n_queries(1 + FIXED, len(some))
    kept = []
    for number, (_, whose) in enumerate([(predict, of), *others]):
        path = out / (journals.NAME if number == 0 else f"so-far-{number}.npz")
        kept.append(journals.Journal(path, whose | question, resume=resume))
    print(f"{'at most ' * stop_early}{n} queries", file=sys.stderr)
    settings: dict[str, Any] = {"gives": kind, "n_classes": n_classes, "level": level, "batch_size": batch_size}
    report: auditing.AuditReport | auditing.CalibratedReport
    digests = {"model": of["digest"], "images": question["images"]}
    asked = pages.Asked(of["model"], digests, shlex.join(["ufm", *sys.argv[1:]]))
    try:
        if lot is not None:
            settings |= {"n_unused": n_unused, "delta": delta, "stop_early": stop_early}
            report = auditing.audit(predict, lot, some, journal=kept[0], **settings)
        else:
            settings |= {"label": label, "position": place, "innocent": [one for one, _ in others], "journals": kept}
            report = auditing.calibrated(predict, feature, some, **settings)
    except auditing.NotAuditable as error:
        print(f"not auditable: {error}")
        forget(kept)
        raise typer.Exit(4) from None
    except KeyboardInterrupt:
        print(f"broken off{resumable(kept)}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except ValueError as error:
        raise ValueError(f"{error}{resumable(kept)}") from error
    finally:
        resumable(kept)
    if isinstance(report, auditing.AuditReport):
        assert lot is not None
        pages.keep(report, lot, out, asked)
        said = pages.verdict(report)
    else:
        given_pages.keep(report, out, asked)
        said = f"{given_pages.mode(report)}\n{given_pages.verdict(report)}"
    forget(kept)
    print(f"{said}\n{out / 'report.html'}")
    raise typer.Exit(3 if report.found else 0)


def reference(named: dict[str, Any], one: str) -> dict[str, Any]:
    """The options that name the audited model, for a reference model of its kind."""
    return named | (
        {"onnx": Path(one)} if named["onnx"] else {"weights": Path(one)} if named["torch"] else {"model": one}
    )


def audited(
    onnx: Path | None,
    torch: str,
    weights: Path | None,
    endpoint: str,
    model: str,
    input: str,
    output: str,
    constants: list[str],
) -> tuple[Any, dict[str, Any]]:
    """What answers queries, and the model's name and digest; of an endpoint nothing can be digested but its address.

    Raises ValueError: no model, or more than one, is named, or it is none.
    """
    from hashlib import sha256

    from ufm.auditing import models
    from ufm.auditing.onnx_models import OnnxModel

    whole = bool(torch) == (weights is not None) and bool(endpoint) == bool(model)
    if not whole or (onnx is not None) + bool(torch) + bool(endpoint) != 1:
        raise ValueError("model: name --onnx, or --torch and --weights, or --endpoint and --model")
    if torch and (input or output) or constants and onnx is None:
        raise ValueError("input, output and constant: a network of PyTorch has none to name, an endpoint no constants")
    if onnx is not None:
        loaded = OnnxModel(onnx, input=input, output=output, constants=dict(map(constant_of, constants)))
        contents = b"".join(sha256(file.read_bytes()).digest() for file in loaded.files)
        return loaded, {"model": onnx.name, "digest": sha256(contents).hexdigest()}
    if weights is not None:
        network = models.of_torch(torch, weights)
        return network, {"model": torch, "digest": sha256(weights.read_bytes()).hexdigest()}
    return models.Endpoint(endpoint, model, input=input, output=output), {"model": model, "digest": endpoint}


def constant_of(text: str) -> tuple[str, float]:
    """Name and number from text such as "keep=1"."""
    name, equals, number = text.rpartition("=")
    try:
        if name and equals:
            return name, float(number)
    except ValueError:
        pass
    raise ValueError(f"constant: {text!r} is not of the form name=1")


def digest(images: Any) -> str:
    """64 hexadecimal digits of images."""
    from hashlib import sha256

    return sha256(f"{tuple(images.shape)}".encode() + images.numpy().tobytes()).hexdigest()


def resumable(journals: list[Any]) -> str:
    """Keep what journals hold, and say in words what to do with it."""
    whether = [journal.keep() for journal in journals]
    return "; what was answered is kept, and --resume goes on with it" if any(whether) else ""


def forget(journals: list[Any]) -> None:
    """The audit is over."""
    for journal in journals:
        journal.remove()
