"""What is evaluated is what is pushed: every way in which the chain can be broken is refused by its own message."""

import dataclasses

import pytest

from components.pusher.chain import Blessing, ChainBroken, Evaluation, Model, ProbeRecord, verify_chain

WHOLE = {
    "blessing": Blessing(True, "/runs/probe/7", "7", "probe hash", "3", True),
    "evaluation": Evaluation(True, "/runs/probe/7", "probe hash", "3", True),
    "probe": Model("/runs/probe/7", "7", "probe hash"),
    "record": ProbeRecord("/runs/backbone/5", "backbone hash"),
    "backbone": Model("/runs/backbone/5", "5", "backbone hash"),
}


def test_a_whole_chain_is_accepted():
    assert verify_chain(**WHOLE) is None


def test_a_blessing_that_refuses_is_a_whole_chain_too():
    refused = WHOLE | {
        "blessing": dataclasses.replace(WHOLE["blessing"], blessed=False),
        "evaluation": dataclasses.replace(WHOLE["evaluation"], blessed=False),
    }
    assert verify_chain(**refused) is None


@pytest.mark.parametrize(
    ("link", "change", "message"),
    [
        ("blessing", {"probe_id": "9"}, "the blessing is for probe 9 at /runs/probe/7, not for probe 7"),
        ("blessing", {"probe_uri": "/runs/probe/9"}, "the blessing is for probe 7 at /runs/probe/9, not for probe 7 at"),
        ("probe", {"content_hash": "other"}, "the probe at /runs/probe/7 is not the one that was judged: content hash other now"),
        ("evaluation", {"probe_uri": "/runs/probe/9"}, "the evaluation does not belong to the blessing"),
        ("evaluation", {"probe_content_hash": "other"}, "the evaluation does not belong to the blessing"),
        ("evaluation", {"blessed": False}, "the evaluation does not belong to the blessing"),
        ("evaluation", {"baseline_version": ""}, "the evaluation does not belong to the blessing"),
        ("evaluation", {"takes_alias": False}, "the evaluation does not belong to the blessing"),
        ("record", {"backbone_uri": "/runs/backbone/4"}, "made from the backbone at /runs/backbone/4, not from /runs/backbone/5"),
        ("record", {"backbone_content_hash": "other"}, "the backbone at /runs/backbone/5 changed after its probe was made"),
        ("backbone", {"content_hash": "other"}, "the backbone at /runs/backbone/5 changed after its probe was made"),
        ("backbone", {"uri": "/runs/backbone/4"}, "made from the backbone at /runs/backbone/5, not from /runs/backbone/4"),
    ],
)
def test_a_broken_link_is_refused(link, change, message):
    with pytest.raises(ChainBroken, match=message):
        verify_chain(**WHOLE | {link: dataclasses.replace(WHOLE[link], **change)})


def test_probe_and_blessing_of_one_run_with_the_backbone_of_another_are_refused():
    with pytest.raises(ChainBroken, match="come from two runs"):
        verify_chain(**WHOLE | {"backbone": Model("/runs/backbone/8", "8", "hash of another run")})


def test_a_blessing_for_another_probe_is_refused():
    with pytest.raises(ChainBroken, match="come from two runs"):
        verify_chain(**WHOLE | {"probe": Model("/runs/probe/8", "8", "hash of another run")})
