"""`python -m tests.scenarios [NAME]`: plays scenarios and prints the exchange as dig would."""

import sys

from tests.scenarios.engine import Play, ScenarioFailed
from tests.scenarios.notation import load, names


def main(wanted: list[str]) -> int:
    if not wanted:
        print("NAME is one of:", *names(), sep="\n  ")
        return 2
    for name in wanted:
        scenario = load(name)
        play = Play(scenario)
        print(f";; {scenario.title}\n;; {scenario.prose}\n")
        try:
            play.run()
        except ScenarioFailed as failure:
            print("\n".join(play.transcript), f"\n;; FAILED {failure}")
            return 1
        print("\n".join(play.transcript), "\n;; as it should be\n")
    return 0


sys.exit(main(sys.argv[1:]))
