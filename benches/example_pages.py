"""What the finished study of an example found, for the page that tells of it.

python benches/example_pages.py NAME FOLDER

NAME: things (docs/study.md) or digits (examples/digits/README.md); FOLDER: what `gwrsa study ... --out FOLDER` wrote. The tests
compare the page with results/example_NAME.json.
"""

import argparse
from pathlib import Path

import gwrsa
from _results import save
from gwrsa import tables


def rates(results, choice):
    """Matching and category rates within 1, 5 and 10 of every model, replicates as their mean."""
    table = tables.summarise(results.rates[results.rates["choice"] == choice])
    return {
        name: {measure: rows["value"].round(7).tolist() for measure, rows in of.groupby("measure", sort=False)}
        for name, of in table.groupby("target", sort=False)
    }


def starts(results):
    """Of every model: starts that ended, their local optima, how far above the lowest the stopped ones are, outer steps."""
    found = {}
    for name, of in results.results.groupby("target", sort=False):
        ended, lowest = of[of["status"] == "converged"], of["gw_loss"].min()
        above = of.loc[of["status"] != "converged", "gw_loss"] / lowest - 1
        found[name] = {
            "starts": len(of),
            "converged": len(ended),
            "optima": ended["gw_loss"].round(6).nunique(),
            "lowest_loss": round(lowest, 6),
            "others_above": [] if above.empty else [round(above.min(), 3), round(above.max(), 3)],
            "outer_steps": [float(of["n_outer"].quantile(q)) for q in (0, 0.5, 1)],
        }
    return found


def by_category(results):
    """Matching, top-1, of a category's objects: the mean over models, and in how many categories a model matches none."""
    table = results.categories
    of = table[(table["choice"] == "lowest_loss") & (table["measure"] == "matching") & (table["k"] == 1)]
    each = of.groupby(["target", "category"], sort=False)["rate"].mean().unstack("target")
    return {
        "mean": each.mean(axis=1).round(4).to_dict(),
        "categories_without": (each == 0).sum().to_dict(),
    }


def told(results):
    """All that a page says of a study."""
    rsa = tables.summarise_rsa(results.rsa).set_index("target")
    lowest_loss = rates(results, "lowest_loss")
    matching = {name: of["matching"][0] for name, of in lowest_loss.items()}
    both = results.chosen.pivot_table(index=["target", "replicate"], columns="choice", values="start")
    same = both["lowest_loss"] == both["highest_matching"]
    return {
        "objects": len(results.objects),
        "rsa": rsa["value"].round(5).to_dict(),
        "p_adjusted": rsa["p_adjusted"].round(5).to_dict(),
        "noise_ceilings": {
            split: [round(c.lower, 4), round(c.upper, 4)] for split, c in results.noise_ceilings.items()
        },
        "lowest_loss": lowest_loss,
        "highest_matching": rates(results, "highest_matching"),
        "pairs_whose_choices_are_one_start": same.groupby("target", sort=False).sum().to_dict(),
        "rank_correlation_of_rsa_and_matching": round(
            rsa["value"].corr(rsa.index.to_series().map(matching), "spearman"), 4
        ),
        "chance": {m: rows["value"].round(7).tolist() for m, rows in results.chance.groupby("measure", sort=False)},
        "starts": starts(results),
        "by_category": by_category(results),
    }


def main():
    """Write the file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("name", choices=["things", "digits"])
    options.add_argument("folder", type=Path)
    given = options.parse_args()
    print(f"written to {save(f'example_{given.name}', told(gwrsa.Results.open(given.folder))).name}")


if __name__ == "__main__":
    main()
