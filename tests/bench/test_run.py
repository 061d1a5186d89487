from osirix_agent.bench import run
from osirix_agent.bench.soak import soak


def test_every_row_is_there_even_when_nothing_can_be_measured(monkeypatch):
    def broken(folder, seed):
        raise RuntimeError("no room")

    monkeypatch.setattr(run, "ROWS", [(ids, unit, reach, broken) for ids, unit, reach, _ in run.ROWS])
    figures = run.measure("all", 1, 0, None, quiet=True)
    assert [f.id for f in figures] == [
        "viewer.read", "viewer.read.pyosirix", "viewer.write", "viewer.write.changed", "viewer.idle",
        "viewer.idle.cpu", "path.click", "path.click.p95", "import.time", "import.time.help",
    ]  # fmt: skip
    assert all(f.holds is False and "no room" in f.note for f in figures)


def test_import_time_is_measured_beside_bare_python():
    figures = run.measure("all", 1, 0, ["import.time"], quiet=True)
    assert [f.id for f in figures] == ["import.time", "import.time.help"]
    assert all(f.peer == "bare Python" and f.holds for f in figures)


def test_the_soak_would_find_a_roi_of_hers_that_changes(monkeypatch, tmp_path):
    from osirix_agent.agent.engine import Engine
    from osirix_agent.viewer.client import OsirixViewer

    real = Engine.step

    def step(self):
        real(self)
        for uid in self._windows[0].hers:
            viewer = self._windows[0].viewer
            assert isinstance(viewer, OsirixViewer)
            viewer._set_name(uid, "spoilt")

    monkeypatch.setattr(Engine, "step", step)
    violations = soak(tmp_path, range(4))
    assert any("her ROI" in violation for violation in violations)


def test_the_soak_figure(tmp_path):
    (figure,) = run.measure("soak", 7, 2, None, quiet=True)
    assert (figure.id, figure.n, figure.holds) == ("soak", 2, True)


def test_the_belief_figures_tell_the_clock_from_the_processor():
    figures = run.measure("belief", 1, 0, None, quiet=True)
    assert [f.id for f in figures] == ["update.time", "update.time.ranking", "update.time.spread"]
    assert all(f.value > 0 and "of processor time" in f.note for f in figures)
    assert figures[0].value < figures[2].value  # a click costs less than a belief made anew
