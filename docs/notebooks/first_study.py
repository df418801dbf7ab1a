# %% [markdown]
# # From install to figure 4
#
# A whole study in one notebook: made-up models of four families against a made-up human side, whose relation is known, in the shape of the reference study
# (Takahashi et al. 2025, [arXiv:2505.16419](https://arxiv.org/abs/2505.16419)). Put your own files in the place of the made-up ones and the rest stays as it is.
#
# Install first, in the folder of gwrsa: `pip install '.[study]'`. No GPU is needed.

# %%
import gwrsa

gwrsa.__version__

# %% [markdown]
# ## The input
#
# One file says what is compared. Each model is an embedding, a row an object; the objects have labels, and rows are matched by them.

# %%
path = gwrsa.demo.write_study("first-study")
print(*path.read_text().splitlines()[:21], sep="\n")

# %% [markdown]
# ## One pair, to see what an alignment is
#
# The alignment sees two matrices of dissimilarities and not which object is which. Every start is a row.

# %%
human = gwrsa.Embedding.load("first-study/human.npz").rdm()
model = gwrsa.Embedding.load("first-study/clip-like_a.npz").rdm().match_histogram(human)
categories = gwrsa.load_categories("first-study/categories.tsv")
found = gwrsa.align(human, model, categories=categories, progress=False)
found.table[["init", "epsilon_ratio", "gw_loss", "status", "top1", "category"]].round(4)

# %%
best = found.lowest_loss
chance = gwrsa.chance_level(len(human), 1)
print(f"RSA {found.rsa:.3f}")
print(f"matching rate {best.matching[1]:.1%}, chance {chance.exact:.1%}", end=" ")
print(f"({chance.low:.1%} to {chance.high:.1%})")
print(f"category matching rate {best.category[1]:.1%}")

# %%
from gwrsa import figures

by = figures.one_category(categories.members, categories.names)
figures.plan(best.plan, by, source="human", target="CLIP-like A");
# %% [markdown]
# ## The study
#
# All models, random starts over a range of epsilon as in the literature, RSA with its permutation test, intervals over objects. Killed, it goes on where it was.

# %%
results = gwrsa.Study.from_toml(path).run("first-results", figures=False, progress=False)
results.chosen.query("choice == 'lowest_loss'")[
    ["target", "replicate", "rsa", "gw_loss", "top1", "top5", "category"]
].round(3)

# %% [markdown]
# ## Figure 2: RSA
#
# By RSA, which is told who is who, the trained models lie near each other.

# %%
from gwrsa import tables

figures.rsa_bars(tables.summarise_rsa(results.rsa));
# %% [markdown]
# ## Figure 4: matching rates
#
# By objects found they do not. The bars are the start chosen without labels: of those at one epsilon the one of lowest objective, of these the one of lowest GW loss.

# %%
rates = tables.summarise(results.rates)
figures.rate_bars(rates, results.chance, choice="lowest_loss", measure="matching");
# %% [markdown]
# Figure 4c: every start of one model. The loss, which needs no labels, picks a start that matches many objects.

# %%
figures.local_optima(results.results.query("target == 'CLIP-like A'"));

# %% [markdown]
# ## And on
#
# `gwrsa.report.write(results)` makes one HTML page of all figures with what they say in words; `gwrsa study first-study/study.toml --out first-results` does the whole of it from the command line.
