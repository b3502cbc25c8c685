"""Decides asks and learns from rewards, with the learner of their (tenant, trigger)."""

from __future__ import annotations

from typing import Final

from state import bandit
from state.bandit import Learner
from state.facts import DecisionFact, OutcomeFact, PosteriorFact
from state.items import Ask, Choice, Reward
from state.plan import Plan

Chosen = Choice | DecisionFact | OutcomeFact | PosteriorFact

_ENDS: Final = frozenset({"success", "failure", "expired", "withdrawn", "superseded"})


class Chooser:
    """The rules of choosing, for all learners of one plan. Methods change the learner given."""

    def __init__(self, plan: Plan) -> None:
        self._plan: Final = plan
        self._policy: Final = plan.catalog.learning

    def decide(self, learner: Learner, ask: Ask) -> list[Chosen]:
        """Choose an arm for ``ask`` and say with which probabilities. Asks always have at least one arm."""
        arms = [f"{arm}@{self._plan.arm_version(ask.trigger, arm)}" for arm in ask.arms]
        chances = bandit.propensities(learner, self._policy, arms, f"{ask.step}|{ask.segment}", ask.at)
        index = bandit.draw(chances, ask.decision)
        learner.pending[ask.decision] = arms[index]
        return [
            Choice(ask, ask.arms[index], chances[index]),
            DecisionFact(
                ask.tenant, ask.decision, ask.user, ask.trigger, ask.path, ask.step, ask.segment, "decided", "", ask.arms[index],
                chances[index], ask.arms, chances, learner.version, self._plan.version, ask.at, ask.version, ask.group, ask.parameters,
            ),
        ]  # fmt: skip

    def learn(self, learner: Learner, reward: Reward) -> list[Chosen]:
        """Take note of what became of a decision. Only success and failure teach; every end closes the books on the decision."""
        arm = learner.pending.get(reward.decision, "")
        if not arm and reward.arm in self._plan.component:  # remembered by the app's echo alone
            arm = f"{reward.arm}@{self._plan.arm_version(reward.trigger, reward.arm)}"
        if reward.kind in _ENDS:
            learner.pending.pop(reward.decision, None)
        told: list[Chosen] = [
            OutcomeFact(
                reward.tenant, reward.decision, reward.kind, reward.user, reward.trigger, reward.path, reward.step, reward.segment,
                arm.partition("@")[0], reward.at, reward.version,
            )
        ]  # fmt: skip
        if arm and reward.kind in ("success", "failure"):
            context = f"{reward.step}|{reward.segment}"
            bandit.observe(learner, self._policy, arm, context, reward.kind == "success", reward.at)
            told += [
                self._posterior(learner, reward, arm, "*", bandit.pooled(learner, self._policy, arm, reward.at)),
                self._posterior(learner, reward, arm, context, bandit.posterior(learner, self._policy, arm, context, reward.at)),
            ]
        return told

    @staticmethod
    def _posterior(learner: Learner, reward: Reward, arm: str, context: str, belief: bandit.Posterior) -> PosteriorFact:
        name = arm.partition("@")[0]
        return PosteriorFact(
            reward.tenant, reward.trigger, name, context, belief.alpha, belief.beta, learner.version, reward.at, learner.version
        )
