#!/usr/bin/env bash
# Judges the laws of the commit $MERGE and says what changed from $BASE, by the `kg` at $KG (else the one on PATH), which is
# not the change's own: annotations to the log, Markdown to the job summary and to $REPORT/comment.md, which is empty if
# nobody has to read anything. Neither commit is checked out. What laws contradict is the verdict, not a failure of this.
# Reads BASE, MERGE, LAWS, TOOLCHAIN, STATUSES, REPORT, KG, GITHUB_STEP_SUMMARY and GITHUB_OUTPUT.
set -uo pipefail
export PYTHONSAFEPATH=1 # neither this nor a process that it starts imports from the folder it stands in
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP

fail() {
  echo "::error title=kg-review::$1"
  exit 2
}

[[ "$BASE" =~ ^[0-9a-f]{40}$ && "$MERGE" =~ ^[0-9a-f]{40}$ ]] || fail "base and merge must be full commit hashes"
mkdir -p "$REPORT" || fail "cannot write $REPORT"
rm -f "$REPORT/comment.md"
words=(--laws "$LAWS" review "$BASE" "$MERGE" --format github --comment "$REPORT/comment.md")
[[ -z "$TOOLCHAIN" ]] || words+=(--toolchain "$TOOLCHAIN")
[[ -z "$STATUSES" ]] || words+=(--statuses "$STATUSES")

"${KG:-kg}" "${words[@]}"
case $? in
  0) verdict=clean ;;
  1) verdict=findings ;;
  2) verdict=unusable ;;
  *) fail "kg review ended with an error of its own" ;;
esac
[[ -f "$REPORT/comment.md" ]] || fail "kg review could not compare $BASE and $MERGE"
cat "$REPORT/comment.md" >>"$GITHUB_STEP_SUMMARY"
printf 'report=%s\nverdict=%s\n' "$REPORT" "$verdict" >>"$GITHUB_OUTPUT"
