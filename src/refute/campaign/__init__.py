"""Ask, run, tell: the public way to run experiments."""

from refute.campaign.campaign import Campaign
from refute.campaign.ending import End, capped
from refute.campaign.loop import Loop
from refute.campaign.past import Budget, Past, new_campaign, unfinished
from refute.campaign.plan import Plan, Proposal, Question, Refused, ask
from refute.campaign.standing import Standing, standings
from refute.campaign.watch import Watch

__all__ = [
    "Budget",
    "Campaign",
    "End",
    "Loop",
    "Past",
    "Plan",
    "Proposal",
    "Question",
    "Refused",
    "Standing",
    "Watch",
    "ask",
    "capped",
    "new_campaign",
    "standings",
    "unfinished",
]
