"""Merge what is annotated on the page into the data set: as files, by the rules of `s4mi data merge`."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from s4mi.data.manifest import Manifest
from s4mi.data.versions import load_version
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.viewer.requests import RequestError
from s4mi.viewer.respond import without_paths
from s4mi.viewer.workspace import Workspace

if TYPE_CHECKING:  # the rules of a merge import much that a server needs only for a merge
    from s4mi.data.annotations.merge import MergePlan
    from s4mi.data.annotations.rules import MergeRules
    from s4mi.viewer.merge_files import MergeFiles

log = logging.getLogger("s4mi.viewer")


@dataclass(frozen=True)
class Merger:
    """Merges the annotations of a workspace, one merge at a time."""

    space: Workspace
    lock: Lock = field(default_factory=Lock)

    def merge(self, rules: "MergeRules", *, dry_run: bool) -> dict[str, Any]:
        """Check and, unless `dry_run`, write the next version; nothing is written if there is any error.

        Returns:
            What the page shows of it.
        """
        space = self.space
        with self.lock:
            manifest = self._current()
            if dry_run:
                return self._checked(manifest, rules)[2]
            with space.annotations.frozen():
                files, plan, result = self._checked(manifest, rules)
                if plan.errors or not files.numbers:
                    return result
                version, notes, command = self._write(plan, files)
                return result | {"version": version, "notes": [*files.notes, *notes], "next": command}

    def _current(self) -> Manifest:
        """The data set as it is on disk; shown before it is merged into, if its version or its images are others."""
        space = self.space
        manifest = load_version(space.folder)  # rows are read many times: all at once, not on demand
        shown = manifest.version, [row.id for row in manifest.rows]
        if shown != (space.manifest.version, space.columns.names.to_list()):
            space.reload()
            space.events.send("merged", {"version": space.manifest.version})
        return manifest

    def _checked(self, manifest: Manifest, rules: "MergeRules") -> "tuple[MergeFiles, MergePlan, dict[str, Any]]":
        """The files to merge, the plan for them, and what the page shows of it."""
        from s4mi.viewer.merge_files import plan_files, write_files

        space = self.space
        files = write_files(space.annotations, manifest)
        plan = plan_files(files, manifest, rules)
        return files, plan, {
            "version": space.manifest.version, "annotated": len({*plan.labels, *plan.masks}),
            "replaced": plan.replaced, "same": plan.same, "skipped": files.skipped,
            "errors": [without_paths(space, error) for error in plan.errors], "notes": list(files.notes), "next": "",
        }  # fmt: skip

    def _write(self, plan: "MergePlan", files: "MergeFiles") -> tuple[int, list[str], str]:
        """Write the version, archive the journal and show the new version.

        Returns:
            Its number, notes on it, and the next command.
        """
        from s4mi.data.annotations.merge import apply_merge
        from s4mi.data.annotations.next_steps import next_steps

        space, before = self.space, plan.manifest
        space.annotations.note("merging", version=before.version + 1)
        merged = apply_merge(plan)
        archive = f"merged-v{merged.version}" if merged.changed else f"merged-{space.annotations.last}"

        def finish(numbers: Mapping[str, int]) -> None:
            space.annotations.restart(archive, merged.version, files.numbers, numbers)

        space.reload(finish)
        shutil.rmtree(files.labels.parent, ignore_errors=True)
        space.events.send("merged", {"version": merged.version})
        log.info("%s merged into version %d", plural(len(files.numbers), "image"), merged.version)
        if not merged.changed:
            return merged.version, ["the data set has all of these annotations already"], ""
        *notes, last = next_steps(merged, before, added=())
        return merged.version, notes, last.partition(": ")[2]


def post_merge(space: Workspace, request: Request, body: Mapping[str, Any]) -> JSONResponse:
    """Merge, or check what a merge would do."""
    if space.read_only:
        raise RequestError(403, "read-only: nothing can be merged; start s4mi view without --read-only")
    for name in body:
        if name not in ("dry_run", "replace", "held_out") or not isinstance(body[name], bool):
            raise RequestError(400, f"merge: {name!r:.40} is no switch of it; send dry_run, replace and held_out")
    from s4mi.data.annotations.rules import MergeRules

    dry_run = body.get("dry_run", True)
    rules = MergeRules(replace=body.get("replace", False), held_out=body.get("held_out", False))
    try:
        result = request.app.state.merger.merge(rules, dry_run=dry_run)
    except S4miError as error:
        raise RequestError(422, without_paths(space, str(error))) from error
    if result["errors"] and not dry_run:
        more = f" (and {len(result['errors']) - 1} more)" if len(result["errors"]) > 1 else ""
        raise RequestError(422, f"{result['errors'][0]}{more}; nothing was merged", **result)
    return JSONResponse(result)
