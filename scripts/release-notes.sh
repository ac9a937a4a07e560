#!/usr/bin/env bash
# release-notes.sh VERSION FOLDER: prints what a release says about itself: the version's part of
# CHANGELOG.md, and to which release it can be rolled back.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

version="${1:?usage: release-notes.sh VERSION FOLDER}"
folder="${2:?usage: release-notes.sh VERSION FOLDER}"
# From "## [1.2.3] - 2026-01-31" to the next one.
changes="$(awk -v heading="## [${version#v}]" 'index($0, "## ") == 1 { inside = index($0, heading) == 1; next } inside' CHANGELOG.md)"
[ -n "${changes//[[:space:]]/}" ] || die "CHANGELOG.md has no part for ${version#v}: rename [Unreleased]"
printf '%s\n\n' "$changes"
python3 - "$folder/manifest.json" <<'END'
import json, sys

with open(sys.argv[1]) as file:
    rollback = json.load(file)["rollback"]
print(f"Safe to roll back to {rollback['safeTo']} and later ({rollback['because']}).")
END
