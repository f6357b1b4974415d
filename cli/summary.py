"""The table at a run's end, made from run.json alone.

No figure is shown without its baseline (contracts.baseline), and nothing that the run did not reach.
"""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from cli.program import as_typed
from components.report.next_steps import next_steps
from components.report.outcome import headline
from contracts import baseline
from contracts.text import percent, visible


def table(record: dict, where: dict[str, str]) -> Table:
    """A table of two columns for run.json's `record`.

    Args:
      record: as `run_record.build` makes it.
      where: title and path of further files to look at.
    """
    shown = Table(title=f"Run {record['run_id']}: {record['status']}", show_header=False, title_justify="left")
    shown.add_column(style="bold", no_wrap=True)
    shown.add_column(overflow="fold")
    for title, text in [*rows(record), *where.items()]:
        shown.add_row(title, Text(text))  # Text: names of files and classes are not markup
    return shown


def rows(record: dict) -> Iterator[tuple[str, str]]:
    """Title and text, line by line."""
    if record["data"]:
        yield "Data", _data(record["data"])
    if record["pretrain"]:
        yield "Pre-training", _pretrain(record["pretrain"])
    if record["linear_eval"]:
        yield "Linear top-1", _linear(record["linear_eval"])
        yield "kNN top-1", _knn(record["linear_eval"])
        yield "Top-1 by labels", _over_labels(record["linear_eval"])
        yield "Predictions", _calibration(record["linear_eval"])
    if record["gate"]:
        yield "Gate", _gate(record["gate"])
    if record["registry"]:
        yield "Registry", _registry(record["registry"], record["gate"])
        yield "Result", _result(record["registry"], record["gate"])
    if record["error"]:
        yield "Error", f"{record['failing_node']}: {record['error']}" if record["failing_node"] else record["error"]
    if steps := next_steps(record):
        yield "Next", "\n".join(f"- {as_typed(step)}" for step in steps)
    cached = len(record["cached_nodes"])
    yield "Time", f"{record['seconds']:.0f} s" + (f"; {cached} of {len(record['nodes'])} nodes cached" if cached else "")


def _data(data: dict) -> str:
    text = (f"{data['source']}: {data['images']:,} photographs of {len(data['classes'])} classes, "
            f"{data['train']:,} train and {data['eval']:,} eval")  # fmt: skip
    if data["unlabelled"]:
        text += f" with labels, {data['unlabelled']:,} unlabelled"
    # Records of earlier releases do not have it.
    if pictures := len(data["near_duplicates"].get("in_two_classes", ())):
        text += f"\n{pictures:,} picture{'s are' if pictures > 1 else ' is'} in more than one class: look at the labels"
    if not data["quarantined"]:
        return text
    reasons = ", ".join(f"{count} {reason}" for reason, count in data["quarantined_by_reason"].items())
    return f"{text}\n{data['quarantined']:,} files quarantined: {reasons}"


def _pretrain(pretrain: dict) -> str:
    text = f"{pretrain['epochs']} epochs, {pretrain['steps']:,} steps in {pretrain['seconds']:.0f} s"
    if pretrain["warm_start"]:
        start = pretrain["warm_start"]
        text += f", from {'version ' + start['version'] if start['version'] else visible(start['network'])}"
    if pretrain["images_per_second"] is not None:
        text += f" ({pretrain['images_per_second']:.0f} images/s)"
    text += f", on {pretrain['device']}"
    if pretrain["resumed_from_step"]:
        text += f", continued from step {pretrain['resumed_from_step']:,}"
    return (f"{text}\nloss {pretrain['final_loss']:.3f}, output std ratio {pretrain['output_std_ratio']:.2f}, "
            f"effective rank {pretrain['effective_rank']:.1f}")  # fmt: skip


def _linear(linear: dict) -> str:
    return (f"{percent(linear['top1'])}; {baseline.title(linear)} ({baseline.EXPLAINED[baseline.of(linear)]}): "
            f"{percent(linear['random_init_top1'])}")  # fmt: skip


def _knn(linear: dict) -> str:
    return f"{percent(linear['knn_top1'])}; {baseline.title(linear)}: {percent(linear['random_init_knn_top1'])}"


def _over_labels(linear: dict) -> str:
    """A line a number of labels: mean and standard deviation over draws."""

    def reached(spread: dict) -> str:
        return percent(spread["mean"]) + (f" ± {percent(spread['deviation'])}" if spread["deviation"] is not None else "")

    lines = {
        point["labels"]: f"{point['labels']:,} labels: {reached(point['candidate'])}; {baseline.title(linear)}: "
        f"{reached(point['random_init'])}" + (f"; champion: {reached(point['champion'])}" if point["champion"] else "")
        for point in linear["label_curve"]
    }
    return "\n".join(lines.values())


def _calibration(linear: dict) -> str:
    found, random_init = (linear["calibration"][name] for name in ("candidate", "random_init"))
    if found["temperature"] is None:
        return "not calibrated, all unsure: fewer than two classes have two labelled photographs for cross-validation"
    error = (f"calibration error {percent(found['calibration_error'])}; {baseline.title(linear)}: "
             f"{percent(random_init['calibration_error'])}")  # fmt: skip
    return f"{error}\nsure: {_sure(found)}; {baseline.title(linear)}: {_sure(random_init)}"


def _sure(measured: dict) -> str:
    right = f", {percent(measured['precision'])} of them right" if measured["precision"] is not None else ""
    return f"{percent(measured['coverage'])}{right}"


def _gate(gate: dict) -> str:
    if not gate["classes"]:
        return "\n".join(["not judged", *(f"- {reason}" for reason in gate["reasons"])])
    champion = gate["baseline_version"]
    against = f"champion version {champion}" if champion else f"the {baseline.title(gate)}; there was no champion"
    verdict = "blessed" if gate["blessed"] else "not blessed"
    return "\n".join([f"{verdict}, judged against {against}", *(f"- {reason}" for reason in gate["reasons"])])


def _result(registry: dict, gate: dict) -> str:
    """The page's headline."""
    found = headline(gate, registry["version"], registry["alias"], registry["pushed"])
    return f"{found.title}\n- {found.detail}" if found.detail else found.title


def _registry(registry: dict, gate: dict) -> str:
    # The gate's own reasons are in the row above.
    reasons = [f"- {reason}" for reason in registry["reasons"] if reason not in gate["reasons"]]
    if not registry["version"]:
        return "\n".join(["not pushed", *reasons])
    alias = f"alias {registry['alias']}" if registry["alias"] else "registered without the alias"
    what = f"{registry['name']} version {registry['version']}, {alias}"
    return "\n".join([what if registry["pushed"] else f"{what}; nothing new to push", *reasons])
