"""Whether a config.yml is one that nerfstudio's programs may be let loose on."""

from __future__ import annotations

from pathlib import Path


def check_names(path: Path) -> None:
    """Refuses a config.yml that names what its method does not: nerfstudio's programs build and call what it names.

    That keeps out what is plainly foreign. It does not make a file of unknown origin one to be trusted.

    Args:
        path: The config.yml of a run.

    Raises:
        GainerError: If it is such, or no configuration of ns-train at all.
    """
    import yaml
    from nerfstudio.plugins.registry import discover_methods

    from gainer_ns.errors import GainerError
    from gainer_ns.image.run_file import RunFile, tags_in

    run = RunFile(path)
    name = run.value("method_name", of=str)
    known = discover_methods()[0].get(name)
    allowed = set() if known is None else set(tags_in(yaml.dump(known)))
    foreign = sorted(tag for tag in run.tags - allowed if "/apply:pathlib" not in tag)
    if foreign:
        shown = foreign[0].removeprefix("tag:yaml.org,2002:")
        raise GainerError(f"{path}: names {shown}, which ns-train does not write there; view only runs that you trust")
