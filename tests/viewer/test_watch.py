import numpy as np

from osirix_agent.viewer.protocol import ViewerSnapshot
from osirix_agent.viewer.roi import RoiSpec, RoiState, RoiType, Style
from osirix_agent.viewer.watch import RoiAppeared, RoiChanged, RoiVanished, Watcher


def roi(uid: str, itype: RoiType, *points: tuple[float, float], name: str = "") -> RoiState:
    return RoiState(uid, RoiSpec(0, itype, name, Style((0, 0, 0)), np.array(points, np.float32)))


class Poll:
    def __init__(self, settle: float = 0.3) -> None:
        self.now = 0.0
        self.watcher = Watcher(lambda: self.now, settle)

    def __call__(self, *states: RoiState, fresh: bool = True, **options: bool) -> list[type]:
        self.now += 0.1
        seen = frozenset(s.uid for s in states) if fresh else frozenset()
        snapshot = ViewerSnapshot({s.uid: s for s in states}, seen, 0)
        return [type(change) for change in self.watcher.observe(snapshot, **options)]


def test_a_point_acts_at_once():
    assert Poll()(roi("a", RoiType.POINT, (1, 1))) == [RoiAppeared]


def test_a_drawn_shape_acts_when_two_polls_read_the_same():
    poll = Poll()
    half, whole = roi("a", RoiType.PENCIL, (1, 1), (2, 2)), roi("a", RoiType.PENCIL, (1, 1), (2, 2), (3, 3))
    assert poll(half) == []
    assert poll.watcher.drawing
    assert poll(whole) == []
    assert poll(whole) == [RoiAppeared]
    assert not poll.watcher.drawing
    assert poll(whole) == []


def test_a_polygon_must_rest_as_well():
    poll = Poll(settle=0.35)
    shape = roi("a", RoiType.CLOSED_POLYGON, (1, 1), (5, 1), (5, 5))
    assert [poll(shape) for _ in range(5)] == [[], [], [], [], [RoiAppeared]]


def test_an_unread_roi_is_neither_new_nor_changed():
    poll = Poll()
    before, after = roi("a", RoiType.PENCIL, (1, 1), (2, 2)), roi("a", RoiType.PENCIL, (1, 1), (9, 9))
    poll.watcher.expect({"a": before})
    assert poll(after, fresh=False) == []
    assert poll(after) == []
    assert poll(after, fresh=False) == []
    assert poll(after) == [RoiChanged]


def test_a_moved_point_must_come_to_rest_and_a_renamed_one_counts():
    poll = Poll()
    assert poll(roi("a", RoiType.POINT, (1, 1))) == [RoiAppeared]
    assert poll(roi("a", RoiType.POINT, (2, 1))) == []
    assert poll(roi("a", RoiType.POINT, (3, 1))) == []
    assert poll(roi("a", RoiType.POINT, (3, 1))) == [RoiChanged]
    assert poll(roi("a", RoiType.POINT, (3, 1), name="-"), at_once=True) == [RoiChanged]


def test_a_shape_moved_and_moved_back_is_no_change():
    poll = Poll()
    poll.watcher.expect({"a": roi("a", RoiType.PENCIL, (1, 1), (2, 2))})
    assert poll(roi("a", RoiType.PENCIL, (5, 5), (6, 6))) == []
    assert poll(roi("a", RoiType.PENCIL, (1, 1), (2, 2))) == []
    assert not poll.watcher.drawing


def test_vanishing_is_told_once_and_a_half_drawn_shape_can_vanish_silently():
    poll = Poll()
    assert poll(roi("a", RoiType.POINT, (1, 1)), roi("b", RoiType.PENCIL, (1, 1), (2, 2))) == [RoiAppeared]
    assert poll() == [RoiVanished]
    assert poll() == []


def test_before_accept_everything_counts():
    assert Poll()(roi("a", RoiType.PENCIL, (1, 1), (2, 2)), at_once=True) == [RoiAppeared]
