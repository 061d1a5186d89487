"""A segmenter on another machine that goes away and comes back."""

from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.errors import UnreachableError


class ComesAndGoes(BallSegmenter):
    away = True

    def propose(self, request):
        if self.away:
            raise UnreachableError("Nothing listens at gpu:1.", "Start it there.")
        return super().propose(request)


def test_she_is_told_and_proposing_again_is_enough(open_practice):
    segmenter = ComesAndGoes()
    practice = open_practice(segmenter=segmenter)
    practice.clinician.point((30.5, 20.5), k=6)
    practice.settle()
    assert any("Nothing listens" in text for text in practice.feedback.texts)
    assert not practice.drafts()
    segmenter.away = False
    practice.do("propose")
    assert practice.drafts()
    assert practice.mask()[6, 20, 30]
