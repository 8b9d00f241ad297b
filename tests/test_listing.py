"""The entry for nerfstudio's list of methods, against what nerfstudio asks of one and what is registered."""

import re
from pathlib import Path

from nerfstudio.configs.external_methods import ExternalMethod

from gainer_ns import methods
from gainer_ns.recipes import RECIPES

PAGE = (Path(__file__).parents[1] / "docs" / "nerfstudio" / "listing.md").read_text("utf8")


def test_the_entry_names_what_is_registered() -> None:
    (entry,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    listed: list[ExternalMethod] = []
    exec(compile(entry, "external_methods.py", "exec"), {"ExternalMethod": ExternalMethod, "external_methods": listed})
    (method,) = listed
    names = {name for name, _ in method.configurations}
    assert names == {*RECIPES, methods.gainer_lift.config.method_name}
    assert method.pip_package and f"pip install {method.pip_package}" in method.instructions
    (page,) = re.findall(r"^~~~markdown\n(.*?)^~~~", PAGE, re.M | re.S)
    assert names == {*re.findall(r"^\| `(gainer[\w-]*)`", page, re.M)}
