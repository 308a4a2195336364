"""How the Music Transformer samples, as options of their own beside `--set`."""

import json

from pydantic import BaseModel, Field


class SamplingOptions(BaseModel):
    """The settings of `extend` that have an option of their own."""

    track: list[str] = Field([], description="Generate only this: drums, bass, piano, guitar, strings or melody.")
    density: float | None = Field(None, ge=0.25, le=4, description="Fewer notes below 1, more above.")
    follow: float | None = Field(None, ge=0, le=1, description="How strongly what was played before is taken up.")
    temperature: float | None = Field(None, ge=0.1, le=2, description="Likelier notes below 1, less likely above.")
    top_p: float | None = Field(None, ge=0.05, le=1, description="Sample from the likeliest, up to this probability.")

    def settings(self, stage: str) -> list[str]:
        """The same as `--set` takes it.

        >>> SamplingOptions(track=["bass"], density=0.5).settings("extend")
        ['extend.density=0.5', 'extend.tracks=["bass"]']
        """
        chosen = self.model_dump(exclude={"track"}) | {"tracks": self.track}
        return [f"{stage}.{name}={json.dumps(value)}" for name, value in chosen.items() if value not in (None, [])]
