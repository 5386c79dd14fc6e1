"""The numbers of rows of the pocket suite."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Rows = Annotated[int, Field(gt=0, le=10**6)]  # generated rows; more would take days


class Sizes(BaseModel):
    """The numbers of rows of the suite.

    Attributes
    ----------
    train, intermediate_train : int
        English training rows of a target and of an intermediate task.
    validation : int
        English dev rows of either.
    test : int
        Test rows of a target per language.
    retrieval : int
        Sentence pairs of `ui-retrieval` per language; languages with fewer than 150 are left out.
    mining : int
        Gold pairs in each split of `ui-mining`, and also unpaired sentences of either side.
    dial : int
        Training rows of each level of the family "grain".
    text : int
        Maximum number of texts per language of the family "text".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Rows = 1500
    intermediate_train: Rows = 2500
    validation: Rows = 300
    test: Rows = 100
    retrieval: Rows = 250
    mining: Rows = 45
    # These fields were added later. They are not dumped while unchanged, so that older fingerprints stay valid.
    dial: Rows = Field(1000, exclude_if=lambda size: size == 1000)
    text: Rows = Field(1000, exclude_if=lambda size: size == 1000)

    @model_validator(mode="after")
    def _dev_set_is_no_larger_than_training(self) -> "Sizes":
        if self.validation > min(self.train, self.intermediate_train):
            raise ValueError(f"validation ({self.validation}) is larger than a training set ({self.train}, "
                             f"{self.intermediate_train})")
        return self
