"""What is evaluated is what is pushed: checks the chain from the blessing to the probe and from the probe to the backbone.

A pure function over plain records; nothing is registered unless it succeeds.
"""

from dataclasses import dataclass


class ChainBroken(RuntimeError):
    """Blessing, evaluation, probe and backbone do not belong together; nothing is pushed."""


@dataclass(frozen=True)
class Model:
    """A model artifact: its URI and id in ML Metadata, and the current content hash of its serving directory."""

    uri: str
    id: str
    content_hash: str


@dataclass(frozen=True)
class Blessing:
    """The blessing artifact's custom properties; `baseline_version` is "" if there was no champion.

    `takes_alias`: whether the candidate is proven to be better than that champion.
    """

    blessed: bool
    probe_uri: str
    probe_id: str
    probe_content_hash: str
    baseline_version: str
    takes_alias: bool


@dataclass(frozen=True)
class ProbeRecord:
    """From the probe's probe.json: the backbone inside it."""

    backbone_uri: str
    backbone_content_hash: str


@dataclass(frozen=True)
class Evaluation:
    """From verdict.json: the verdict, and the probe that was judged."""

    blessed: bool
    probe_uri: str
    probe_content_hash: str
    baseline_version: str
    takes_alias: bool


def verify_chain(blessing: Blessing, evaluation: Evaluation, probe: Model, record: ProbeRecord, backbone: Model) -> None:
    """Returns if everything belongs together.

    Raises:
      ChainBroken: with the first link that does not match, and both sides of it.
    """
    if (blessing.probe_id, blessing.probe_uri) != (probe.id, probe.uri):
        raise ChainBroken(
            f"the blessing is for probe {blessing.probe_id} at {blessing.probe_uri}, not for probe {probe.id} at {probe.uri}: "
            "they come from two runs; run the Evaluator on this probe"
        )
    if blessing.probe_content_hash != probe.content_hash:
        raise ChainBroken(
            f"the probe at {probe.uri} is not the one that was judged: content hash {probe.content_hash} now, "
            f"{blessing.probe_content_hash} in the blessing; run LinearEval and the Evaluator again"
        )
    judged = Evaluation(blessing.blessed, blessing.probe_uri, blessing.probe_content_hash, blessing.baseline_version,
                        blessing.takes_alias)  # fmt: skip
    if evaluation != judged:
        raise ChainBroken(
            f"the evaluation does not belong to the blessing: it says {evaluation}, the blessing {judged}; run the Evaluator again"
        )
    if record.backbone_uri != backbone.uri:
        raise ChainBroken(
            f"the probe was made from the backbone at {record.backbone_uri}, not from {backbone.uri}: they come from two runs; "
            "run LinearEval on this backbone"
        )
    if record.backbone_content_hash != backbone.content_hash:
        raise ChainBroken(
            f"the backbone at {backbone.uri} changed after its probe was made: content hash {backbone.content_hash} now, "
            f"{record.backbone_content_hash} in the probe; run Pretrain and LinearEval again"
        )
