"""Ask, run, tell: the public way to run experiments."""

from refute.campaign.campaign import Campaign
from refute.campaign.plan import Plan, Proposal, Question, Refused, ask
from refute.campaign.standing import Standing, standings

__all__ = ["Campaign", "Plan", "Proposal", "Question", "Refused", "Standing", "ask", "standings"]
