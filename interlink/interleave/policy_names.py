"""The names of policies: ours, and those that other packages offer under the entry point group `interlink.policies`."""

from __future__ import annotations

from interlink.plugins import Group

POLICIES: dict[str, str] = {
    "clip": "interlink.interleave.policies:ClipPolicy",
    "temporal": "interlink.interleave.policies:TemporalPolicy",
    "sentence": "interlink.interleave.policies:SentencePolicy",
    "step": "interlink.interleave.policies:StepPolicy",
    "next_utterance": "interlink.interleave.policies:NextUtterancePolicy",
    "assignment": "interlink.interleave.assignment:AssignmentPolicy",
}
GROUP = Group("interlink.policies", "interleave policy", POLICIES)


def check_policy(name: str) -> str:
    """`name` if there is such a policy, else UserError with the nearest one. Nothing is imported."""
    return GROUP.check(name)
