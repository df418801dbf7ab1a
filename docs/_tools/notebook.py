"""The notebook from its source: cells of the percent format, executed, with small pictures.

python docs/_tools/notebook.py      writes docs/notebooks/first_study.ipynb from first_study.py (needs `gwrsa[notebook]`)
"""

import os
import re
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
CELL = re.compile(r"^# %%(?: \[(markdown)\])?\n(.*?)(?=^# %%|\Z)", re.MULTILINE | re.DOTALL)


def cells(text):
    """(kind, source) of every cell of the percent format."""
    found = []
    for kind, body in CELL.findall(text):
        lines = body.strip().splitlines()
        source = "\n".join(re.sub(r"^# ?", "", line) for line in lines) if kind else "\n".join(lines)
        found.append((kind or "code", source))
    return found


def shown(notebook, pictures):
    """The notebook as a page in Markdown; `pictures(name, bytes)` keeps a picture and returns what to link."""
    from base64 import b64decode

    lines, n = [], 0
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            lines += [source, ""]
            continue
        lines += ["```python", source, "```", ""]
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/png" in data:
                n += 1
                lines += [
                    f"![What the cell draws]({pictures(f'cell_{n}.png', b64decode(''.join(data['image/png'])))})",
                    "",
                ]
            elif "".join(data["text/plain"]).strip():
                lines += ["```text", "".join(data["text/plain"]).rstrip(), "```", ""]
    return "\n".join(lines)


def execute(name="first_study"):
    """Run the source in a kernel, and write the notebook with what it shows."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    # Pictures that are sharp but not large, and no trace of what makes them so.
    first = "%config InlineBackend.print_figure_kwargs = {'dpi': 120, 'bbox_inches': 'tight', 'pil_kwargs': {'optimize': True}}"
    for i, (kind, source) in enumerate(cells((FOLDER / f"{name}.py").read_text(encoding="utf-8"))):
        make = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        notebook.cells.append(make(source, id=f"cell-{i}"))
    setup = nbformat.v4.new_code_cell(first, id="setup")
    notebook.cells.insert(0, setup)
    os.environ.pop("MPLBACKEND", None)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    notebook.cells.remove(setup)
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            # A table is kept as text alone: GitHub and the site show it so.
            output.get("data", {}).pop("text/html", None)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for i, cell in enumerate(code, 1):
        cell.execution_count = i
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = i
    notebook.metadata = {k: v for k, v in notebook.metadata.items() if k == "kernelspec"}
    nbformat.validate(notebook)
    (FOLDER / f"{name}.ipynb").write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


if __name__ == "__main__":
    execute()
