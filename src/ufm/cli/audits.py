"""Audits of trained models by marks."""

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

INTERRUPTED = 128 + signal.SIGINT  # exit code


def audit(
    registry: Annotated[Path, typer.Option(help="the file that `ufm mark new` wrote and `ufm mark stamp` filled")],
    images: Annotated[Path, typer.Option(help="a folder of images of one size, best none of the training set's")],
    out: Annotated[Path, typer.Option(help="a folder for report.html and report.json")],
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
    n_images: Annotated[int, typer.Option(help="so many of the images, the first by name")] = 500,
    n_unused: Annotated[int, typer.Option(help="marks that were never stamped, to compare with")] = 400,
    level: Annotated[float, typer.Option(help="share of other models that may be called found")] = 0.05,
    batch_size: Annotated[int, typer.Option(help="images that are sent at once")] = 1_000,
    resume: Annotated[bool, typer.Option(help="go on where an audit into this folder was broken off")] = False,
) -> None:
    """Ask a trained model whether it was trained with the marks of a registry.

    Exit code 0: nothing was found; 3: they were; 4: its outputs say nothing of any mark.
    """
    import shlex
    import sys

    from ufm import auditing, marks
    from ufm.auditing import journals, pages
    from ufm.auditing.pools import in_logits, n_queries
    from ufm.marks.images import read_folder

    kind: Any = gives
    in_logits(lambda batch: batch, kind, n_classes)  # which refuses another kind
    if batch_size < 1:
        raise ValueError(f"batch_size: must be at least 1, not {batch_size}")
    lot, some = marks.read(registry), read_folder(images, n_images)
    predict, of = audited(onnx, torch, weights, endpoint, model, input, output, constant or [])
    of |= {"marks": lot.seal, "n_unused": n_unused, "images": digest(some), "gives": gives, "n_classes": n_classes}
    journal = journals.Journal(out / journals.NAME, of, resume=resume)
    print(f"{n_queries(lot.n + n_unused, len(some))} queries", file=sys.stderr)
    try:
        report = auditing.audit(
            predict,
            lot,
            some,
            gives=kind,
            n_classes=n_classes,
            n_unused=n_unused,
            level=level,
            batch_size=batch_size,
            journal=journal,
        )
    except auditing.NotAuditable as error:
        print(f"not auditable: {error}")
        journal.remove()
        raise typer.Exit(4) from None
    except KeyboardInterrupt:
        print(f"broken off{kept(journal)}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except ValueError as error:
        raise ValueError(f"{error}{kept(journal)}") from error
    finally:
        journal.keep()
    pages.keep(report, lot, out, model=str(of["model"]), command=shlex.join(["ufm", *sys.argv[1:]]))
    journal.remove()
    print(f"{pages.verdict(report)}\n{out / 'report.html'}")
    raise typer.Exit(3 if report.found else 0)


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


def kept(journal: Any) -> str:
    """What to do with what a journal holds, in words."""
    return "; what was answered is kept, and --resume goes on with it" if journal.keep() else ""
