"""Likely duplicates judged by the truth of a made-up company; fleets of real people are judged by `make evaluate`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import evaluate
from benchmarks.fleets import FleetFolder, read_fleet
from benchmarks.made_up import made_up
from licsync_daemon.insight.results import Tier

SEEDS = (1, 2, 3)


def judged(fleets: list[FleetFolder], least: float) -> tuple[float, float, float]:
    """Precision, recall, and the mean stated probability of the suggestions with this score at least."""
    verdicts = [verdict for fleet in fleets for verdict in fleet.verdicts(fleet.suggestions()) if verdict[0] >= least]
    right = sum(is_right for _, is_right in verdicts)
    return right / len(verdicts), right / sum(fleet.surplus for fleet in fleets), sum(score for score, _ in verdicts) / len(verdicts)


def test_sure_suggestions_are_right_and_find_most() -> None:
    """Names on the cloud only: sure is right, likely is worth a look, and the stated probability is about true."""
    fleets = [made_up(seed, 400) for seed in SEEDS]
    precision, recall, stated = judged(fleets, evaluate.SURE)
    assert precision >= 0.95
    assert recall >= 0.74
    assert abs(precision - stated) <= 0.03
    precision, recall, _ = judged(fleets, evaluate.LIKELY)
    assert precision >= 0.88
    assert recall >= 0.83


def test_display_names_on_both_sides_find_nearly_all() -> None:
    """Where servers have display names too, nearly every duplicate is found."""
    fleets = [made_up(seed, 400) for seed in SEEDS]
    for fleet in fleets:
        fleet.accounts = [replace(one, name=fleet.owner[one.key].rpartition(" ")[0].title()) for one in fleet.accounts]
    precision, recall, _ = judged(fleets, evaluate.SURE)
    assert precision >= 0.99
    assert recall >= 0.98


def test_tiers_follow_the_score() -> None:
    """A sure suggestion has at least the score of every likely one."""
    found = made_up(1, 300).suggestions()
    assert {one.tier for one in found} == {Tier.SURE, Tier.LIKELY}
    assert all((one.score >= evaluate.SURE) == (one.tier is Tier.SURE) for one in found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def write(folder: Path) -> None:
    """A fleet folder of three people, one of whom is counted twice."""
    accounts = [
        "id,login,email,suspended?",
        "1,mona-octocat,monaoctocat@home.example,false",
        "2,hubot,HUBOT@old.example,false",
        "3,gone,g@x.example,true",
    ]
    members = [
        {
            "login": "monaoctocat",
            "name": "Mona Octocat",
            "verified_emails": ["mona.octocat@corp.example"],
            "saml_name_id": None,
            "member_roles": [],
        },
        {"login": "hubot", "name": "Hubot", "verified_emails": ["hubot@old.example"], "saml_name_id": "h", "member_roles": []},
    ]
    truth = {
        "Mona": {"accounts": ["emea:1"], "cloud": "monaoctocat"},
        "Hubot": {"accounts": ["emea:2"], "cloud": "hubot"},
        "Gone": {"accounts": ["emea:3"], "cloud": None},
    }
    (folder / "emea").mkdir()
    (folder / "cloud").mkdir()
    (folder / "emea" / "all_users.csv").write_text("\n".join(accounts), encoding="utf-8")
    (folder / "cloud" / "members.json").write_text(json.dumps(members), encoding="utf-8")
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    fleet = {"verified_domains": ["corp.example"], "instances": [{"name": "emea", "hostname": "ghes-emea.example.com"}]}
    (folder / "fleet.json").write_text(json.dumps(fleet), encoding="utf-8")


def test_make_evaluate_judges_fleet_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """GitHub's own attribution is played by the published rule; the figures are printed."""
    write(tmp_path)
    fleet = read_fleet(tmp_path)
    assert fleet.surplus == 1
    assert [one.server_ids for one in fleet.people] == [(), (("ghes-emea.example.com", "2"),)]
    assert fleet.people[1].verified_emails == ()  # hidden: no verified domain
    assert evaluate.main([str(tmp_path)]) == 0
    assert "1 fleets, 1 surplus seats" in (said := capsys.readouterr().out)
    assert "1.000   1.000      1      0  sure" in said
    assert evaluate.main([]) == 2
