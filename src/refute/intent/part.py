"""What every mapping of an intent file is: known keys, and of some exactly one."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from refute.intent.values import mistake


class Part(BaseModel):
    """A mapping with known keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    exactly_one_of: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _one_is_given(self) -> Part:
        given = [name for name in self.exactly_one_of if getattr(self, name) is not None]
        if self.exactly_one_of and len(given) != 1:
            allowed = f"exactly one of {', '.join(self.exactly_one_of)}"
            raise mistake("KEY-ONE-OF", f"has {' and '.join(given) or 'none'} of keys that exclude each other", allowed=allowed)
        return self
