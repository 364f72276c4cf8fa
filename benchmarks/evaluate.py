"""Judge likely duplicates by the truth of fleet folders: `make evaluate FLEETS='DIR...'`.

Prints, from the best suggestions down, how many are right (precision) and how many of the seats that people have beyond their first they
free (recall); then whether the stated probabilities are true. `NAMES=1`: accounts have display names. `BASELINES=1`: what simple
rules reach on the same fleets.
"""

import os
import sys
from pathlib import Path

from benchmarks import baselines
from benchmarks.fleets import read_fleet
from licsync_daemon.insight.decide import LIKELY, SURE

STEPS = (0.99, 0.95, 0.9, 0.85, SURE, 0.7, 0.6, 0.5, LIKELY)


def main(folders: list[str]) -> int:
    """Print the figures of all folders together."""
    if not folders:
        print("name fleet folders: make evaluate FLEETS='DIR...'", file=sys.stderr)
        return 2
    verdicts: list[tuple[float, bool]] = []
    simple: dict[str, list[tuple[float, bool]]] = {}
    surplus = 0
    for folder in folders:
        fleet = read_fleet(Path(folder), names=bool(os.environ.get("NAMES")))
        verdicts += fleet.verdicts(fleet.suggestions())
        surplus += fleet.surplus
        for rule in (baselines.equal, baselines.similar) if os.environ.get("BASELINES") else ():
            simple.setdefault(rule.__name__, []).extend(fleet.verdicts(rule(fleet)))
    print(f"{len(folders)} fleets, {surplus:,} surplus seats, {len(verdicts):,} suggestions that free a seat or are wrong\n")
    print("score at least  precision  recall  right  wrong")
    for step in STEPS:
        right = sum(1 for score, is_right in verdicts if score >= step and is_right)
        wrong = sum(1 for score, is_right in verdicts if score >= step and not is_right)
        name = {SURE: "sure", LIKELY: "sure + likely"}.get(step, "")
        print(f"{step:14.2f}  {right / max(right + wrong, 1):9.3f}  {right / max(surplus, 1):6.3f}  {right:5}  {wrong:5}  {name}")
    print("\nstated probability  true share  suggestions")
    for low, high in ((LIKELY, SURE), (SURE, 1.01), (LIKELY, 1.01)):
        part = [(score, is_right) for score, is_right in verdicts if low <= score < high]
        if part:
            stated, true = sum(score for score, _ in part) / len(part), sum(is_right for _, is_right in part) / len(part)
            print(f"{stated:18.3f}  {true:10.3f}  {len(part):11}")
    for name, found in simple.items():
        right = sum(is_right for _, is_right in found)
        print(f"\n{name} logins or local parts: precision {right / max(len(found), 1):.3f}, recall {right / max(surplus, 1):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
